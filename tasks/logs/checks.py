"""Checks of a log table's columns against the contracts, and the quarantine of invalid rows.

Columns are checked before a row is read. Each message names the table, the column, its kind and the remedy;
one error lists all problems of a table.

The quarantine stores rows that no build uses, with rule, reason and the first as-of, as JSON. A digest of
each row prevents storing it twice; identical rows are distinguished by a number.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.errors import DataError, unknown
from tasks.logs import footers as kinds
from tasks.logs import rows
from tasks.logs.footers import Column, File, Table, View, refuse_odd_names
from tasks.logs.rows import CANDIDATES, CONFLICTING_EVENT, EVENTS, NO_EVENT, NO_KEY, REPEATED_KEY
from tasks.logs.tables import IDS, LogTables, match_columns
from tasks.sql import expressions as x
from tasks.stores import delta
from tasks.stores.delta import DataFile, NewFiles
from tasks.stores.location import Location, size_of
from tasks.stores.workspace import Workspace

_INSTANT = frozenset({kinds.INSTANT})
_ID = frozenset({kinds.STRING, kinds.INTEGER})
_NUMBER = frozenset({kinds.INTEGER, kinds.NUMBER})
_WORD = frozenset({kinds.STRING})
_FLAG = frozenset({kinds.BOOLEAN})
_ANY = _ID | _NUMBER | _FLAG | _INSTANT


_OF_EVENTS = frozenset({c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT, c.EVENT_ID})
_OF_IMPRESSIONS = frozenset({c.SHOWN_AT, c.POSITION, c.PROPENSITY, c.VISIBLE})
"""Standard columns that only one table has; another table may use such a name for a column of its own."""


def rename_columns(table: Table, ours_theirs: Mapping[str, str]) -> View:
    """Return a table under standard column names; unmapped columns keep their names."""
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
    """Return the columns that a table must have, each with its allowed kinds of values."""
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
    """Refuse a table with missing columns or columns of another kind."""
    problems = list(_problems(view, needed_columns(view.table.name, contracts), contracts.surface.columns))
    if problems:
        raise DataError("\n".join(problems))


def check_same_kinds(impressions: View, other: View, names: Iterable[str]) -> None:
    """Refuse two tables that contain a column with different kinds of values."""
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
        return f"{view.table.name}: column '{column.name}' is null in all {rows} rows: deliver its values"
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


BAD_ROWS = "bad_rows"
REASONS = {
    REPEATED_KEY: "another impression has the same request_id and item_id and comes before it",
    NO_KEY: "request_id, item_id or shown_at is null",
    NO_EVENT: "the event has no name or no time",
    CONFLICTING_EVENT: "another event has the same event_id and other content, and was known before it",
}
_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("as_of", pa.timestamp("us", "UTC")),
        ("row", pa.string()),
        ("digest", pa.string()),
    ]
)

_CREATE = """
    CREATE OR REPLACE TEMP TABLE $name ("table" VARCHAR, rule VARCHAR, reason VARCHAR, "row" VARCHAR)
"""
_INSERT = """
    INSERT INTO $name SELECT $table, $rule, $reason, to_json("_row")::VARCHAR FROM ($query) AS "_row"
"""
_COPY_NEW = """
    COPY (
      SELECT "table", rule, reason, $as_of AS as_of, "row",
             md5(concat_ws('|', "table", rule, "row", n)) AS digest
      FROM (SELECT *, row_number() OVER (PARTITION BY "table", rule, "row") AS n FROM $name)
      WHERE $new
    ) TO $to (FORMAT parquet)
"""


def quarantine_bad_rows(
    workspace: Workspace, log: LogTables, *, as_of: datetime, files: Mapping[str, Sequence[File]]
) -> int:
    """Append the invalid rows that are not yet in the quarantine; return the number of invalid rows."""
    find_bad_rows(log, as_of=as_of, files=files)
    table = workspace.quarantine
    delta.set_torn_commits_aside(table)
    delta.sweep_left_behind(table, log.folder.parent)
    version = delta.version_of(table)
    known = [file.path for file in delta.files_of(table)] if version is not None else []
    file = table / f"{delta.part_name(log.folder.parent, str(uuid.uuid4()))}.parquet"
    count, size = copy_new_bad_rows(log, file, as_of=as_of, known=known)
    if count == 0:
        file.unlink()
        return 0
    delta.commit(table, NewFiles([DataFile(file, count, size, {})], _SCHEMA), expected=version)
    return count


def find_bad_rows(log: LogTables, *, as_of: datetime, files: Mapping[str, Sequence[File]]) -> None:
    """Create the relation ``bad_rows``: table, rule, reason, row. Requires ``log.cut`` and ``cut_events``."""
    name = x.name(BAD_ROWS)
    log.connection.execute(x.fill(_CREATE, name=name))
    for table, of_table in files.items():
        log.view(f"bad_{table}", table, of_table)
    later = x.gt(x.column(rows.PLACE), x.integer(1))
    repeated = x.select(x.columns(log.log.impressions), x.table(rows.DUPLICATES), where=[later])
    no_event = rows.lacks_event(as_of, ingested=log.log.has_arrival)
    bad = [
        (rows.IMPRESSIONS, REPEATED_KEY, repeated),
        (rows.IMPRESSIONS, NO_KEY, _select_bad(rows.IMPRESSIONS, rows.lacks_key(as_of))),
        (rows.EVENTS, NO_EVENT, _select_bad(rows.EVENTS, no_event)),
    ]
    if log.log.has_event_ids:
        conflicting = x.select([exp.Star()], x.table(rows.CONFLICTING_EVENTS))
        bad.append((rows.EVENTS, CONFLICTING_EVENT, conflicting))
    for table, rule, query in bad:
        texts = {"table": x.text(table), "rule": x.text(rule), "reason": x.text(REASONS[rule])}
        log.connection.execute(x.fill(_INSERT, name=name, query=query, **texts))


def copy_new_bad_rows(
    log: LogTables, to: Location, *, as_of: datetime, known: Sequence[Location]
) -> tuple[int, int]:
    """Write invalid rows that no known file contains to Parquet; return their number and size in bytes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    digest = x.column("digest")
    seen = x.select([digest], x.call("READ_PARQUET", x.file_names(known)))
    new = x.not_(exp.In(this=digest.copy(), query=exp.Subquery(this=seen))) if known else exp.true()
    instant, name = x.instant(as_of), x.table(BAD_ROWS)
    ((count,),) = log.fetch(_COPY_NEW, name=name, as_of=instant, new=new, to=x.text(to))
    return int(count), size_of(to)


def _select_bad(table: str, condition: exp.Expr) -> exp.Select:
    return x.select([exp.Star()], x.table(f"bad_{table}"), where=[condition])
