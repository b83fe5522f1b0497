"""Checks across the four files: unknown names, cycles, signs, roles, bounds."""

from collections.abc import Iterator

from tasks import columns as c
from tasks.contracts.metrics import Metric, MetricKind, metric_names, parse_metric
from tasks.contracts.problems import Problem, abbreviate
from tasks.contracts.slate import SlateSpec
from tasks.contracts.sources import NEEDS_SPARK, SparkTable, parse_source
from tasks.contracts.surface import Examination, SurfaceSpec
from tasks.contracts.tasks import TaskSpec, TasksSpec
from tasks.contracts.utility import PolicyContext, UtilitySpec, Weights
from tasks.errors import unknown

_NOT_KNOWN_WHEN_SERVING = {
    c.POSITION, c.PROPENSITY, c.VISIBLE, c.SHOWN, c.RELEASE, c.SERVED_UTILITY,
    c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT,
}  # fmt: skip


def find_warnings(tasks: TasksSpec, utility: UtilitySpec) -> Iterator[Problem]:
    """Find what is allowed but seldom meant."""
    for name, task in tasks.tasks.items():
        if task.loss_weight != 1.0:
            hint = (
                "on separate trees a loss weight only rescales the regularisation; what acts is under "
                "training in surface.yaml: weights (balanced, half_life, propensity, column) and start_from"
            )
            yield Problem("tasks.yaml", f"tasks.{name}.loss_weight", str(task.loss_weight), hint)
    for i, rail in enumerate(utility.guardrails):
        for bound in ("relative_increase_max", "relative_decrease_max"):
            if getattr(rail, bound) == 0:
                hint = "a bound of zero: an equal candidate passes it about 1 time in 20, at any sample size"
                yield Problem("utility.yaml", f"guardrails.{i}.{bound}", "0", hint)
    for name, weight in utility.weights.items():
        rule = tasks.tasks[name].rule
        if weight.times and rule and rule.credit == "every":
            hint = "one sale counts for every impression whose window holds it; consider credit: last_touch"
            yield Problem("utility.yaml", f"weights.{name}.times", weight.times, hint)


def find_reference_problems(tasks: TasksSpec) -> Iterator[Problem]:
    """Find tasks that name what is no task, or that depend on themselves."""
    for name, task in tasks.tasks.items():
        for field, other in _references(task):
            where = f"tasks.{name}.{field}"
            target = tasks.tasks.get(other)
            if target is None:
                yield Problem("tasks.yaml", where, abbreviate(other), unknown("task", other, tasks.tasks))
            elif target.kind == "value":
                yield Problem(
                    "tasks.yaml", where, abbreviate(other), "a value task is neither a parent nor a part"
                )
            elif field.endswith("after") and target.compose:
                yield Problem("tasks.yaml", where, abbreviate(other), "a composite has no crediting event")
    yield from _find_cycles(tasks)


def _references(task: TaskSpec) -> Iterator[tuple[str, str]]:
    if task.rule and task.rule.after:
        yield ("positive.after" if task.positive else "value.after"), task.rule.after
    if task.observed_when and task.observed_when.task:
        yield "observed_when.task", task.observed_when.task
    for part in task.compose.parts if task.compose else ():
        yield "compose", part


def _find_cycles(tasks: TasksSpec) -> Iterator[Problem]:
    edges = {n: [o for _, o in _references(t) if o in tasks.tasks] for n, t in tasks.tasks.items()}
    safe: set[str] = set()
    while ready := {n for n in edges if n not in safe and set(edges[n]) <= safe}:
        safe |= ready
    if rest := sorted(set(edges) - safe):
        yield Problem("tasks.yaml", "tasks", ", ".join(rest), "depend on themselves, directly or in a circle")


def find_meaning_problems(tasks: TasksSpec) -> Iterator[Problem]:
    """Find tasks whose label would have no meaning."""
    for name, task in tasks.tasks.items():
        where = f"tasks.{name}"
        if "__" in name:
            yield Problem(
                "tasks.yaml", where, abbreviate(name), "two underscores in a row are kept for label columns"
            )
        if task.maturity and task.maturity < tasks.window(name):
            hint = f"is shorter than the window ({tasks.window(name)}); an early negative would be a lie"
            yield Problem("tasks.yaml", f"{where}.maturity", str(task.maturity), hint)
        if task.level == "request" and task.rule and c.ITEM_ID in task.rule.match:
            hint = "a request-level label is the same for every candidate, so it cannot match on item_id"
            yield Problem("tasks.yaml", f"{where}.match", abbreviate(list(task.rule.match)), hint)


