"""A label snapshot seen from outside: counted by task and status, and given away as one file."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import ContractError, DataError
from tasks.steps.context import Context, format_instant
from tasks.stores import delta
from tasks.stores.label_store import LabelStore, Snapshot


@dataclass(frozen=True)
class ShowResult:
    """Rows by task and status; ``positive`` are the observed ones above 0."""

    snapshot: str
    as_of: str
    rows: int
    tasks: dict[str, dict[str, int]]


@dataclass(frozen=True)
class ExportResult:
    """The file that was written."""

    snapshot: str
    out: str
    format: str
    rows: int


def show(context: Context, *, snapshot: str | None = None) -> ShowResult:
    """Count a snapshot's rows by task and status; by default those of the newest build."""
    store, found = _find(context, snapshot)
    tasks = _tasks(found)
    counts = [*(f"count(*) FILTER ({_status(t)} = '{s}')" for t in tasks for s in c.Status)]
    counts += [f"count(*) FILTER ({_quoted(t)} > 0)" for t in tasks]
    query = f"SELECT {', '.join(counts)} FROM {store.source(found)}"  # noqa: S608 - names are quoted
    with duckdb.connect() as connection:
        numbers = iter(connection.sql(query).fetchall()[0])
    by_status = {task: {str(status): next(numbers) for status in c.Status} for task in tasks}
    positive = {task: next(numbers) for task in tasks}
    return ShowResult(
        found.id,
        format_instant(found.as_of),
        found.rows,
        {
            t: {"observed": by_status[t].pop("observed"), "positive": positive[t], **by_status[t]}
            for t in tasks
        },
    )


def export(
    context: Context,
    *,
    out: Path,
    format: Literal["parquet", "jsonl"] = "parquet",
    snapshot: str | None = None,
) -> ExportResult:
    """Write a snapshot as one file, whole or not at all; by default that of the newest build.

    ``jsonl`` nests a row's labels and loss weights as the data row of contracts.md does.

    Raises
    ------
    ContractError
        The format is not known.
    """
    if format not in {"parquet", "jsonl"}:
        raise ContractError(f"Unknown format '{format}'. Known: jsonl, parquet")
    store, found = _find(context, snapshot)
    columns = "*" if format == "parquet" else _nested(context, found)
    order = ", ".join(_quoted(name) for name in (c.SHOWN_AT, *c.IMPRESSION_KEY))
    query = f"SELECT {columns} FROM {store.source(found)} ORDER BY {order}"  # noqa: S608 - names are quoted
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    target, kind = exp.Literal.string(str(partial)).sql(), "parquet" if format == "parquet" else "json"
    try:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY ({query}) TO {target} (FORMAT {kind})")
        os.replace(partial, out)  # noqa: PTH105 - Path.replace is the same call
    finally:
        partial.unlink(missing_ok=True)
    return ExportResult(found.id, str(out), format, found.rows)


def _find(context: Context, snapshot: str | None) -> tuple[LabelStore, Snapshot]:
    store = LabelStore(context.home, context.surface)
    if snapshot is not None:
        return store, store.snapshot(snapshot)
    last = store.last()
    if last is None:
        raise DataError(
            f"{context.surface} has no labels yet. Build them with `equipoise labels build {context.surface} --as-of T`"
        )
    return store, last.snapshot


def _tasks(snapshot: Snapshot) -> list[str]:
    names = delta.schema_of(Path(snapshot.path), snapshot.version).names
    return [name for name in names if c.status(name) in names]


def _nested(context: Context, snapshot: Snapshot) -> str:
    """Return the columns of the nested row: instants as ISO 8601, NaN as null, labels and weights as objects."""
    schema = delta.schema_of(Path(snapshot.path), snapshot.version)
    tasks = _tasks(snapshot)
    taken = {n for t in tasks for n in (t, c.status(t), c.at(t))}
    plain = [f"{_json_value(f)} AS {_quoted(f.name)}" for f in schema if f.name not in taken]
    labels = ", ".join(
        f"{_quoted(t)} := struct_pack(value := {_quoted(t)}, observed := {_status(t)} = '{c.Status.OBSERVED}')"
        for t in tasks
    )
    contract = context.contracts.tasks.tasks
    weights = ", ".join(f"{_quoted(t)} := {contract[t].loss_weight}" for t in tasks if t in contract)
    return ", ".join([*plain, f"struct_pack({labels}) AS labels", f"struct_pack({weights}) AS weights"])


def _json_value(field: pa.Field) -> str:
    name = _quoted(field.name)
    if pa.types.is_timestamp(field.type):
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"CASE WHEN isfinite({name}) THEN {name} END" if pa.types.is_floating(field.type) else name


def _status(task: str) -> str:
    return _quoted(c.status(task))


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")
