"""What a utility policy asks of tasks, columns and reviewers, checked against the other files.

A file that could not be read is held against no policy: without a surface only the tasks are asked.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from tasks import columns as c
from tasks.contracts.base import Scalar
from tasks.contracts.constrained import Constrained
from tasks.contracts.metrics import NEW_ITEMS, Metric, MetricKind, known_metrics, parse_metric
from tasks.contracts.problems import Problem, abbreviate
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import TasksSpec
from tasks.contracts.utility import PolicyContext, UtilitySpec, Weights
from tasks.errors import unknown

_MOST_COMBINATIONS: Final = 100_000
"""Combinations of a context's values from which on only single earlier contexts are held against it."""
_NEVER_TUNED: Final = {
    MetricKind.EXPECTED_UTILITY: "moves with the weights themselves: tune what outcomes or predictions say",
    MetricKind.LATENCY: "no weight moves it",
}
"""Metrics that no weights may be tuned by, and why."""
_BELIEVED: Final = frozenset({MetricKind.PREDICTED, MetricKind.EXPECTED_UTILITY})
_MAY_FALL: Final = frozenset(
    {
        MetricKind.CALIBRATION,
        MetricKind.COMPONENT_SHARE,
        MetricKind.GINI,
        MetricKind.LATENCY,
        MetricKind.SLATE_RULE_ACTIVITY,
    }
)
"""Metrics of which less is no loss."""


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
    yield from _check_given(utility, tasks)
    if surface is not None:
        yield from _check_approvals(utility, surface)
        yield from _check_guardrails(utility, tasks, surface)
    if utility.constrained is not None:
        yield from _check_constrained(utility.constrained, utility, tasks, surface)