def find_surface_problems(folder: str, surface: SurfaceSpec) -> Iterator[Problem]:
    """Find what is wrong with a surface by itself."""
    if surface.surface != folder:
        yield Problem(
            "surface.yaml", "surface", abbreviate(surface.surface), f"must be the folder's name, '{folder}'"
        )
    for table, source in surface.sources.model_dump(exclude_none=True).items():
        yield from _check_source(f"sources.{table}", source, surface.engine.name)
    for name in surface.features.names:
        if name in _NOT_KNOWN_WHEN_SERVING or name.startswith("served_"):
            hint = "is not a feature: it is a key, or known only after ranking"
            yield Problem("surface.yaml", "features", abbreviate(name), hint)
    names = [s.name for s in surface.segments]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        yield Problem("surface.yaml", "segments", ", ".join(twice), "named twice")
    for by in sorted(set(surface.gates.calibration.by) - set(names)):
        yield Problem("surface.yaml", "gates.calibration.by", abbreviate(by), unknown("segment", by, names))
    if surface.minimum.train > surface.split.train:
        hint = f"is longer than split.train ({surface.split.train})"
        yield Problem("surface.yaml", "minimum.train", str(surface.minimum.train), hint)
    if isinstance(surface.examination, Examination) and surface.reference_position > len(
        surface.examination.by_position
    ):
        hint = "lies beyond the examination curve"
        yield Problem("surface.yaml", "reference_position", str(surface.reference_position), hint)


def _check_source(where: str, source: str, engine: str) -> Iterator[Problem]:
    try:
        parsed = parse_source(source)
    except ValueError as error:
        yield Problem("surface.yaml", where, "", str(error))
        return
    if isinstance(parsed, SparkTable) and engine != "spark":
        yield Problem("surface.yaml", where, abbreviate(source), NEEDS_SPARK)
    if isinstance(parsed, str) and (
        source.startswith(("/", "~", "\\")) or ".." in source.replace("\\", "/").split("/")
    ):
        hint = "must stay inside the logs folder: a relative path without '..'"
        yield Problem("surface.yaml", where, abbreviate(source), hint)


