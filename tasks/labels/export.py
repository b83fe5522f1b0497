"""A label snapshot seen from outside: counted by task and status, and given away as one file."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import ContractError, DataError, unknown
from tasks.labels.base_rates import BothRates, both_rates, rate
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores.workspace import Workspace, format_instant

_FORMATS = {"parquet": "parquet", "jsonl": "json"}


@dataclass(frozen=True)
class ShowResult:
    """Rows by task and status; ``positive`` are the observed ones above 0.

    ``rates`` are positive over observed, ``changed`` counts by task the observed labels that the build of the
    snapshot changed through late events, ``before_positive`` gives the rates of tasks that spare rows.
    """

    snapshot: str
    as_of: str
    rows: int
    tasks: dict[str, dict[str, int]]
    rates: dict[str, float | None]
    changed: dict[str, int]
    before_positive: dict[str, BothRates]


@dataclass(frozen=True)
class ExportResult:
    """The file that was written."""

    snapshot: str
    out: str
    format: str
    rows: int


def show(workspace: Workspace, *, snapshot: str | None = None) -> ShowResult:
    """Count a snapshot's rows by task and status; by default those of the newest build."""
    found = find(workspace, snapshot)
    counted = {
        task: dict.fromkeys(("observed", "positive", *map(str, c.Status)), 0) for task in found.tasks()
    }
    for task, counts in counted.items():
        positive = x.alias(x.gt(x.column(task), x.integer(0)), "positive")
        status, rows = x.column(c.status(task)), exp.Count(this=exp.Star())
        query = x.select([x.alias(status, "status"), positive, x.alias(rows, "n")], x.table("rows"))
        query.set("group", exp.Group(expressions=[x.integer(1), x.integer(2)]))
        by_status = found.query(query)
        for row in by_status.to_pylist() if by_status is not None else ():
            counts[row["status"]] += row["n"]
            counts["positive"] += row["n"] if row["positive"] else 0
    return ShowResult(
        snapshot=found.id,
        as_of=format_instant(found.as_of),
        rows=found.rows,
        tasks=counted,
        rates={task: rate(counts["positive"], counts["observed"]) for task, counts in counted.items()},
        changed=found.changed(),
        before_positive=both_rates(workspace, found, counted),
    )


def export(
    workspace: Workspace,
    *,
    out: Path,
    format: Literal["parquet", "jsonl"] = "parquet",  # noqa: A002 - the command's own word
) -> ExportResult:
    """Write the snapshot of the newest build as one file, whole or not at all.

    ``jsonl`` nests a row's labels and loss weights as the data row of contracts.md does.

    Raises
    ------
    ContractError
        The format is not known.
    """
    if format not in _FORMATS:
        raise ContractError(unknown("format", format, _FORMATS))
    found = find(workspace, None)
    columns = [exp.Star()] if format == "parquet" else list(_nested(workspace, found))
    query = x.select(columns, x.table("rows"))
    x.order_by(query, x.columns((c.SHOWN_AT, *c.IMPRESSION_KEY), "rows"))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    statement = f"COPY ($query) TO $to (FORMAT {_FORMATS[format]})"
    try:
        with found.opened() as connection:
            assert connection is not None  # noqa: S101 - a snapshot has a row
            connection.execute(fill(statement, query=query, to=x.text(partial)))
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return ExportResult(found.id, str(out), format, found.rows)


def find(workspace: Workspace, snapshot: str | None) -> Snapshot:
    """Find a snapshot by its name, by default that of the newest build.

    Raises
    ------
    DataError
        There is none.
    """
    store = LabelStore(workspace.home, workspace.surface)
    if snapshot is not None:
        return store.snapshot(snapshot)
    last = store.last()
    if last is None:
        build = f"equipoise labels build {workspace.surface} --as-of T"
        raise DataError(f"{workspace.surface} has no labels yet. Build them: `{build}`")
    return last.snapshot


def _nested(workspace: Workspace, snapshot: Snapshot) -> Iterator[exp.Expr]:
    """Yield the columns of the nested row: instants in ISO 8601, NaN as null, labels and weights nested."""
    tasks, contract = snapshot.tasks(), workspace.contracts.tasks.tasks
    taken = {n for t in tasks for n in (t, c.status(t), c.at(t))}
    for field in snapshot.schema():
        if field.name not in taken:
            yield x.alias(_json_value(field), field.name)
    observed = {t: x.eq(x.column(c.status(t)), x.text(c.Status.OBSERVED)) for t in tasks}
    labels = {t: _object({"value": x.column(t), "observed": observed[t]}) for t in tasks}
    yield x.alias(_object(labels), "labels")
    weights = {t: x.number(contract[t].loss_weight) for t in tasks if t in contract}
    yield x.alias(_object(weights), "weights")


def _object(fields: Mapping[str, exp.Expr]) -> exp.Expr:
    return exp.Struct(
        expressions=[exp.PropertyEQ(this=x.name(name), expression=value) for name, value in fields.items()]
    )


def _json_value(field: pa.Field) -> exp.Expr:
    column = x.column(field.name)
    if pa.types.is_timestamp(field.type):
        return x.call("STRFTIME", column, x.text("%Y-%m-%dT%H:%M:%S.%fZ"))
    if pa.types.is_floating(field.type):
        return x.when(x.call("ISFINITE", column), column.copy())
    return column
