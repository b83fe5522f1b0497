"""Compares the log's columns with the contracts' requirements before anything is built or trained.

::

    surface, tasks           columns of each table            checks.py
    utility, slate, gates    columns that the policy reads       candidates if logged, else impressions
    training, sampling       columns of the impressions

Only footers are read. Tables of a server are not checked here, nor are logs that have not arrived.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tasks import columns as c
from tasks.contracts import Contracts, Problem, SlateSpec
from tasks.contracts.metrics import (
    OF_COLUMNS,
    MetricKind,
    metric_columns,
    named_metrics,
    parse_metric,
    read_metric,
)
from tasks.contracts.slate import Condition
from tasks.contracts.surface import parse_source
from tasks.contracts.utility import HardConstraint, Multiplier
from tasks.errors import ContractError, DataError, unknown
from tasks.evaluation.segments import UNKNOWN, bin_labels
from tasks.logs import footers as kinds
from tasks.logs.checks import check_columns, check_same_kinds, rename_columns
from tasks.logs.footers import View, read_footers
from tasks.logs.rows import CANDIDATES, EVENTS, IMPRESSIONS
from tasks.logs.sources import resolve_path
from tasks.logs.tables import IDS, match_columns
from tasks.stores.location import Location

_LOG = logging.getLogger("equipoise")
_OF_ONE_TASK: Final = "training."
_NUMBER = frozenset({kinds.INTEGER, kinds.NUMBER})
_FLAG = frozenset({kinds.BOOLEAN, *_NUMBER})
_ANY = frozenset({kinds.STRING, *_FLAG, kinds.INSTANT})
_LIST = frozenset({kinds.LIST})


@dataclass(frozen=True)
class TableSize:
    """A log table: its files and rows, or why it was not checked."""

    table: str
    files: int = 0
    rows: int = 0
    missing: str | None = None


@dataclass(frozen=True)
class SchemaFit:
    """The tables of a log, and the requirements of the contracts that they do not meet.

    ``warnings``: results that stay inconclusive on such a log.
    """

    tables: tuple[TableSize, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class WantedColumn:
    """A column that a file requires, with its allowed kinds of values.

    ``of``: the table that contains it; ``slots`` stands for candidates, or for impressions if those lack it.
    """

    file: str
    field: str
    column: str
    kinds: frozenset[str] = _ANY
    of: Literal["decided", "impressions", "slots"] = "decided"


@dataclass
class _Fit:
    contracts: Contracts
    logs: Location
    views: dict[str, View] = field(default_factory=dict)
    tables: list[TableSize] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def look(self, table: str, source: str) -> None:
        """Read the footers of a table and check them against the contracts."""
        try:
            parsed = parse_source(source)
            if not isinstance(parsed, str):
                self.tables.append(TableSize(table, missing="a table of a server, which only a build reads"))
                return
            files = resolve_path(parsed, logs=self.logs, table=table)
        except DataError as error:
            self.tables.append(TableSize(table, missing=str(error)))
            return
        except ContractError as error:
            self._refuse(table, str(error))
            return
        try:
            view = rename_columns(read_footers(table, files, below=self.logs), self.contracts.surface.columns)
            self.tables.append(TableSize(table, len(view.table.files), view.table.rows))
            self.views[table] = view
            check_columns(view, self.contracts)
        except DataError as error:
            for line in str(error).splitlines():
                self._refuse(table, line)

    def compare(self, table: str, names: Iterable[str]) -> None:
        """Compare the kinds of the columns that join tables."""
        if {table, IMPRESSIONS} <= self.views.keys():
            try:
                check_same_kinds(self.views[IMPRESSIONS], self.views[table], names)
            except DataError as error:
                self._refuse(table, str(error))

    def _refuse(self, table: str, hint: str) -> None:
        self.problems.append(Problem("surface.yaml", f"sources.{table}", "", hint))


def find_schema_problems(contracts: Contracts, logs: Location, *, first_release: bool = True) -> SchemaFit:
    """Compare the columns that the contracts name with those of the log's files.

    Returns
    -------
    All problems. A table without files is not a problem and is listed among the tables.
    """
    fit = _Fit(contracts, logs)
    for table, source in contracts.surface.sources.model_dump(exclude_none=True).items():
        fit.look(table, source)
    fit.compare(EVENTS, dict.fromkeys((*IDS, *match_columns(contracts.tasks))))
    fit.compare(CANDIDATES, IDS)
    decided = CANDIDATES if contracts.surface.sources.candidates else IMPRESSIONS
    fit.problems += _find_unknown_ranges(contracts)
    for wanted in wanted_columns(contracts, first_release=first_release):
        view = fit.views.get(IMPRESSIONS if wanted.of == "impressions" else decided)
        if wanted.of == "slots" and view is not None and wanted.column not in view.columns:
            view = fit.views.get(IMPRESSIONS, view)
        if view is not None and (hint := _explain(wanted, view)):
            fit.problems.append(Problem(wanted.file, wanted.field, wanted.column, hint))
    warnings = _find_unjudgeable(contracts, fit.views, decided)
    return SchemaFit(tuple(fit.tables), tuple(dict.fromkeys(fit.problems)), tuple(warnings))


def _find_unjudgeable(contracts: Contracts, views: Mapping[str, View], decided: str) -> Iterator[Problem]:
    """Find guardrails and estimates that need columns missing from the log."""
    for i, rail in enumerate(contracts.utility.guardrails):
        lacking = _lacking(views.get(decided), (c.LATENCY_MS, c.RELEASE))
        if read_metric(rail.metric).kind is MetricKind.LATENCY and lacking:
            hint = (
                f"is never evaluated: {decided} lacks {' and '.join(lacking)}. Log what served, and its time"
            )
            yield Problem("utility.yaml", f"guardrails.{i}.metric", rail.metric, hint)
    if contracts.surface.examination == "estimated" and _lacking(views.get(IMPRESSIONS), (c.PROPENSITY,)):
        hint = f"needs {c.PROPENSITY} in {IMPRESSIONS}: without it no curve is estimated. Declare by_position"
        yield Problem("surface.yaml", "examination", "estimated", hint)


def _lacking(view: View | None, names: Iterable[str]) -> list[str]:
    """Return the columns that are missing from a table or all null; empty for an unread table."""
    if view is None:
        return []
    return [name for name in names if (column := view.columns.get(name)) is None or column.absent]


def require_schema(contracts: Contracts, logs: Location, *, first_release: bool) -> None:
    """Refuse a log without the columns that the contracts require.

    If there is a champion, missing columns for the training of a task cause a warning, and the task reuses
    the champion's model.
    """
    problems = find_schema_problems(contracts, logs, first_release=first_release).problems
    of_reused = [one for one in problems if not first_release and one.field.startswith(_OF_ONE_TASK)]
    for problem in of_reused:
        _LOG.warning("plan: %s. Until then the champion's model stays.", problem)
    if held := [one for one in problems if one not in of_reused]:
        lines = "\n".join(f"  {problem}" for problem in held)
        raise DataError(f"{len(held)} problem(s) of the contracts with the log:\n{lines}")


def wanted_columns(contracts: Contracts, *, first_release: bool) -> Iterator[WantedColumn]:
    """Yield the columns that policies and training require in addition to those of every table."""
    yield from _of_utility(contracts)
    yield from _of_slate(contracts)
    yield from _of_training(contracts)
    first = contracts.surface.gates.decision.first
    if first == "logged":
        if first_release:
            yield WantedColumn("surface.yaml", "gates.decision.first", c.POSITION, _NUMBER, "slots")
    else:
        yield WantedColumn("surface.yaml", "gates.decision.first.column", first.column, _FLAG)


def _of_utility(contracts: Contracts) -> Iterator[WantedColumn]:
    utility, surface = contracts.utility, contracts.surface
    yield from _of_rules("", utility.hard_constraints, utility.multipliers)
    for i, context in enumerate(utility.contexts):
        for column, values in context.when.items():
            yield WantedColumn("utility.yaml", f"contexts.{i}.when.{column}", column, _kinds_like(values))
        yield from _of_rules(f"contexts.{i}.", context.hard_constraints, context.multipliers)
        if context.slate is not None:
            changed = contracts.slate.model_copy(update=context.slate.model_dump(exclude_none=True))
            yield from _of_slots(changed, "utility.yaml", f"contexts.{i}.slate.")
    segments = {segment.name: segment.column for segment in surface.segments}
    columns = metric_columns(surface, contracts.slate)
    for place, name in named_metrics(utility):
        metric = parse_metric(name, tasks=contracts.tasks.tasks, columns=columns)
        if metric is not None and metric.kind in OF_COLUMNS and metric.subject is not None:
            yield WantedColumn("utility.yaml", place, segments.get(metric.subject, metric.subject))


def _find_unknown_ranges(contracts: Contracts) -> Iterator[Problem]:
    """Find shares of ranges that match no bin of a segment, which would always be 0."""
    utility, binned = contracts.utility, {s.name: s.bins for s in contracts.surface.segments if s.bins}
    for place, name in named_metrics(utility):
        metric = parse_metric(name, tasks=contracts.tasks.tasks, columns=binned)
        if metric is None or metric.value is None or metric.kind not in OF_COLUMNS:
            continue
        ranges = (*bin_labels(binned[str(metric.subject)]), UNKNOWN)
        if metric.value not in ranges:
            hint = unknown("range", str(metric.value), ranges, where=f"segment {metric.subject}")
            yield Problem("utility.yaml", place, name, hint)


def _of_rules(
    place: str, constraints: Iterable[HardConstraint], multipliers: Iterable[Multiplier]
) -> Iterator[WantedColumn]:
    for i, constraint in enumerate(constraints):
        for name in ("drop_when", "keep_when"):
            condition: Condition | None = getattr(constraint, name)
            if condition is not None:
                yield from _of_condition("utility.yaml", f"{place}hard_constraints.{i}.{name}", condition)
    for i, multiplier in enumerate(multipliers):
        for column, values in multiplier.when.items():
            asked = f"{place}multipliers.{i}.when.{column}"
            yield WantedColumn("utility.yaml", asked, column, _kinds_like(values))


def _of_slate(contracts: Contracts) -> Iterator[WantedColumn]:
    slate = contracts.slate
    yield from _of_slots(slate, "slate.yaml", "")
    once = {"required_first": (slate.required_first, _FLAG)}
    once |= {"diversity.by": (slate.diversity.by if slate.diversity else None, _ANY)}
    once |= {"decay.by": (slate.decay.by if slate.decay else None, _ANY)}
    if (exposure := slate.exposure) is not None:
        once["exposure.by"] = (exposure.by, _kinds_like(tuple(exposure.least)) if exposure.least else _ANY)
    for place, (column, kinds_of_it) in once.items():
        if column is not None:
            yield WantedColumn("slate.yaml", place, column, kinds_of_it)
    if slate.exploration is not None:
        where = slate.exploration.where
        if where is not None:
            yield from _of_condition("slate.yaml", "exploration.where", where)
        yield WantedColumn("slate.yaml", "exploration", c.USER_ID)


def _of_slots(slate: SlateSpec, file: str, place: str) -> Iterator[WantedColumn]:
    """Yield the columns of caps and minimums, which a context may override."""
    for name in slate.max_per:
        yield WantedColumn(file, f"{place}max_per.{name}", name)
    for name in slate.max_where:
        yield WantedColumn(file, f"{place}max_where.{name}", name, _FLAG)
    for name in slate.min_where_if_available:
        yield WantedColumn(file, f"{place}min_where_if_available.{name}", name, _FLAG)


def _of_training(contracts: Contracts) -> Iterator[WantedColumn]:
    surface = contracts.surface
    if surface.examination == "estimated":
        yield WantedColumn("surface.yaml", "examination", c.POSITION, _NUMBER, "impressions")
    for name, task in contracts.tasks.tasks.items():
        training = surface.training_for(name)
        weights = training.weights
        asked: dict[str, str | None] = {
            "weights.column": weights.column if weights else None,
            "weights.propensity": c.PROPENSITY if weights and weights.propensity else None,
            "position": c.POSITION if training.position in {"feature", "weight"} else None,
        }
        for place, column in asked.items():
            if column is not None:
                yield WantedColumn("surface.yaml", f"training.{name}.{place}", column, _FLAG, "impressions")
        for column in task.sampling.by if task.sampling else ():
            yield WantedColumn("tasks.yaml", f"tasks.{name}.sampling.by.{column}", column, of="impressions")


def _of_condition(file: str, place: str, condition: Condition) -> Iterator[WantedColumn]:
    for column in condition.columns:
        asked = f"{place}.column" if column == condition.column else place
        wanted = _LIST if column == condition.set_column else _kinds_of(condition)
        yield WantedColumn(file, asked, column, wanted)


def _kinds_of(condition: Condition) -> frozenset[str]:
    if condition.equals_column is not None or condition.contained_in_column is not None:
        return _ANY
    if condition.other_column is not None:
        return frozenset({*_NUMBER, kinds.INSTANT})
    if condition.equals is not None:
        return _kinds_like((condition.equals,))
    return _FLAG if condition.one_of is None else _kinds_like(condition.one_of)


def _kinds_like(values: Iterable[object]) -> frozenset[str]:
    return frozenset({kinds.STRING}) if any(isinstance(value, str) for value in values) else _FLAG


def _explain(wanted: WantedColumn, view: View) -> str:
    """Explain what is wrong with a column, or return an empty string."""
    column, table = view.columns.get(wanted.column), view.table.name
    baseline = wanted.field == "gates.decision.first"
    remedy = (
        ". A first release has no logged order to be compared with: name {column: ...}" if baseline else ""
    )
    if column is None:
        missing = unknown("column", wanted.column, view.columns, where=table)
        return missing.replace("Unknown column", "Missing column").removesuffix(".") + remedy
    if column.absent:
        return f"column '{column.name}' of {table} is null in all {view.table.rows:,} rows{remedy}"
    if not column.kinds.keys() <= wanted.kinds:
        allowed = " or ".join(sorted(wanted.kinds))
        return f"column '{column.name}' of {table} is of kind {column.kind}; it must be {allowed}"
    return ""
