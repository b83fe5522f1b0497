"""Differences between two label snapshots by task, by day, and from which label to which.

Days whose files both snapshots share are equal and are not read. Rows of the other days are joined by
impression, even if the snapshots have it on different days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.labels.snapshot import Snapshot, file_day
from tasks.labels.store import LabelStore
from tasks.logs.session import open_session
from tasks.sql import expressions as x
from tasks.stores.location import Location
from tasks.stores.workspace import Workspace, format_instant

_OPEN = """
    CREATE TEMP VIEW $side AS
    SELECT $columns FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE})
"""
_NONE = "CREATE TEMP VIEW $side AS SELECT $columns LIMIT 0"
_DIFFERING = """
    CREATE TEMP TABLE differing AS
    SELECT coalesce(b.$day, a.$day)::VARCHAR AS $day, $appeared AS appeared, $gone AS gone, $columns
    FROM before AS a FULL JOIN after AS b ON $same WHERE $differs
"""
_ROWS = """
    SELECT $day, count(*) FILTER (appeared), count(*) FILTER (gone) FROM differing
    WHERE appeared OR gone GROUP BY 1 ORDER BY 1
"""
_MOVES = """
    SELECT $day, was, CASE WHEN was = is_now THEN is_now || $other ELSE is_now END, count(*)
    FROM (SELECT $day, $was AS was, $is_now AS is_now FROM differing
          WHERE NOT appeared AND NOT gone AND ($differs))
    GROUP BY ALL ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Side:
    """A snapshot with the contract that it was built under."""

    snapshot: str
    as_of: str
    rows: int
    contract_version: int | None
    contract_digest: str


@dataclass(frozen=True)
class Transition:
    """The number of labels that changed from one value to another, such as ``immature`` to ``observed 1``."""

    before: str
    after: str
    rows: int
    days: dict[str, int]


@dataclass(frozen=True)
class Difference:
    """The difference of two snapshots: impressions by day, and transitions by task, most changes first."""

    before: Side
    after: Side
    days_compared: int
    days_shared: int
    appeared: dict[str, int]
    gone: dict[str, int]
    only_before: list[str]
    only_after: list[str]
    tasks: dict[str, list[Transition]]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "from": vars(self.before),
            "to": vars(self.after),
            "contract_changed": self.before.contract_digest != self.after.contract_digest,
            "days_compared": self.days_compared,
            "days_shared": self.days_shared,
            "appeared": self.appeared,
            "gone": self.gone,
            "tasks_only_in_from": self.only_before,
            "tasks_only_in_to": self.only_after,
            "tasks": {
                task: {
                    "changed": sum(move.rows for move in moves),
                    "transitions": [
                        {"from": m.before, "to": m.after, "rows": m.rows, "days": m.days} for m in moves
                    ],
                }
                for task, moves in self.tasks.items()
            },
        }


def diff(workspace: Workspace, *, before: str, after: str) -> Difference:
    """Compare two snapshots of a surface.

    Raises
    ------
    DataError
        The store has no such snapshot.
    StoreError
        Files of a compared day are missing, or contain other rows than were built.
    """
    store = LabelStore(workspace.store, workspace.surface)
    old, new = store.snapshot(before), store.snapshot(after)
    old_days, new_days = _files(old), _files(new)
    shared = {day for day, paths in old_days.items() if new_days.get(day) == paths}
    old_tasks, new_tasks = old.tasks(), new.tasks()
    both = [task for task in new_tasks if task in old_tasks]
    with open_session(workspace) as connection:
        for side, snapshot, days in (("before", old, old_days), ("after", new, new_days)):
            own = days.keys() - shared
            snapshot.verify(connection, own)
            _open(connection, side, [path for day in own for path in days[day]], both)
        _join(connection, both)
        rows = connection.sql(x.fill(_ROWS, day=x.name(c.DAY))).fetchall()
        appeared, gone = {day: n for day, n, _ in rows if n}, {day: n for day, _, n in rows if n}
        kinds = {task: new.schema().field(task).type for task in both}
        moves = {t: _transitions(connection, t, value=pa.types.is_floating(kinds[t])) for t in both}
    most = sorted(both, key=lambda task: -sum(move.rows for move in moves[task]))
    return Difference(
        before=_side(old),
        after=_side(new),
        days_compared=len({*old_days, *new_days} - shared),
        days_shared=len(shared),
        appeared=appeared,
        gone=gone,
        only_before=[task for task in old_tasks if task not in both],
        only_after=[task for task in new_tasks if task not in both],
        tasks={task: moves[task] for task in most},
    )


