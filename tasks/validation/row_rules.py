"""Rules on rows, judged by their counts: nothing of this kind, or no more than a share of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches

import pandas as pd

from tasks.validation import measurements as m
from tasks.validation.judged import Judged


def counted(frame: pd.DataFrame, *, statistic: str, max_share: float, unless: str) -> Judged:
    """Find the subjects of which more than a share of the rows break a rule.

    Parameters
    ----------
    unless : why there may be nothing to count; else a rule that was not measured is broken.
    """
    found = _of(frame, statistic)
    if found.empty:
        return Judged([], [] if unless else [("table", "was not measured")], unless)
    broken = [
        (row.subject, _count(row.subject, row.rows, row.of, row.examples))
        for row in found.itertuples()
        if row.rows > max_share * row.of
    ]
    return Judged(found["subject"].tolist(), broken, f"{found['rows'].sum():,} of {found['of'].max():,} rows")


def some_rows(frame: pd.DataFrame) -> Judged:
    """Find a table without any row."""
    rows = int(_of(frame, m.ROWS)["rows"].sum())
    return Judged(["table"], [] if rows else [("table", "no row")], f"{rows:,} rows")


def columns_as_contracted(frame: pd.DataFrame, *, columns: Mapping[str, Sequence[str]]) -> Judged:
    """Find columns that are not there, or whose type is none of those that the contracts allow."""
    found = _of(frame, m.COLUMN).set_index("subject")["value"]
    broken = []
    for name, kinds in columns.items():
        if name not in found.index:
            broken.append((name, f"{name} is missing"))
        elif found[name] not in kinds:
            broken.append((name, f"{name} is {found[name]}, allowed {', '.join(kinds)}"))
    return Judged(list(columns), broken, f"{len(columns)} columns")


def fresh(frame: pd.DataFrame, *, as_of: str, within: float) -> Judged:
    """Find a table whose newest row lies further than so many seconds before the as-of."""
    told = _of(frame, m.NEWEST)["value"].tolist()
    if not told:
        return Judged(["table"], [("table", "no row")], "")
    newest, until = datetime.fromisoformat(told[0]), datetime.fromisoformat(as_of)
    late = until - newest > timedelta(seconds=within)
    said = f"the newest is of {newest:%Y-%m-%d %H:%M}, {_length(until - newest)} before the as-of"
    allowed = f"{said}; allowed {_length(timedelta(seconds=within))}"
    return Judged(["table"], [("table", allowed)] if late else [], said)


def nulls(frame: pd.DataFrame, *, columns: Sequence[str]) -> Judged:
    """Find columns that hold a null."""
    counted = _of(frame, m.NULLS).groupby("subject")[["rows", "of"]].sum().reindex(list(columns))
    broken = [
        (name, f"{name}: {int(rows):,} of {int(of):,} rows")
        for name, rows, of in counted.fillna(0).itertuples()
        if rows
    ]
    missing = [(name, f"{name} is missing") for name in counted.index[counted["of"].isna()]]
    return Judged(list(columns), [*broken, *missing], "none")


def rates_within(frame: pd.DataFrame, *, bounds: Mapping[str, Sequence[float]]) -> Judged:
    """Find tasks whose mean of all observed labels lies outside of bounds, or that have no such label."""
    summed = _of(frame, m.POSITIVES).groupby("subject")[["of", "total"]].sum()
    broken, held = [], []
    for task, (low, high) in bounds.items():
        of, total = summed.loc[task] if task in summed.index else (0, 0.0)
        told = f"{task}: {total / of:.6g}" if of else f"{task}: no observed label"
        if not of or not low <= total / of <= high:
            broken.append((task, f"{told}, allowed {low:g} to {high:g}"))
        held.append(told)
    return Judged(list(bounds), broken, ", ".join(held) or "no bounds are declared")


def one_user_not_too_much(frame: pd.DataFrame, *, max_share: float, rows_at_least: int) -> Judged:
    """Find a user to whom more than a share of a table belongs, where that is many rows."""
    top = _of(frame, m.USER)
    if top.empty:
        return Judged(["table"], [], "no row has a user")
    row = top.iloc[0]
    said = f"user {row['value']}: {row['rows']:,} of {row['of']:,} rows ({row['rows'] / row['of']:.1%})"
    broken = row["rows"] >= rows_at_least and row["rows"] > max_share * row["of"]
    return Judged(["table"], [("table", f"{said}; allowed {max_share:.1%}")] if broken else [], said)


def only_known_events(frame: pd.DataFrame, *, events: Collection[str]) -> Judged:
    """Find events by names that no task of the contract has."""
    strange = _of(frame, m.UNKNOWN).sort_values("rows", ascending=False, kind="stable")
    broken = [(row.subject, _strange(row.subject, row.rows, events)) for row in strange.itertuples()]
    return Judged(sorted(events), broken, "none")


def every_contracted_event(frame: pd.DataFrame, *, events: Sequence[str]) -> Judged:
    """Find names of the contract that no event has."""
    found = set(_of(frame, m.ROWS)["subject"])
    broken = [(name, f"{name}: no event") for name in events if name not in found]
    return Judged(list(events), broken, f"{len(events)} names")


def _count(subject: str, rows: int, of: int, examples: str) -> str:
    told = f" (for example {examples})" if examples else ""
    return f"{subject}: {rows:,} of {of:,} rows{told}"


def _strange(name: str, rows: int, events: Collection[str]) -> str:
    near = get_close_matches(name, events, n=1)
    return f"{name}: {rows:,} events" + (f" (is it '{near[0]}'?)" if near else "")


def _of(frame: pd.DataFrame, statistic: str) -> pd.DataFrame:
    return frame.loc[frame["statistic"] == statistic]


def _length(time: timedelta) -> str:
    days, hours = time / timedelta(days=1), time / timedelta(hours=1)
    return f"{days:.1f} days" if days >= 2 else f"{hours:.1f} hours"


