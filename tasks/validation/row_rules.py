"""Rules on rows, judged by their counts: nothing of this kind, or no more than a share of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from difflib import get_close_matches

import pandas as pd

from tasks.validation import measurements as m
from tasks.validation.judged import Judged
from tasks.validation.measurements import Measurement

_CLOSE = 0.8


def counted(frame: pd.DataFrame, *, statistic: str, max_share: float, unless: str) -> Judged:
    """Find the subjects of which more than a share of the rows break a rule.

    Parameters
    ----------
    unless : why there may be nothing to count; else a rule that was not measured is broken.
    """
    found = m.measured(frame, statistic)
    if not found:
        return Judged([], [] if unless else [("table", "was not measured")], unless)
    broken = [(one.subject, _count(one)) for one in found if one.rows > max_share * one.of]
    rows, of = sum(one.rows for one in found), max(one.of for one in found)
    return Judged([one.subject for one in found], broken, f"{rows:,} of {of:,} rows")


def some_rows(frame: pd.DataFrame) -> Judged:
    """Find a table without any row."""
    rows = sum(one.rows for one in m.measured(frame, m.ROWS))
    return Judged(["table"], [] if rows else [("table", "no row")], f"{rows:,} rows")


def columns_as_contracted(frame: pd.DataFrame, *, columns: Mapping[str, Sequence[str]]) -> Judged:
    """Find columns that are not there, or whose type is none of those that the contracts allow."""
    found = {one.subject: one.value for one in m.measured(frame, m.COLUMN)}
    broken = []
    for name, kinds in columns.items():
        if name not in found:
            broken.append((name, f"{name} is missing"))
        elif found[name] not in kinds:
            broken.append((name, f"{name} is {found[name]}, allowed {', '.join(kinds)}"))
    return Judged(list(columns), broken, f"{len(columns)} columns")


def fresh(frame: pd.DataFrame, *, as_of: str, within: float) -> Judged:
    """Find a table whose newest row lies further than so many seconds before the as-of."""
    found = m.measured(frame, m.NEWEST)
    if not found:
        return Judged(["table"], [("table", "no row")], "")
    newest, until = datetime.fromisoformat(found[0].value), datetime.fromisoformat(as_of)
    late = until - newest > timedelta(seconds=within)
    said = f"the newest is of {newest:%Y-%m-%d %H:%M}, {_length(until - newest)} before the as-of"
    allowed = f"{said}; allowed {_length(timedelta(seconds=within))}"
    return Judged(["table"], [("table", allowed)] if late else [], said)


def nulls(frame: pd.DataFrame, *, columns: Sequence[str]) -> Judged:
    """Find columns that hold a null."""
    found = m.measured(frame, m.NULLS)
    broken = []
    for name in columns:
        rows, of = (sum(getattr(one, n) for one in found if one.subject == name) for n in ("rows", "of"))
        if rows or not of:
            broken.append((name, f"{name}: {rows:,} of {of:,} rows" if of else f"{name} is missing"))
    return Judged(list(columns), broken, "none")


def rates_within(frame: pd.DataFrame, *, bounds: Mapping[str, Sequence[float]]) -> Judged:
    """Find tasks whose mean of all observed labels lies outside of bounds, or that have no such label."""
    found = m.measured(frame, m.POSITIVES)
    broken, held = [], []
    for task, (low, high) in bounds.items():
        of, total = (sum(getattr(one, n) for one in found if one.subject == task) for n in ("of", "total"))
        told = f"{task}: {total / of:.6g}" if of else f"{task}: no observed label"
        if not of or not low <= total / of <= high:
            broken.append((task, f"{told}, allowed {low:g} to {high:g}"))
        held.append(told)
    return Judged(list(bounds), broken, ", ".join(held) or "no bounds are declared")


def one_user_not_too_much(frame: pd.DataFrame, *, max_share: float, rows_at_least: int) -> Judged:
    """Find a user to whom more than a share of a table belongs, where that is many rows."""
    for top in m.measured(frame, m.USER):
        said = f"user {top.value}: {top.rows:,} of {top.of:,} rows ({top.rows / top.of:.1%})"
        broken = top.rows >= rows_at_least and top.rows > max_share * top.of
        return Judged(["table"], [("table", f"{said}; allowed {max_share:.1%}")] if broken else [], said)
    return Judged(["table"], [], "no row has a user")


def no_strange_event(frame: pd.DataFrame, *, events: Collection[str], as_of: str, newest: int) -> Judged:
    """Find names that no task of the contract has, and that are close to one of its names, or new.

    A log may hold what is another surface's; those names are only told.

    Parameters
    ----------
    newest : a name is new if none of its events is older than so many days, and other events are.
    """
    unknown, first = m.measured(frame, m.UNKNOWN), _first_days(m.measured(frame, m.UNKNOWN))
    rows = {name: sum(one.rows for one in unknown if one.subject == name) for name in first}
    since = datetime.fromisoformat(as_of).date() - timedelta(days=newest)
    begun = min(_first_days(m.measured(frame, m.ROWS)).values(), default=since)
    broken = []
    for name in sorted(first, key=lambda name: -rows[name]):
        if near := get_close_matches(name, events, n=1, cutoff=_CLOSE):
            broken.append((name, f"{name}: {rows[name]:,} events (is it '{near[0]}'?)"))
        elif begun < since <= first[name]:
            broken.append((name, f"{name}: {rows[name]:,} events since {first[name]}"))
    told = ", ".join(f"{name} ({n:,})" for name, n in rows.items())
    return Judged(sorted(events), broken, f"of other surfaces: {told}" if told else "none")


def every_contracted_event(frame: pd.DataFrame, *, events: Sequence[str]) -> Judged:
    """Find names of the contract that no event has."""
    found = {one.subject for one in m.measured(frame, m.ROWS)}
    broken = [(name, f"{name}: no event") for name in events if name not in found]
    return Judged(list(events), broken, f"{len(events)} names")


def _count(one: Measurement) -> str:
    told = f" (for example {one.examples})" if one.examples else ""
    return f"{one.subject}: {one.rows:,} of {one.of:,} rows{told}"


def _first_days(found: Sequence[Measurement]) -> dict[str, date]:
    first: dict[str, date] = {}
    for one in found:
        if one.day is not None:
            first[one.subject] = min(one.day, first.get(one.subject, one.day))
    return first


def _length(time: timedelta) -> str:
    days, hours = time / timedelta(days=1), time / timedelta(hours=1)
    return f"{days:.1f} days" if days >= 2 else f"{hours:.1f} hours"