def _check_floors_and_tiers(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[Problem]:
    named = {
        "relevance_floor": list(utility.relevance_floor),
        **{f"contexts.{i}.relevance_floor": list(c.relevance_floor) for i, c in enumerate(utility.contexts)},
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
        if weight.column and surface is not None and weight.column not in surface.values:
            hint = unknown("value column", weight.column, surface.values, where="surface.yaml values")
            yield Problem("utility.yaml", f"{where}.times", abbreviate(weight.column), hint)


def _find_unreachable(contexts: tuple[PolicyContext, ...]) -> Iterator[Problem]:
    """Find contexts that earlier ones cover, alone or together."""
    for i, later in enumerate(contexts):
        covering = _covering(later, contexts[:i])
        if covering:
            names = ", ".join(f"'{name}'" for name in covering)
            hint = f"can never match: {names} {'match' if len(covering) > 1 else 'matches'} all of it first"
            yield Problem("utility.yaml", f"contexts.{i}", abbreviate(later.name), hint)


def _covering(later: PolicyContext, earlier: Sequence[PolicyContext]) -> list[str]:
    """Return the earlier contexts that match wherever this one would, none where they leave something.

    One that asks for a column which this one leaves open takes a part of every value away, and no finite
    list of values takes all.
    """
    columns = sorted(later.when)
    asked = [one for one in earlier if one.when.keys() <= later.when.keys()]
    for one in asked:
        if all(set(later.when[name]) <= set(values) for name, values in one.when.items()):
            return [one.name]
    if math.prod(len(later.when[name]) for name in columns) > _MOST_COMBINATIONS:
        return []
    met = [
        next((one.name for one in asked if _matches(one, dict(zip(columns, values, strict=True)))), None)
        for values in product(*(later.when[name] for name in columns))
    ]
    return [] if None in met else list(dict.fromkeys(name for name in met if name is not None))


def _matches(context: PolicyContext, values: Mapping[str, Scalar]) -> bool:
    return all(values[name] in allowed for name, allowed in context.when.items())


def _check_guardrails(utility: UtilitySpec, tasks: TasksSpec, surface: SurfaceSpec) -> Iterator[Problem]:
    segments = {s.name: s.column for s in surface.segments}
    metrics = _Metrics(tasks, surface)
    if hint := metrics.explain(utility.primary.metric, lambda metric: _explain_no_primary(metric, tasks)):
        yield Problem("utility.yaml", "primary.metric", abbreviate(utility.primary.metric), hint)
    for i, rail in enumerate(utility.guardrails):
        if hint := metrics.explain(rail.metric, lambda metric: _explain_no_guardrail(metric, segments)):
            yield Problem("utility.yaml", f"guardrails.{i}.metric", abbreviate(rail.metric), hint)
        for by in sorted(set(rail.by) - set(segments)):
            yield Problem(
                "utility.yaml", f"guardrails.{i}.by", abbreviate(by), unknown("segment", by, segments)
            )


@dataclass(frozen=True)
class _Metrics:
    """The metrics that the tasks and columns of a surface make."""

    tasks: TasksSpec
    surface: SurfaceSpec

    def explain(self, name: str, refuse: Callable[[Metric], str]) -> str:
        """Say why a metric cannot stand somewhere; of an unknown name, which could."""
        columns = _metric_columns(self.surface)
        metric = parse_metric(name, tasks=self.tasks.tasks, columns=columns)
        if metric is not None:
            return refuse(metric)
        known = known_metrics(self.tasks.tasks, columns)
        fitting = [one.name for one in known if not (refuse(one) or _explain_not_given(one, self.tasks))]
        return unknown("metric", name, fitting)


def _explain_no_guardrail(metric: Metric, segments: Mapping[str, str]) -> str:
    if metric.kind is MetricKind.NEW_ITEM_EXPOSURE and NEW_ITEMS not in segments:
        return f"needs a segment of the age of items: {{name: {NEW_ITEMS}, from: COLUMN, bins: [DAYS]}}"
    return ""


def _explain_no_primary(metric: Metric, tasks: TasksSpec) -> str:
    """Say why a release cannot be held to a metric that may not fall; nothing where it can."""
    if metric.kind in _BELIEVED:
        return "is what a release believes, which is no ground to pass: name observed_utility, or a rate"
    task = tasks.tasks.get(metric.subject or "")
    if metric.kind in _MAY_FALL or (task is not None and task.family.costs):
        return (
            "may fall, and a primary may not: bound it by a guardrail, and name observed_utility, or a rate"
        )
    if task is not None and task.level == "request":
        return "is of an outcome of the whole request, which no ranking can move"
    return ""


def _check_constrained(
    constrained: Constrained, utility: UtilitySpec, tasks: TasksSpec, surface: SurfaceSpec | None
) -> Iterator[Problem]:
    """Find ranges of unknown terms or of the wrong sign, and metrics that no replay of other weights has."""
    for name, (low, high) in constrained.ranges.items():
        where = f"constrained.ranges.{name}"
        if name not in utility.weights:
            yield Problem("utility.yaml", where, "", unknown("weight", name, utility.weights))
        elif name in tasks.tasks and (low < 0 if not tasks.tasks[name].family.costs else high > 0):
            family = tasks.tasks[name].family
            sign = "negative" if family.costs else "positive"
            hint = f"a task of the family {family} has a {sign} weight"
            yield Problem("utility.yaml", where, f"[{low:g}, {high:g}]", hint)
    if surface is None:
        return
    metrics = _Metrics(tasks, surface)
    named = {"maximise": constrained.maximise}
    named |= {f"subject_to.{i}.metric": one.metric for i, one in enumerate(constrained.subject_to)}
    for field, name in named.items():
        if hint := metrics.explain(name, lambda metric: _NEVER_TUNED.get(metric.kind, "")):
            yield Problem("utility.yaml", f"constrained.{field}", abbreviate(name), hint)


def _metric_columns(surface: SurfaceSpec) -> set[str]:
    """Return the columns and segments whose shares a metric may name."""
    segments = {s.name: s.column for s in surface.segments}
    return {*segments, *segments.values(), *surface.features.categorical, c.SOURCE}


def _check_guarded(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Find costs without a guardrail."""
    guarded = set()
    for rail in utility.guardrails:
        metric = parse_metric(rail.metric, tasks=tasks.tasks, columns=())
        if metric and metric.kind in {MetricKind.RATE, MetricKind.GIVEN, MetricKind.PREDICTED}:
            guarded.add(metric.subject)
    for name, task in tasks.tasks.items():
        if task.family.costs and name not in guarded:
            hint = f"a {task.family} task needs a guardrail: add one on {name}_rate or {name}_predicted"
            yield Problem("utility.yaml", "guardrails", abbreviate(name), hint)


def _check_given(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Find rates given a task that the outcome does not hang on, wherever a metric is named."""
    for field, name in _named_metrics(utility):
        metric = parse_metric(name, tasks=tasks.tasks, columns=())
        if metric and (hint := _explain_not_given(metric, tasks)):
            yield Problem("utility.yaml", field, abbreviate(name), hint)


def _named_metrics(utility: UtilitySpec) -> Iterator[tuple[str, str]]:
    """Yield each field that names a metric, with the metric."""
    yield "primary.metric", utility.primary.metric
    for i, rail in enumerate(utility.guardrails):
        yield f"guardrails.{i}.metric", rail.metric
    if utility.constrained is not None:
        yield "constrained.maximise", utility.constrained.maximise
        for i, one in enumerate(utility.constrained.subject_to):
            yield f"constrained.subject_to.{i}.metric", one.metric


def _explain_not_given(metric: Metric, tasks: TasksSpec) -> str:
    """Say why a rate is not given a task: the outcome does not come after it, nor consist of it."""
    if metric.kind is not MetricKind.GIVEN or metric.subject is None:
        return ""
    before = tuple(_implied_by(metric.subject, tasks))
    if metric.value in before:
        return ""
    return f"{metric.subject} does not hang on {metric.value}; it hangs on {', '.join(before) or 'nothing'}"


def _implied_by(name: str, tasks: TasksSpec) -> Iterator[str]:
    """Yield the tasks that are positive wherever this one is."""
    compose = tasks.tasks[name].compose
    for other in compose.all_of if compose else tasks.needs(name):
        yield other
        yield from _implied_by(other, tasks)
