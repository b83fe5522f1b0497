"""What a utility policy asks of tasks, columns and reviewers, checked against the other files.

A file that could not be read is held against no policy: without a surface only the tasks are asked.
"""

from collections.abc import Iterator

from tasks import columns as c
from tasks.contracts.metrics import NEW_ITEMS, Metric, MetricKind, metric_names, parse_metric
from tasks.contracts.problems import Problem, abbreviate
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import TasksSpec
from tasks.contracts.utility import PolicyContext, UtilitySpec, Weights
from tasks.errors import unknown


def find_utility_problems(
    utility: UtilitySpec, tasks: TasksSpec, surface: SurfaceSpec | None
) -> Iterator[Problem]:
    """Find what a utility policy asks of tasks, columns and reviewers that do not fit.

    Parameters
    ----------
    surface : None where its file could not be read.
    """
    yield from _check_weights("weights", utility.weights, tasks, surface)
    for i, context in enumerate(utility.contexts):
        yield from _check_weights(f"contexts.{i}.weights", context.weights, tasks, surface)
    yield from _find_unreachable(utility.contexts)
    yield from _check_floors_and_tiers(utility, tasks)
    yield from _check_guarded(utility, tasks)
    if surface is not None:
        yield from _check_approvals(utility, surface)
        yield from _check_guardrails(utility, tasks, surface)


def _check_floors_and_tiers(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[Problem]:
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


def _check_approvals(utility: UtilitySpec, surface: SurfaceSpec) -> Iterator[Problem]:
    for role in utility.approvals:
        if role not in surface.reviewers:
            hint = unknown("role", role, surface.reviewers, where="the surface's reviewers")
            yield Problem("utility.yaml", "approvals", abbreviate(role), hint)


def _check_weights(
    field: str, weights: Weights, tasks: TasksSpec, surface: SurfaceSpec | None
) -> Iterator[Problem]:
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
        if weight.times and surface is not None and weight.times not in surface.values:
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
    if parse_metric(utility.primary.metric, tasks=tasks.tasks, columns=columns) is None:
        hint = unknown("metric", utility.primary.metric, metric_names(tasks.tasks, columns))
        yield Problem("utility.yaml", "primary.metric", abbreviate(utility.primary.metric), hint)
    for i, rail in enumerate(utility.guardrails):
        metric = parse_metric(rail.metric, tasks=tasks.tasks, columns=columns)
        if metric is None:
            hint = unknown("metric", rail.metric, metric_names(tasks.tasks, columns))
            yield Problem("utility.yaml", f"guardrails.{i}.metric", abbreviate(rail.metric), hint)
        elif metric.kind is MetricKind.NEW_ITEM_EXPOSURE and NEW_ITEMS not in segments:
            hint = f"needs a segment of the age of items: {{name: {NEW_ITEMS}, from: COLUMN, bins: [DAYS]}}"
            yield Problem("utility.yaml", f"guardrails.{i}.metric", abbreviate(rail.metric), hint)
        for by in sorted(set(rail.by) - set(segments)):
            yield Problem(
                "utility.yaml", f"guardrails.{i}.by", abbreviate(by), unknown("segment", by, segments)
            )


def _check_guarded(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Find costs without a guardrail, and rates given a task that the outcome does not hang on."""
    guarded = set()
    for i, rail in enumerate(utility.guardrails):
        metric = parse_metric(rail.metric, tasks=tasks.tasks, columns=())
        if metric and metric.kind in {MetricKind.RATE, MetricKind.GIVEN, MetricKind.PREDICTED}:
            guarded.add(metric.subject)
            yield from _check_given(f"guardrails.{i}.metric", metric, tasks)
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
