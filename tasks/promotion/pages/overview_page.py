"""The pages on the state of surfaces: a table of all surfaces, and one page per surface.

::

    Card              a surface's aliases as read by the Airflow plugin, or the reason why they are unknown
    PendingApproval   an approval that waits for a reviewer

A button leads to a DAG with a form that starts a run; these pages start or move nothing themselves.
Addresses are relative to the pages' own folder, `equipoise/`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from tasks.evaluation.release_evidence import GateEvidence
from tasks.labels.build_record import DayState, DayStates
from tasks.promotion.overview import (
    REFUSALS,
    AliasedRelease,
    Aliases,
    Overview,
    StoredCalendar,
    describe_entry,
)
from tasks.reports import charts
from tasks.reports.numbers import format_counted, format_outcomes, format_share
from tasks.reports.render import render

_STATES: Final = {
    DayState.MATURE: "mature",
    DayState.IMMATURE: "immature",
    DayState.FAILED: "validation failed",
    DayState.NOT_VALIDATED: "not validated",
    DayState.OUTDATED: "outdated",
    DayState.NOT_BUILT: "not built",
}
_WAYS: Final = (
    ("promote", "Promote"),
    ("rollback", "Roll back"),
    ("policy_change", "Change a policy"),
    ("retrain", "Retrain"),
    ("labels", "Build labels"),
    ("monitor", "Monitor"),
)


@dataclass(frozen=True)
class PendingApproval:
    """A pending approval: its subject, its time, its reviewers, and the step's page in Airflow."""

    subject: str
    since: datetime
    reviewers: tuple[str, ...]
    address: str


@dataclass(frozen=True)
class Card:
    """A surface on the first page; ``problem`` is the reason why its aliases are unknown."""

    surface: str
    aliases: Aliases | None
    problem: str = ""
    questions: tuple[PendingApproval, ...] = ()


@dataclass(frozen=True)
class _ReleaseRow:
    alias: str
    version: int
    as_of: str
    age: str
    verdict: str
    counts: str
    dossier: str
    reasons: tuple[str, ...]


def write_index(cards: Sequence[Card], *, now: datetime) -> str:
    """Render the first page: a row for each surface, and all pending approvals."""
    return render(
        "overview.html.j2",
        title="Equipoise",
        facts=[f"{format_counted(len(cards), 'surface')}, {_instant(now)}"],
        rows=[(card, _roles(card.aliases, now)) for card in cards],
        questions=[question for card in cards for question in _waiting(card.questions, now)],
    )


def write_surface(overview: Overview, questions: Sequence[PendingApproval], *, now: datetime) -> str:
    """Render the page of one surface."""
    found, judged = overview.aliases, overview.evidence
    labelled = overview.labels.tasks if overview.labels else ()
    return render(
        "overview_surface.html.j2",
        title=found.surface,
        facts=[_instant(now)],
        ways=[(words, f"../dags/{quote(found.surface)}__{workflow}") for workflow, words in _WAYS],
        mismatch=found.mismatch,
        problems=overview.problems,
        alarms=overview.alarms,
        monitor=f"{quote(found.surface)}/monitor",
        releases=[_release(found.surface, r, judged.get(r.version), now) for r in found.releases],
        questions=_waiting(questions, now),
        labels=overview.labels and _labels(overview.labels),
        tasks=[_draw_days(days) for days in labelled],
        states=[(s.value, _STATES[s]) for s in DayState if any(task.count(s) for task in labelled)],
        moves=[
            ("" if row.at is None else _instant(row.at), describe_entry(row), row) for row in overview.moves
        ],
        refusals=REFUSALS,
        agreements=overview.agreements,
        surrogates=overview.surrogates,
    )


def write_problem(title: str, problem: str, *, now: datetime) -> str:
    """Render a page with the reason why there is nothing to show."""
    return render("overview_problem.html.j2", title=title, facts=[_instant(now)], problem=problem)


def describe_age(since: datetime, now: datetime) -> str:
    """Format the time since an instant in its largest unit.

    Examples
    --------
    >>> from datetime import timedelta
    >>> now = datetime(2026, 3, 1)
    >>> [describe_age(now - timedelta(hours=hours), now) for hours in (0, 1, 30, 72)]
    ['under an hour', '1 hour', '1 day', '3 days']
    """
    hours = int((now - since).total_seconds() // 3600)
    number, unit = (hours, "hour") if hours < 24 else (hours // 24, "day")
    return format_counted(number, unit) if number > 0 else "under an hour"


def _roles(found: Aliases | None, now: datetime) -> list[tuple[str, str, str]]:
    """Return each alias with its release, the release's age and its verdict."""
    releases = () if found is None else found.releases
    return [
        (_describe_alias(r), f"{r.version}, {describe_age(r.as_of or r.made_at, now)}", r.verdict or "")
        for r in releases
    ]


def _describe_alias(one: AliasedRelease) -> str:
    return one.alias if one.share is None else f"{one.alias}, {format_share(one.share)} of {one.pool.words}"


def _waiting(questions: Sequence[PendingApproval], now: datetime) -> list[tuple[PendingApproval, str]]:
    return [(question, describe_age(question.since, now)) for question in questions]


def _release(surface: str, one: AliasedRelease, judged: GateEvidence | None, now: datetime) -> _ReleaseRow:
    outcomes = Counter(verdict.outcome.value for verdict in judged.verdicts) if judged else Counter[str]()
    return _ReleaseRow(
        alias=_describe_alias(one),
        version=one.version,
        as_of=_instant(one.as_of or one.made_at),
        age=describe_age(one.as_of or one.made_at, now),
        verdict=one.verdict or "not evaluated",
        counts=format_outcomes(dict(outcomes.most_common())) if judged else "",
        dossier=f"{quote(surface)}/releases/{one.version}/dossier" if judged else "",
        reasons=judged.reasons if judged else (),
    )


def _labels(labels: StoredCalendar) -> dict[str, object]:
    return {"snapshot": labels.snapshot, "as_of": _instant(labels.as_of), "notes": labels.notes}


def _draw_days(days: DayStates) -> charts.Drawing:
    """Draw a task's days in the colours of their states; ``about`` counts them."""
    counted = [f"{days.count(state)} {_STATES[state]}" for state in DayState if days.count(state)]
    to = f"mature to {days.mature_to}" if days.mature_to else "no day is mature"
    dates = [day for day, _ in days.days]
    width = (dates[-1] - dates[0]).days + 1 if dates else 1
    drawing = charts.Drawing(days.task, f"{to}; {', '.join(counted)}" if counted else "no day", width, 2)
    for day, state in days.days:
        left, words = (day - dates[0]).days + 0.05, f"{day}: {_STATES[state]}"
        drawing.add("rect", words, tone=f"day-{state.value}", x=left, y=0, width=0.9, height=2)
    return drawing


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
