"""The page of the tour, and docs/tour.md: eight pictures of both feeds, and who noticed what."""

import base64
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.tour.calendar import date_of
from benchmarks.tour.chart import draw_weeks
from benchmarks.tour.figures import DayFigures, by_week
from benchmarks.tour.journal import Event, EventKind, Journal
from tasks.reports.render import render

PAGE: Final = Path(__file__).parents[2] / "docs" / "tour.md"
PICTURES: Final = PAGE.parent / "pictures" / "tour"
START: Final = "<!-- made by make tour -->"
MAIN: Final = "utility"
FIGURES: Final = {
    MAIN: "utility per request",
    "hides": "hides per 1,000 examined impressions",
    "satisfied": "satisfied visits per 1,000 examined impressions",
    "purchases": "purchases per 1,000 examined impressions",
    "clicks": "clicks per 1,000 examined impressions",
    "new_items": "share of items younger than a week",
    "spam": "share of the creator who sends spam",
    "visits": "visits a day",
}
"""The eight pictures: figure and title."""
TITLE: Final = "Eight weeks of a feed"
OURS: Final = "Equipoise"
NAIVE: Final = "naive click ranker"
_QUIET: Final = frozenset({EventKind.ALARM, EventKind.QUESTION})
"""Listed, and not drawn."""
_LONGEST: Final = 130
"""Characters of a cell of the docs."""


@dataclass(frozen=True)
class Play:
    """Both feeds, and how they were played.

    Attributes
    ----------
    facts : sentences on how it was played.
    places : where its runs can be opened.
    """

    journal: Journal
    naive: Sequence[DayFigures]
    facts: Sequence[str] = ()
    places: Sequence[str] = ()

    @property
    def sides(self) -> dict[str, Sequence[DayFigures]]:
        """The days of both feeds by name."""
        return {OURS: self.journal.days, NAIVE: self.naive}

    @property
    def drawn(self) -> list[Event]:
        """The events that are drawn; their numbers are their places, from 1."""
        return [one for one in self.journal.events if one.kind not in _QUIET]


def pictures(play: Play) -> dict[str, str]:
    """Return the pictures as SVG by the name of their figure."""
    return {
        name: draw_weeks(
            title, {side: [getattr(one, name) for one in of] for side, of in play.sides.items()}, play.drawn
        ).to_svg()
        for name, title in FIGURES.items()
    }


def write_html(play: Play, file: Path) -> None:
    """Write the page, which is self-contained."""
    drawn = {name: base64.b64encode(svg.encode()).decode() for name, svg in pictures(play).items()}
    file.write_text(
        render(
            "tour.html.j2",
            title=TITLE,
            facts=play.facts,
            places=play.places,
            main=MAIN,
            titles=FIGURES,
            pictures=drawn,
            notices=list(_notices(play.journal)),
            events=list(_events(play)),
        ),
        encoding="utf-8",
    )


def write_docs(play: Play) -> None:
    """Make the page of the docs and its pictures anew below the introduction."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [text[: text.index(START) + len(START)], *sections(play)]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures(play).items():
        (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


def sections(play: Play) -> Iterator[str]:
    """Yield the lines of the docs below the introduction."""
    yield from ("", picture(MAIN), "", "## Who noticed what", "")
    yield from table(("fault", "from day", "noticed by", "after", "evidence"), _notices(play.journal))
    yield from ("", "## First and last week", "")
    heads = (f"{side}, {week}" for side in play.sides for week in _week_names(play))
    yield from table(("figure", *heads), _weeks(play))
    yield from ("", "## What happened", "", "Numbers are those of the pictures.", "")
    yield from table(("mark", "day", "what", "by"), _marks(play))
    yield from ("", "## The other seven pictures", "")
    for name in FIGURES:
        if name != MAIN:
            yield from (picture(name), "")
    yield from ("## How it was played", "", *(f"- {fact}" for fact in play.facts))


def picture(name: str) -> str:
    """Return a picture of the docs in Markdown."""
    return f"![{FIGURES[name]}, by day](pictures/tour/{name}.svg)"


def table(head: Sequence[str], rows: Iterator[Mapping[str, object]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row.values()))} |"


def _cell(value: object) -> str:
    return textwrap.shorten(str(value).replace("|", "/"), _LONGEST, placeholder=" ...")


def _notices(journal: Journal) -> Iterator[dict[str, object]]:
    for one in journal.notices:
        days = one.day - one.began
        after = "at once" if not days else f"{days} day{'s' if days > 1 else ''}"
        yield {"fault": one.fault, "began": one.began, "by": one.by, "after": after, "evidence": one.evidence}
    noticed = {one.fault for one in journal.notices}
    for event in journal.events:
        if event.kind is EventKind.FAULT and event.words not in noticed:
            yield {"fault": event.words, "began": event.day, "by": "nobody", "after": "", "evidence": ""}


def _events(play: Play) -> Iterator[dict[str, object]]:
    numbers = {id(one): number for number, one in enumerate(play.drawn, start=1)}
    for one in play.journal.events:
        number = numbers.get(id(one), "")
        date = f"{date_of(one.day):%a %d %b}"
        yield {"number": number, "day": one.day, "date": date, "words": one.words, "by": one.by}


def _marks(play: Play) -> Iterator[dict[str, object]]:
    """Yield the events that are drawn, without those of the table of notices."""
    for number, one in enumerate(play.drawn, start=1):
        if one.kind is not EventKind.NOTICE:
            yield {"number": number, "day": one.day, "words": one.words, "by": one.by}


def _week_names(play: Play) -> list[str]:
    return ["week 1", f"week {len(play.naive) // 7}"]


def _weeks(play: Play) -> Iterator[dict[str, object]]:
    weeks = {side: by_week(of) for side, of in play.sides.items()}
    for name, title in FIGURES.items():
        ends = {f"{side}, {end}": f"{of[name][end]:.3g}" for side, of in weeks.items() for end in (0, -1)}
        yield {"figure": title, **ends}