def find_surface_task_problems(surface: SurfaceSpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Find what a surface says of tasks that do not exist, or of labels."""
    for field, names in {
        "lightgbm": set(surface.lightgbm) - {"default"},
        "base_rates": set(surface.base_rates),
        "gates.freshness.parts": set(surface.gates.freshness.parts),
        "gates.model.refit_shift_max_by_task": set(surface.gates.model.refit_shift_max_by_task),
    }.items():
        for name in sorted(names - set(tasks.tasks)):
            yield Problem("surface.yaml", f"{field}.{name}", "", unknown("task", name, tasks.tasks))
    for name, (low, high) in surface.base_rates.items():
        binary = name in tasks.tasks and tasks.tasks[name].kind == "binary"
        if low > high or (binary and not 0 <= low <= high <= 1):
            hint = "is not a range of rates: low, then high" + (", between 0 and 1" if binary else "")
            yield Problem("surface.yaml", f"base_rates.{name}", abbreviate([low, high]), hint)
    taken = {d for n in tasks.tasks for d in (n, c.status(n), c.at(n))}
    for name in sorted(
        taken & {*surface.features.names, *surface.values, *(s.column for s in surface.segments)}
    ):
        yield Problem(
            "surface.yaml", "features", abbreviate(name), "is the name of a label: a label is no input"
        )


def find_utility_problems(utility: UtilitySpec, tasks: TasksSpec, surface: SurfaceSpec) -> Iterator[Problem]:
    """Find what a utility policy asks of tasks, columns and reviewers that do not fit."""
    yield from _check_weights("weights", utility.weights, tasks, surface)
    for i, context in enumerate(utility.contexts):
        yield from _check_weights(f"contexts.{i}.weights", context.weights, tasks, surface)
    yield from _find_unreachable(utility.contexts)
    named = {
        "relevance_floor": list(utility.relevance_floor),
        "lexicographic": [t.task for t in utility.lexicographic],
    }
    for field, names in named.items():
        for name in names:
            if name not in tasks.tasks:
                yield Problem("utility.yaml", field, abbreviate(name), unknown("task", name, tasks.tasks))
            elif tasks.tasks[name].kind == "value":
                yield Problem("utility.yaml", field, abbreviate(name), "a value task has no probability")
    for i, tier in enumerate(utility.lexicographic):
        if tier.prefer is None and tier.task not in utility.weights:
            hint = "has no direction: give it prefer: low or high, or a weight whose sign tells"
            yield Problem("utility.yaml", f"lexicographic.{i}.prefer", abbreviate(tier.task), hint)
    for role in utility.approvals:
        if role not in surface.reviewers:
            hint = unknown("role", role, surface.reviewers, where="the surface's reviewers")
            yield Problem("utility.yaml", "approvals", abbreviate(role), hint)
    yield from _check_guardrails(utility, tasks, surface)


def _check_weights(field: str, weights: Weights, tasks: TasksSpec, surface: SurfaceSpec) -> Iterator[Problem]:
    for name, weight in weights.items():
        where = f"{field}.{name}"
        task = tasks.tasks.get(name)
        if task is None:
            yield Problem("utility.yaml", where, "", unknown("task", name, tasks.tasks))
            continue
        if (weight.weight > 0) == task.family.costs or weight.weight == 0:
            sign = "negative" if task.family.costs else "positive"
            hint = f"a task of the family {task.family} has a {sign} weight"
            yield Problem("utility.yaml", where, str(weight.weight), hint)
        if task.level == "request":
            hint = "is the same for every candidate of a request: it cannot rank, so it is not in the sum"
            yield Problem("utility.yaml", where, "", hint)
        if weight.times and weight.times not in surface.values:
            hint = unknown("value column", weight.times, surface.values, where="surface.yaml values")
            yield Problem("utility.yaml", f"{where}.times", abbreviate(weight.times), hint)


def _find_unreachable(contexts: tuple[PolicyContext, ...]) -> Iterator[Problem]:
    names = [context.name for context in contexts]
    for i, later in enumerate(contexts):
        if later.name in names[:i]:
            yield Problem("utility.yaml", f"contexts.{i}.name", abbreviate(later.name), "named twice")
        for earlier in contexts[:i]:
            covers = all(
                column in later.when and set(later.when[column]) <= set(values)
                for column, values in earlier.when.items()
            )
            if covers:
                hint = f"can never match: '{earlier.name}' matches all of it first"
                yield Problem("utility.yaml", f"contexts.{i}", abbreviate(later.name), hint)


def _check_guardrails(utility: UtilitySpec, tasks: TasksSpec, surface: SurfaceSpec) -> Iterator[Problem]:
    segments = {s.name: s.column for s in surface.segments}
    columns = {*segments, *segments.values(), *surface.features.categorical, c.SOURCE}
    guarded = set()
    if parse_metric(utility.primary.metric, tasks=tasks.tasks, columns=columns) is None:
        hint = unknown("metric", utility.primary.metric, metric_names(tasks.tasks, columns))
        yield Problem("utility.yaml", "primary.metric", abbreviate(utility.primary.metric), hint)
    for i, rail in enumerate(utility.guardrails):
        metric = parse_metric(rail.metric, tasks=tasks.tasks, columns=columns)
        if metric is None:
            hint = unknown("metric", rail.metric, metric_names(tasks.tasks, columns))
            yield Problem("utility.yaml", f"guardrails.{i}.metric", abbreviate(rail.metric), hint)
        elif metric.kind in {MetricKind.RATE, MetricKind.GIVEN, MetricKind.PREDICTED}:
            guarded.add(metric.subject)
            yield from _check_given(f"guardrails.{i}.metric", metric, tasks)
        for by in sorted(set(rail.by) - set(segments)):
            yield Problem(
                "utility.yaml", f"guardrails.{i}.by", abbreviate(by), unknown("segment", by, segments)
            )
    for name, task in tasks.tasks.items():
        if task.family.costs and name not in guarded:
            hint = f"a {task.family} task needs a guardrail: add one on {name}_rate or {name}_predicted"
            yield Problem("utility.yaml", "guardrails", abbreviate(name), hint)


def _check_given(field: str, metric: Metric, tasks: TasksSpec) -> Iterator[Problem]:
    """Refuse a rate given a task that the outcome does not come after or consist of."""
    if metric.kind is not MetricKind.GIVEN or metric.subject is None:
        return
    before = tuple(_implied_by(metric.subject, tasks))
    if metric.value not in before:
        known = ", ".join(before) or "nothing"
        hint = f"{metric.subject} does not hang on {metric.value}; it hangs on {known}"
        yield Problem("utility.yaml", field, abbreviate(metric.name), hint)


def _implied_by(name: str, tasks: TasksSpec) -> Iterator[str]:
    """Yield the tasks that are positive wherever this one is."""
    compose = tasks.tasks[name].compose
    for other in compose.all_of if compose else tasks.needs(name):
        yield other
        yield from _implied_by(other, tasks)


def find_slate_problems(slate: SlateSpec) -> Iterator[Problem]:
    """Find minimums that a slate cannot hold."""
    least = sum(slate.min_where_if_available.values())
    if least > slate.length:
        hint = f"asks for {least} of {slate.length} slots"
        yield Problem("slate.yaml", "min_where_if_available", abbreviate(slate.min_where_if_available), hint)
    for column in sorted(set(slate.min_where_if_available) & set(slate.max_where)):
        if slate.min_where_if_available[column] > slate.max_where[column]:
            hint = "its minimum is above its maximum"
            yield Problem("slate.yaml", f"max_where.{column}", str(slate.max_where[column]), hint)
