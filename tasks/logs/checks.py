"""Checks of a log table's columns against the contracts, before a row is read.

Every message names the table, the column, its kind and the remedy; all problems of a table come in one error.
"""

from collections.abc import Iterable, Iterator, Mapping

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.errors import DataError, unknown
from tasks.logs import footers as kinds
from tasks.logs.footers import Column, Table, View, refuse_odd_names
from tasks.logs.rows import CANDIDATES, EVENTS
from tasks.logs.schema import IDS, match_columns

_INSTANT = frozenset({kinds.INSTANT})
_ID = frozenset({kinds.STRING, kinds.INTEGER})
_NUMBER = frozenset({kinds.INTEGER, kinds.NUMBER})
_WORD = frozenset({kinds.STRING})
_FLAG = frozenset({kinds.BOOLEAN})
_ANY = _ID | _NUMBER | _FLAG | _INSTANT


_OF_EVENTS = frozenset({c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT, c.EVENT_ID})
_OF_IMPRESSIONS = frozenset({c.SHOWN_AT, c.POSITION, c.PROPENSITY, c.VISIBLE})
"""Columns of ours that one table alone has: in another, a column of the mapped name is one of its own."""


def rename_columns(table: Table, ours_theirs: Mapping[str, str]) -> View:
    """Return a table under our column names; a column that the surface does not map keeps its own."""
    elsewhere = _OF_IMPRESSIONS if table.name == EVENTS else _OF_EVENTS
    mapped = {
        name_here: name_in_log
        for name_here, name_in_log in ours_theirs.items()
        if name_in_log in table.columns and name_here not in elsewhere
    }
    both = sorted(o for o, t in mapped.items() if o in table.columns and o != t and o not in mapped.values())
    if both:
        raise DataError(
            f"{table.name} have both '{both[0]}' and '{mapped[both[0]]}', which surface.yaml maps to it: "
            "drop one, or the mapping"
        )
    for name, name_in_log in mapped.items():
        if other := next((o for o, t in mapped.items() if t == name_in_log and o != name), None):
            raise DataError(
                f"{table.name}: surface.yaml columns map both '{name}' and '{other}' to '{name_in_log}', and "
                "a column has one name: write it twice, or let the contracts name one"
            )
    theirs_ours = {name_in_log: name_here for name_here, name_in_log in mapped.items()}
    name_here = {theirs_ours.get(name, name): column for name, column in table.columns.items()}
    refuse_odd_names(table.name, name_here)
    return View(table, {name: column for name, column in name_here.items() if name.lower() != c.DAY})


def needed_columns(table: str, contracts: Contracts) -> dict[str, frozenset[str]]:
    """Return the columns that a table must have, each with the kinds of values that it may have."""
    match = dict.fromkeys(match_columns(contracts.tasks), _ANY)
    ids = {name: _ID for name in match if name in IDS}
    if table == EVENTS:
        base = {c.EVENT: _WORD, c.HAPPENED_AT: _INSTANT, **match, **ids}
        if c.EVENT_ID in contracts.surface.columns:
            base[c.EVENT_ID] = _ID
        return {**base, c.VALUE: _NUMBER} if _reads_values(contracts) else base
    surface = contracts.surface
    described = (*surface.features.categorical, *(s.column for s in surface.segments))
    base = {
        **dict.fromkeys(described, _ANY),
        **dict.fromkeys((*surface.features.numeric, *surface.values), _NUMBER | _FLAG),
        **dict.fromkeys(IDS, _ID),
        c.SHOWN_AT: _INSTANT,
    }
    if table == CANDIDATES:
        return {**base, c.SHOWN: _FLAG}
    observing = [t.observed_when.column for t in contracts.tasks.tasks.values() if t.observed_when]
    deadlines = dict.fromkeys(contracts.tasks.deadlines, _INSTANT)
    return {**match, **base, **ids, **dict.fromkeys((n for n in observing if n), _FLAG), **deadlines}


_OPTIONAL: Mapping[str, frozenset[str]] = {
    c.INGESTED_AT: _INSTANT,
    c.EVENT_ID: _ID,
    c.VALUE: _NUMBER,
    c.POSITION: _NUMBER,
    c.PROPENSITY: _NUMBER,
    c.DRAWABLE: _FLAG,
    **dict.fromkeys(IDS, _ID),
}


def check_columns(view: View, contracts: Contracts) -> None:
    """Refuse a table that lacks a column or has one of another kind."""
    problems = list(_problems(view, needed_columns(view.table.name, contracts), contracts.surface.columns))
    if problems:
        raise DataError("\n".join(problems))


def check_same_kinds(impressions: View, other: View, names: Iterable[str]) -> None:
    """Refuse two tables that hold a column with different kinds of values."""
    for name in names:
        name_here, name_in_log = (v.columns.get(name, Column(name)) for v in (impressions, other))
        if name_here.absent or name_in_log.absent or name_here.kind == name_in_log.kind:
            continue
        raise DataError(
            f"Column '{name}' is {name_here.kind} in {impressions.table.name} and {name_in_log.kind} in "
            f"{other.table.name}: write both with one type"
        )


def _reads_values(contracts: Contracts) -> bool:
    return any(
        (task.value is not None and task.value.aggregate != "count")
        or (task.positive is not None and task.positive.bounds_values)
        for task in contracts.tasks.tasks.values()
    )


def _problems(
    view: View, wanted: Mapping[str, frozenset[str]], ours_theirs: Mapping[str, str]
) -> Iterator[str]:
    where = view.table.name
    for name, allowed in {**_OPTIONAL, **wanted}.items():
        column = view.columns.get(name)
        if column is None or column.absent:
            if name in wanted:
                yield _missing(view, name, column, ours_theirs.get(name, name))
            continue
        if len(column.kinds) > 1 and (name in IDS or not column.kinds.keys() <= _NUMBER):
            named = ", ".join(f"{kind} in {file}" for kind, file in column.kinds.items())
            yield f"{where}: column '{column.name}' has several types: {named}. Write it with one"
        elif column.kind not in allowed:
            remedy = _remedy(name, column.kind, allowed)
            yield f"{where}: column '{column.name}' is of kind {column.kind}{remedy}"


def _missing(view: View, name: str, column: Column | None, name_in_log: str) -> str:
    if column is not None:
        rows = f"{view.table.rows:,}"
        return f"{view.table.name}: column '{column.name}' is null in all {rows} rows: bring its values"
    mapped = f" (surface.yaml columns map '{name}' to it)" if name_in_log != name else ""
    return unknown("column", name_in_log, view.table.columns, where=f"{view.table.name}{mapped}").replace(
        "Unknown column", "Missing column"
    )


def _remedy(name: str, kind: str, allowed: frozenset[str]) -> str:
    if allowed is _INSTANT:
        naive = ": convert it first, from the zone that its writer meant, to UTC; then"
        return f"{naive if kind == kinds.WITHOUT_ZONE else ':'} write it in microseconds with the zone UTC"
    must = "ids are" if name in IDS else "it must be"
    return f": {must} {' or '.join(sorted(allowed))}"
