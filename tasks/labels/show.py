"""Counts the labels of a snapshot by task and status, or of the log before a build, and exports a snapshot.

A task with ``before_positive`` has two base rates, because its exclusions drop negatives but not early
positives::

    shown_at ---- positive ---- exclusion ----|      before_positive: true    1, positive by then
                                                     before_positive: false   excluded
    shown_at ------------------ exclusion ----|      both                     excluded

The rate as labelled is too high. The second rate omits the early positives; it is counted on the log.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TaskSpec, TasksSpec
from tasks.errors import ContractError, DataError, unknown
from tasks.labels.compile import compile_days
from tasks.labels.query import Horizon, cut_near, find_label_days, make_credit_tables, make_relations
from tasks.labels.snapshot import Snapshot, file_day
from tasks.labels.status import causes
from tasks.labels.store import LabelStore
from tasks.logs.arrival import find_arrived
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.progress import report
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace, format_instant

Counts = Mapping[str, int]
"""Number of a task's rows: observed, positive, and by each other status."""

_COUNT = """
    SELECT count(*), count_if($label = 1), count_if($spared) FROM ($rows) WHERE $observed
"""


@dataclass(frozen=True)
class BothRates:
    """Base rate as labelled, and without the positives that are followed by an exclusion event.

    ``note`` explains why the second rate is unknown or covers other rows than the snapshot's.
    """

    as_labelled: float | None
    without_spared: float | None
    spared: int | None
    note: str | None = None


@dataclass(frozen=True)
class ShowResult:
    """Rows by task and status; ``positive`` counts the observed labels above 0.

    Attributes
    ----------
    rates : share of positives among observed rows.
    means : for value tasks, the mean of the observed values.
    changed : by task, the observed labels that late events changed in the snapshot's build.
    before_positive : both base rates of tasks with ``before_positive`` exclusions.
    """

    snapshot: str
    as_of: str
    rows: int
    tasks: dict[str, dict[str, int]]
    rates: dict[str, float | None]
    means: dict[str, float | None]
    changed: dict[str, int]
    before_positive: dict[str, BothRates]


def show(workspace: Workspace, *, snapshot: str | None = None) -> ShowResult:
    """Count a snapshot's rows by task and status; by default the newest build's."""
    shown = LabelStore(workspace.store, workspace.surface).find(snapshot)
    counts = {task: _count(shown, task) for task in shown.tasks()}
    values = {name for name, task in workspace.contracts.tasks.tasks.items() if task.kind == "value"}
    return ShowResult(
        snapshot=shown.id,
        as_of=format_instant(shown.as_of),
        rows=shown.rows,
        tasks=counts,
        rates={task: _rate(of_task["positive"], of_task["observed"]) for task, of_task in counts.items()},
        means={task: _mean(shown, task) for task in counts if task in values},
        changed=shown.changed(),
        before_positive=_both_rates(workspace, shown, counts),
    )


def _count(snapshot: Snapshot, task: str) -> dict[str, int]:
    counts = dict.fromkeys(("observed", "positive", *map(str, c.Status)), 0)
    positive = x.alias(x.gt(x.column(task), x.integer(0)), "positive")
    status, rows = x.column(c.status(task)), exp.Count(this=exp.Star())
    query = x.select(
        [x.alias(status, "status"), positive, x.alias(rows, "n")],
        x.table("rows"),
        group=[x.integer(1), x.integer(2)],
    )
    by_status = snapshot.query(query)
    for row in by_status.to_pylist() if by_status is not None else ():
        counts[row["status"]] += row["n"]
        counts["positive"] += row["n"] if row["positive"] else 0
    return counts


def _mean(snapshot: Snapshot, task: str) -> float | None:
    """Return the mean of a value task's labels, or None without observed labels."""
    mean = exp.Avg(this=x.cast(x.column(task), "DOUBLE"))
    found = snapshot.query(x.select([mean], x.table("rows")))
    return None if found is None else found.column(0)[0].as_py()


def _both_rates(
    workspace: Workspace, snapshot: Snapshot, counts: Mapping[str, Counts]
) -> dict[str, BothRates]:
    tasks = [task for task in list_sparing_tasks(workspace.contracts.tasks) if task in counts]
    if not tasks:
        return {}
    if workspace.contracts.digests["tasks"] != snapshot.contract_digest:
        note = "the snapshot was built under another tasks.yaml: build again"
        return {task: _one_rate(counts[task], note) for task in tasks}
    days = {file_day(file) for file in snapshot.files()}
    try:
        with open_log(workspace) as log:
            log.cut(snapshot.as_of)
            log.cut_events(snapshot.as_of)
            return {task: _compare_rates(counts[task], _recount(log, task, snapshot, days)) for task in tasks}
    except DataError as error:
        return {task: _one_rate(counts[task], f"the log cannot be read: {error}") for task in tasks}


