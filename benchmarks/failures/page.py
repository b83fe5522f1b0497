"""What `make failures` prints and docs/failures.md holds: a table, and a picture of each failure."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.world import PARAMETERS, TrueFigure, write_share
from tasks.evaluation.verdicts import Estimate
from tasks.reports.charts import IntervalChart, draw_intervals
from tasks.reports.phrases import Vocabulary, name_subject, phrase_verdict, write_change, write_limit

PAGE: Final = Path(__file__).parents[2] / "docs" / "failures.md"
PICTURES: Final = PAGE.parent / "pictures" / "failures"
START: Final = "<!-- made by make failures -->"
_LONGEST: Final = 130
_SCALES: Final = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
Row = tuple[str, str, Estimate]


def table(shown: Sequence[Demonstration], words: Vocabulary) -> Iterator[str]:
    """Yield the lines of the table: failure, why it is shipped, true harm, gate that stops it, evidence."""
    yield "| failure | shipped because | true harm | gate | evidence |"
    yield "| --- | --- | --- | --- | --- |"
    for one in shown:
        of = one.failure
        cells = (
            f"{of.number} {of.name}",
            one.seen,
            _list(one.harms),
            of.gate,
            message(one, words),
        )
        yield f"| {' | '.join(cells)} |"


def sections(shown: Sequence[Demonstration], words: Vocabulary) -> Iterator[str]:
    """Yield the parts of the page below its introduction."""
    yield from ("", "## All ten", "", *table(shown, words), "", "## The world", "")
    yield from ("| parameter | value |", "| --- | --- |")
    yield from (f"| {' | '.join(row)} |" for row in PARAMETERS)
    for one in shown:
        of = one.failure
        yield from ("", f"## {of.number}: {of.name}", "")
        yield f"{of.naive} *Parameters:* {of.source}"
        yield from ("", f"![{of.number}: true change vs champion](pictures/failures/{file_name(one)})")


def page(text: str, shown: Sequence[Demonstration], words: Vocabulary) -> str:
    """Return the page with everything below its introduction made anew."""
    return text[: text.index(START) + len(START)] + "\n" + "\n".join(sections(shown, words)) + "\n"


def pictures(shown: Sequence[Demonstration], words: Vocabulary) -> dict[str, str]:
    """Return the pictures as SVG, by file name."""
    return {file_name(one): picture(one, words) for one in shown}


def write(shown: Sequence[Demonstration], words: Vocabulary) -> None:
    """Write the page and its pictures."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), shown, words), encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for name, svg in pictures(shown, words).items():
        (PICTURES / name).write_text(svg, encoding="utf-8")


def message(one: Demonstration, words: Vocabulary) -> str:
    """Return what the gate prints, shortened."""
    return textwrap.shorten(phrase_verdict(one.stop, words), _LONGEST, placeholder=" ...")


def file_name(one: Demonstration) -> str:
    """Return the name of the failure's picture."""
    return f"{one.failure.number.lower()}.svg"


def picture(one: Demonstration, words: Vocabulary) -> str:
    """Draw the true change under both releases, and the interval of the gate if it is a relative one."""
    title = f"{one.failure.number}: {one.failure.name}"
    if one.sweep:
        return _draw_sweep(one).to_svg(f"{title}: {one.harms[0].measure.name} in 10,000 slots")
    rows = [row for pair in zip(one.harms, one.instead, strict=True) for row in _pair(*pair)]
    written = [write_share(estimate.value) for _, _, estimate in rows]
    if one.stop.relative and one.stop.observed is not None:
        seen = one.stop.observed
        known = seen if seen.known else Estimate(seen.value, seen.value, seen.value, seen.n)
        rows.append((f"gate: {name_subject(one.stop.subject, words)}", "before", known))
        written.append(f"{write_change(seen)}; {write_limit(one.stop, words)}")
    most = max(abs(end) for _, _, of in rows for end in (of.low, of.high))
    end = next((scale for scale in _SCALES if most <= scale), most)
    ticks = [(x, write_share(x) if x else "0") for x in (-end, -end / 2, 0.0, end / 2, end)]
    chart = draw_intervals(rows, lambda x: x / end, ticks=ticks, band=(0, 0))
    return _with_words(chart, written).to_svg(f"{title} (true change vs champion)")


def _draw_sweep(one: Demonstration) -> IntervalChart:
    values = {name: 1e4 * figure.naive for name, figure in one.sweep.items()}
    end = max(values.values())
    rows = [_bar(name, "before" if not value else "after", value) for name, value in values.items()]
    chart = draw_intervals(
        rows, lambda x: 2 * x / end - 1, ticks=[(0, "0"), (end, f"{end:.0f}")], band=(0, 0)
    )
    return _with_words(chart, [f"{value:.0f}" for value in values.values()])


def _pair(harm: TrueFigure, instead: TrueFigure) -> tuple[Row, Row]:
    name = harm.measure.name
    return _bar(f"{name}, naive", "after", harm.change), _bar(f"{name}, challenger", "before", instead.change)


def _bar(name: str, tone: str, value: float) -> Row:
    return name, tone, Estimate(value, min(0.0, value), max(0.0, value), 1)


def _with_words(chart: IntervalChart | None, words: Sequence[str]) -> IntervalChart:
    if chart is None:
        raise ValueError("a picture needs a row")
    return replace(
        chart, marks=[replace(mark, words=said) for mark, said in zip(chart.marks, words, strict=True)]
    )


def _list(harms: Sequence[TrueFigure]) -> str:
    return ", ".join(map(str, harms))
