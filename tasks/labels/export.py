"""Exports a label snapshot as one file."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import ContractError, unknown
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace

_FORMATS = {"parquet": "parquet", "jsonl": "json"}
_LABELS, _WEIGHTS = "labels", "weights"
"""Nested fields of a line."""


@dataclass(frozen=True)
class ExportResult:
    """The file that was written."""

    snapshot: str
    out: str
    format: str
    rows: int


def export(
    workspace: Workspace,
    *,
    out: Path,
    format: Literal["parquet", "jsonl"] = "parquet",  # noqa: A002 - name of the command's option
) -> ExportResult:
    """Write the snapshot of the newest build to one file atomically.

    ``jsonl`` nests a row's labels and loss weights as in the data row of contracts.md. Unobserved labels have
    weight 0, so a loss over the lines ignores them.

    Raises
    ------
    ContractError
        The format is unknown, or a column has the name of a nested field.
    """
    if format not in _FORMATS:
        raise ContractError(unknown("format", format, _FORMATS))
    snapshot = LabelStore(workspace.store, workspace.surface).find(None)
    columns = [exp.Star()] if format == "parquet" else list(_nested(workspace, snapshot))
    query = x.select(columns, x.table("rows"))
    x.order_by(query, x.columns((c.SHOWN_AT, *c.IMPRESSION_KEY), "rows"))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    statement = f"COPY ($query) TO $to (FORMAT {_FORMATS[format]})"
    try:
        with snapshot.opened() as connection:
            assert connection is not None  # noqa: S101 - a snapshot has a row
            connection.execute(x.fill(statement, query=query, to=x.text(partial)))
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return ExportResult(snapshot.id, str(out), format, snapshot.rows)


def _nested(workspace: Workspace, snapshot: Snapshot) -> Iterator[exp.Expr]:
    """Yield the columns of an exported row, with labels and weights nested."""
    tasks, contract, schema = snapshot.tasks(), workspace.contracts.tasks.tasks, snapshot.schema()
    taken = {n for t in tasks for n in (t, c.status(t), c.at(t))}
    for field in schema:
        if field.name.lower() in {_LABELS, _WEIGHTS}:
            raise ContractError(
                f"The impressions' column '{field.name}' has the name of a nested field of jsonl: rename it, "
                "or "
                "export with --format parquet"
            )
        if field.name not in taken:
            yield x.alias(_json_value(x.column(field.name), field.type), field.name)
    observed = {t: x.eq(x.column(c.status(t)), x.text(c.Status.OBSERVED)) for t in tasks}
    labels = {
        t: _object({"value": _json_value(x.column(t), schema.field(t).type), "observed": observed[t]})
        for t in tasks
    }
    yield x.alias(_object(labels), _LABELS)
    weights = {
        t: x.when(observed[t].copy(), x.number(contract[t].loss_weight), x.number(0.0))
        for t in tasks
        if t in contract
    }
    yield x.alias(_object(weights), _WEIGHTS)


def _object(fields: Mapping[str, exp.Expr]) -> exp.Expr:
    return exp.Struct(
        expressions=[exp.PropertyEQ(this=x.name(name), expression=value) for name, value in fields.items()]
    )


def _json_value(value: exp.Expr, kind: pa.DataType, depth: int = 0) -> exp.Expr:
    """Return a JSON value at any depth: instants in ISO 8601, null for NaN and infinities."""
    if pa.types.is_timestamp(kind):
        return x.call("STRFTIME", value, x.text("%Y-%m-%dT%H:%M:%S.%fZ"))
    if pa.types.is_floating(kind):
        return x.when(x.call("ISFINITE", value), value.copy())
    if pa.types.is_struct(kind):
        parts = {field.name: (_part(value, field.name), field.type) for field in kind}
        fields = {name: _json_value(part, of, depth) for name, (part, of) in parts.items()}
        return x.when(x.not_null(value), _object(fields))
    inner = x.column(f"__element_{depth}")
    if pa.types.is_map(kind):
        entry = _object(
            {
                "key": _part(inner, "key"),
                "value": _json_value(_part(inner, "value"), kind.item_type, depth + 1),
            }
        )
        return x.call("MAP_FROM_ENTRIES", _each(x.call("MAP_ENTRIES", value), inner, entry))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _each(value, inner, _json_value(inner, kind.value_type, depth + 1))
    return value


def _part(value: exp.Expr, name: str) -> exp.Expr:
    return x.call("STRUCT_EXTRACT", value.copy(), x.text(name))


def _each(values: exp.Expr, element: exp.Column, to: exp.Expr) -> exp.Expr:
    return x.call("LIST_TRANSFORM", values, exp.Lambda(this=to, expressions=[element.this.copy()]))