def _recount(log: LogTables, task: str, snapshot: Snapshot, days: Iterable[date]) -> tuple[int, int, int]:
    """Count a task's observed rows, positives, and positives followed by an exclusion, on the log."""
    tasks = keep_chain(log.contracts.tasks, task)
    label_days = find_label_days(tasks, days)
    horizon = Horizon(snapshot.as_of, find_arrived(log, as_of=snapshot.as_of))
    query = compile_days(log, tasks, horizon=horizon, days=label_days, labels_only=False)
    make_relations(log, query)
    last = x.select([exp.Star()], x.table(query.last_layer))
    ((observed, positive, spared),) = log.fetch(
        _COUNT,
        label=x.column(task),
        spared=has_exclusion(tasks, task),
        rows=x.with_relations(last, query.layers.items()),
        observed=x.eq(x.column(c.status(task)), x.text(c.Status.OBSERVED)),
    )
    return observed, positive, spared


def _compare_rates(counts: Counts, recount: tuple[int, int, int]) -> BothRates:
    observed, positive, spared = recount
    note = None
    if (counts["observed"], counts["positive"]) != (observed, positive):
        note = (
            f"the log now gives {positive:,} positives of {observed:,} rows: it has changed since the "
            "snapshot was built, and the second rate is the log's"
        )
    without = _rate(positive - spared, observed - spared)
    return BothRates(_rate(counts["positive"], counts["observed"]), without, spared, note)


def _one_rate(counts: Counts, note: str) -> BothRates:
    return BothRates(_rate(counts["positive"], counts["observed"]), None, None, note)


def _rate(positive: int, observed: int) -> float | None:
    return positive / observed if observed else None


def list_sparing_tasks(tasks: TasksSpec) -> tuple[str, ...]:
    """Return the binary tasks with an exclusion that retains rows that were positive before it."""
    return tuple(
        name
        for name, task in tasks.tasks.items()
        if task.positive and any(exclusion.before_positive for exclusion in task.exclude)
    )


def keep_chain(tasks: TasksSpec, *names: str) -> TasksSpec:
    """Return a contract with only these tasks and the tasks that they depend on."""
    needed = [*names]
    for task in needed:
        needed += tasks.needs(task)
    return _with_tasks(tasks, {n: task for n, task in tasks.tasks.items() if n in needed})


def has_exclusion(tasks: TasksSpec, name: str) -> exp.Expr:
    """Condition that an exclusion event lies in a task's window, even after a positive."""
    task = tasks.tasks[name]
    strict = tuple(out.model_copy(update={"before_positive": False}) for out in task.exclude)
    other = _with_tasks(tasks, {**tasks.tasks, name: task.model_copy(update={"exclude": strict})})
    return x.any_of(
        *(cause.holds for cause in causes(other, name, None) if cause.status is c.Status.EXCLUDED)
    )


def _with_tasks(spec: TasksSpec, tasks: Mapping[str, TaskSpec]) -> TasksSpec:
    return TasksSpec(contract=spec.contract, version=spec.version, tasks=dict(tasks))


@dataclass(frozen=True)
class LabelCount:
    """Observed labels of a task; ``positives`` are those other than 0."""

    observed: int = 0
    positives: int = 0

    def __add__(self, other: "LabelCount") -> "LabelCount":
        """Add two counts."""
        return LabelCount(self.observed + other.observed, self.positives + other.positives)


def count_labels(
    log: LogTables, days: Iterable[date], *, as_of: datetime
) -> dict[str, Mapping[date, LabelCount]]:
    """Count the labels of some days as of an instant, by task and day.

    Parameters
    ----------
    log : tables in the caller's own connection; their views are cut to the files of these days.
    """
    tasks, wanted = log.contracts.tasks, find_label_days(log.contracts.tasks, days)
    horizon = Horizon(as_of, find_arrived(log, as_of=as_of))
    cut_near(log, wanted, as_of=as_of)
    query = compile_days(log, tasks, horizon=horizon, days=wanted, labels_only=True)
    for done, (task, creditings) in enumerate(query.creditings.items()):
        report(task, done=done, of=len(query.creditings) + 1)
        make_credit_tables(log, creditings)
    counts = [count for task in tasks.tasks for count in _count_columns(task)]
    day = x.cast(x.column(c.DAY), "DATE")
    rows = log.fetch(
        "SELECT $day, $counts FROM ($labels) GROUP BY 1", day=day, counts=counts, labels=query.labels()
    )
    return {
        task: {row[0]: LabelCount(*row[1 + 2 * n : 3 + 2 * n]) for row in rows}
        for n, task in enumerate(tasks.tasks)
    }


def _count_columns(task: str) -> Iterator[exp.Expr]:
    observed = x.eq(x.column(c.status(task)), x.text(c.Status.OBSERVED))
    positive = x.not_(x.eq(x.column(task), x.integer(0)))
    yield x.call("COUNT_IF", observed)
    yield x.call("COUNT_IF", x.all_of(observed.copy(), positive))


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