def _files(snapshot: Snapshot) -> dict[date, frozenset[Location]]:
    days: dict[date, set[Location]] = {}
    for file in snapshot.files():
        days.setdefault(file_day(file), set()).add(file.path)
    return {day: frozenset(paths) for day, paths in days.items()}


def _side(snapshot: Snapshot) -> Side:
    version, named = None, x.column(c.CONTRACT_VERSION)
    if c.CONTRACT_VERSION in snapshot.schema().names:
        query = x.select([x.alias(exp.Max(this=named), "version")], x.table("rows"))
        newest = snapshot.query(query, snapshot.last_day, snapshot.last_day)
        version = newest.column(0)[0].as_py() if newest is not None else None
    as_of = format_instant(snapshot.as_of)
    return Side(snapshot.id, as_of, snapshot.rows, version, snapshot.contract_digest)


def _open(
    connection: duckdb.DuckDBPyConnection, side: str, paths: Sequence[Location], tasks: Sequence[str]
) -> None:
    """Create a view of a snapshot's rows: key, day and the tasks' columns, with equal types on both sides."""
    kinds = dict.fromkeys(c.IMPRESSION_KEY, "VARCHAR") | {c.DAY: "DATE"}
    for task in tasks:
        kinds |= {task: "DOUBLE", c.status(task): "VARCHAR", c.at(task): "TIMESTAMPTZ"}
    columns = [
        x.alias(x.cast(x.column(name) if paths else exp.Null(), kind), name) for name, kind in kinds.items()
    ]
    template = _OPEN if paths else _NONE
    connection.execute(
        x.fill(
            template, side=x.name(side), columns=columns, **({"paths": x.file_names(paths)} if paths else {})
        )
    )


def _join(connection: duckdb.DuckDBPyConnection, tasks: Sequence[str]) -> None:
    """Create the table of impressions that only one side contains or that have a different label."""
    names = [name for task in tasks for name in (task, c.status(task), c.at(task))]
    columns = [x.alias(x.column(name, side), f"{side}_{name}") for side in "ab" for name in names]
    appeared, gone = (x.is_null(x.column(c.REQUEST_ID, side)) for side in "ab")
    differs = [_other(x.column(name, "a"), x.column(name, "b")) for name in names]
    connection.execute(
        x.fill(
            _DIFFERING,
            day=x.name(c.DAY),
            appeared=appeared,
            gone=gone,
            columns=columns,
            same=x.eq_columns(c.IMPRESSION_KEY, "a", "b"),
            differs=x.any_of(appeared.copy(), gone.copy(), *differs),
        )
    )


def _transitions(connection: duckdb.DuckDBPyConnection, task: str, *, value: bool) -> list[Transition]:
    names = (task, c.status(task), c.at(task))
    parts: dict[str, x.Part] = {
        "day": x.name(c.DAY),
        "was": _label_text(task, "a", value=value),
        "is_now": _label_text(task, "b", value=value),
        "other": x.text(", another value" if value else ", another event"),
        "differs": x.any_of(*(_other(x.column(f"a_{n}"), x.column(f"b_{n}")) for n in names)),
    }
    days_of: dict[tuple[str, str], dict[str, int]] = {}
    for day, was, is_now, rows in connection.sql(x.fill(_MOVES, **parts)).fetchall():
        days_of.setdefault((was, is_now), {})[day] = rows
    moves = [Transition(*pair, sum(days.values()), days) for pair, days in days_of.items()]
    return sorted(moves, key=lambda move: (-move.rows, move.before, move.after))


def _label_text(task: str, side: str, *, value: bool) -> exp.Expr:
    """Return a label as text: its status, and the value of an observed label of a binary task."""
    status = x.column(f"{side}_{c.status(task)}")
    if value:
        return status
    whole = x.cast(x.cast(x.column(f"{side}_{task}"), "TINYINT"), "VARCHAR")
    observed = exp.DPipe(this=exp.DPipe(this=status, expression=x.text(" ")), expression=whole)
    return x.coalesce(observed, status.copy())


def _other(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.NullSafeNEQ(this=left, expression=right)
