"""Checks a utility policy against tasks, columns and reviewers of the other files.

Files and values that could not be read raise no further problems: without a surface only tasks are checked.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from tasks.columns import UTILITY
from tasks.contracts.base import Scalar, find_repeated
from tasks.contracts.metrics import (
    NEW_ITEMS,
    OF_COLUMNS,
    Metric,
    MetricKind,
    known_metrics,
    metric_columns,
    named_metrics,
    parse_metric,
    primary_field,
    read_metric,
)
from tasks.contracts.problems import Place, Problem, Unread, abbreviate
from tasks.contracts.slate import SlateSpec
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import NEVER_TRAINED, TaskSpec, TasksSpec
from tasks.contracts.utility import (
    Constrained,
    HardConstraint,
    Multiplier,
    PolicyContext,
    Term,
    Terms,
    UtilitySpec,
    Weight,
    Weights,
)
from tasks.errors import unknown

_MOST_COMBINATIONS: Final = 100_000
"""Number of value combinations above which a context is compared with single earlier contexts only."""
_NEVER_TUNED: Final = {
    MetricKind.EXPECTED_UTILITY: "changes with the weights: tune a metric of outcomes or predictions",
    MetricKind.EXPOSURE_RATIO: "its value may change with the weights: bound it by a guardrail",
    MetricKind.LATENCY: "no weight changes it",
}
"""Metrics that weights cannot be tuned by, with the reason."""
_BELIEVED: Final = frozenset({MetricKind.PREDICTED, MetricKind.EXPECTED_UTILITY, MetricKind.EXPOSURE_RATIO})
_MAY_FALL: Final = frozenset(
    {
        MetricKind.CALIBRATION,
        MetricKind.COMPONENT_SHARE,
        MetricKind.GINI,
        MetricKind.LATENCY,
        MetricKind.SLATE_RULE_ACTIVITY,
    }
)
"""Metrics whose decrease is not a loss."""


@dataclass(frozen=True)
class Others:
    """The other files that a policy is checked against; ``surface`` and ``slate`` are None if unreadable."""

    tasks: TasksSpec
    surface: SurfaceSpec | None
    slate: SlateSpec | None
    unread: Unread


def find_policy_problems(utility: UtilitySpec, unread: Unread) -> Iterator[Problem]:
    """Find problems within a utility policy."""
    if not unread.touches("utility", "offset"):
        yield from _check_offset(utility)
    named: dict[str, Sequence[PolicyContext | Multiplier | HardConstraint]] = {
        "hard_constraints": utility.hard_constraints,
        "contexts": utility.contexts,
        "multipliers": utility.multipliers,
    }
    above = [one.name for one in utility.hard_constraints]
    twice = {field: find_repeated([one.name for one in each]) for field, each in named.items()}
    for i, context in enumerate(utility.contexts):
        own = [one.name for one in context.hard_constraints]
        twice[f"contexts.{i}.hard_constraints"] = find_repeated([*own, *{*above}.intersection(own)])
    for field, names in twice.items():
        if names:
            hint = "named more than once: give each a name of its own"
            yield Problem("utility.yaml", field, ", ".join(names), hint)
    yield from _find_unreachable(utility.contexts)


def find_utility_problems(utility: UtilitySpec, others: Others) -> Iterator[Problem]:
    """Find references of a utility policy to tasks, columns and reviewers that do not fit."""
    places: dict[Place, UtilitySpec | PolicyContext] = {(): utility}
    places |= {("contexts", i): context for i, context in enumerate(utility.contexts)}
    for place, declared in places.items():
        yield from _check_weights((*place, "weights"), declared.weights, others)
        yield from _check_terms((*place, "terms"), declared.terms, others)
    yield from _check_floors_and_tiers(utility, others)
    yield from _check_guarded(utility, others)
    yield from _check_given(utility, others)
    yield from _check_guardrails(utility, others)
    yield from _check_exposure(others)
    if utility.constrained is not None:
        yield from _check_constrained(utility.constrained, utility, others)


def _check_offset(utility: UtilitySpec) -> Iterator[Problem]:
    """Find multipliers of possibly negative totals, and negative terms without a known lower bound."""
    if utility.offset is None:
        if utility.multipliers or any(context.multipliers for context in utility.contexts):
            hint = "need an offset: a negative total would rise by a factor below 1"
            yield Problem("utility.yaml", "multipliers", "", hint)
        return
    for context, place in enumerate((utility, *utility.contexts), start=-1):
        for name, term in place.named_terms.items():
            if term.costs and term.value_column is not None and term.value_cap is None:
                field = f"weights.{name}.times" if name in place.weights else f"terms.{name}"
                field = field if context < 0 else f"contexts.{context}.{field}"
                hint = "under an offset a value column of a cost needs a cap, the bound of a total from below"
                yield Problem("utility.yaml", field, abbreviate(term.value_column), hint)


def _check_floors_and_tiers(utility: UtilitySpec, others: Others) -> Iterator[Problem]:
    tasks, unread = others.tasks, others.unread
    named = {
        "relevance_floor": list(utility.relevance_floor),
        **{f"contexts.{i}.relevance_floor": list(c.relevance_floor) for i, c in enumerate(utility.contexts)},
        "lexicographic": [t.task for t in utility.lexicographic],
    }
    for field, names in named.items():
        for name in names:
            if name not in tasks.tasks:
                yield Problem("utility.yaml", field, abbreviate(name), unknown("task", name, tasks.tasks))
            elif tasks.tasks[name].kind == "value" and not unread.task(name):
                yield Problem("utility.yaml", field, abbreviate(name), "a value task has no probability")
    for i, tier in enumerate(utility.lexicographic):
        weighed = tier.task in utility.weights or unread.touches("utility", "weights", tier.task)
        if tier.prefer is None and not weighed:
            hint = "has no direction: give it prefer: low or high, or a weight whose sign gives it"
            yield Problem("utility.yaml", f"lexicographic.{i}.prefer", abbreviate(tier.task), hint)


def find_role_problems(utility: UtilitySpec, surface: SurfaceSpec, unread: Unread) -> Iterator[Problem]:
    """Find approvals by roles that nobody holds."""
    if unread.touches("utility", "approvals"):
        return
    for role in utility.approvals:
        if role not in surface.reviewers and not unread.touches("surface", "reviewers", role):
            hint = unknown("role", role, surface.reviewers, where="the surface's reviewers")
            yield Problem("utility.yaml", "approvals", abbreviate(role), hint)


def _check_weights(place: Place, weights: Weights, others: Others) -> Iterator[Problem]:
    unread = others.unread
    for name, weight in weights.items():
        where = ".".join(map(str, (*place, name)))
        task = others.tasks.tasks.get(name)
        if unread.touches("utility", *place, name):
            continue
        if task is None:
            yield Problem("utility.yaml", where, "", unknown("task", name, others.tasks.tasks))
        elif not unread.task(name):
            yield from _check_weight(where, weight, task)
        yield from _check_value_column(f"{where}.times", weight, others)


def _check_terms(place: Place, terms: Terms, others: Others) -> Iterator[Problem]:
    """Find terms with the name of a task, and columns that the surface does not declare."""
    for name, term in terms.items():
        where = ".".join(map(str, (*place, name)))
        if others.unread.touches("utility", *place, name):
            continue
        if name in others.tasks.tasks:
            hint = "is the name of a task, whose own weight is under weights: choose another name"
            yield Problem("utility.yaml", where, "", hint)
        yield from _check_term_tasks(where, term, others)
        if term.is_zero and not term.tasks:
            yield Problem("utility.yaml", where, "0", "weighs nothing: give it a weight or leave it out")
        yield from _check_value_column(f"{where}.{'column' if term.column else 'times'}", term, others)


def _check_term_tasks(where: str, term: Term, others: Others) -> Iterator[Problem]:
    """Find tasks of a term that are unknown, of another sign or kind, or constant within a request."""
    tasks = others.tasks.tasks
    counted = f"{where}.{'greater_of' if term.greater_of else 'task'}"
    for field, named in ((counted, term.tasks), (f"{where}.where", tuple(term.where))):
        for task in named:
            if task not in tasks:
                yield Problem("utility.yaml", field, abbreviate(task), unknown("task", task, tasks))
    known = [task for task in term.tasks if task in tasks and not others.unread.task(task)]
    for task in known:
        yield from _check_weight(where, term, tasks[task])
    for task in term.where:
        if task in tasks and tasks[task].level == "request":
            hint = "is the same for every candidate of a request: it does not distinguish them"
            yield Problem("utility.yaml", f"{where}.where", abbreviate(task), hint)
    if len({tasks[task].kind for task in known}) > 1:
        hint = "compares a probability with an expected value: name tasks of one kind"
        yield Problem("utility.yaml", counted, ", ".join(known), hint)


def _check_value_column(where: str, weight: Weight, others: Others) -> Iterator[Problem]:
    surface, column = others.surface, weight.value_column
    if surface is None or column is None or others.unread.touches("surface", "values"):
        return
    if column not in surface.values:
        hint = unknown("value column", column, surface.values, where="surface.yaml values")
        yield Problem("utility.yaml", where, abbreviate(column), hint)


def _check_weight(where: str, weight: Weight, task: TaskSpec) -> Iterator[Problem]:
    if weight.is_zero or weight.costs != task.family.costs:
        sign = "negative" if task.family.costs else "positive"
        hint = f"a task of the family {task.family} has a {sign} weight"
        yield Problem("utility.yaml", where, str(weight.weight), hint)
    if task.level == "request":
        hint = "is the same for every candidate of a request: it cannot rank, so it is not in the sum"
        yield Problem("utility.yaml", where, "", hint)


def find_repeated_values(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Find value columns that count once for every credited impression."""
    for name, weight in utility.weights.items():
        rule = tasks.tasks[name].rule
        if weight.value_column and rule and rule.credit == "every":
            hint = "one sale counts for every impression whose window holds it; consider credit: last_touch"
            yield Problem("utility.yaml", f"weights.{name}.times", weight.value_column, hint)


def compare_with_losses(utility: UtilitySpec, tasks: TasksSpec) -> tuple[str, bool]:
    """Describe weights and loss weights, and return whether all weights are one multiple of their losses."""
    losses = {task: tasks.tasks[task].loss_weight for task in utility.weights}
    ratios = {abs(term.weight) / losses[task] for task, term in utility.weights.items()}
    if len({*losses.values()}) > 1 and max(ratios) - min(ratios) <= 1e-9 * max(ratios):
        said = ", ".join(f"{task} {loss:g}" for task, loss in losses.items())
        return f"the policy weights equal the loss weights ({said}) times {max(ratios):g}", True
    units = ", ".join(f"{task} {term.weight:g}" for task, term in utility.weights.items())
    return f"{units}; loss weights {', '.join(f'{loss:g}' for loss in sorted({*losses.values()}))}", False


def _find_unreachable(contexts: tuple[PolicyContext, ...]) -> Iterator[Problem]:
    """Find contexts that earlier contexts cover, alone or together."""
    for i, later in enumerate(contexts):
        covering = _covering(later, contexts[:i])
        if covering:
            names = ", ".join(f"'{name}'" for name in covering)
            hint = f"can never match: {names} {'match' if len(covering) > 1 else 'matches'} all of it first"
            yield Problem("utility.yaml", f"contexts.{i}", abbreviate(later.name), hint)


def _covering(later: PolicyContext, earlier: Sequence[PolicyContext]) -> list[str]:
    """Return the earlier contexts that together match wherever this context does, or an empty list.

    An earlier context that tests a column which this context leaves open covers only some of its values, and
    no finite list of values covers all.
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


def _check_guardrails(utility: UtilitySpec, others: Others) -> Iterator[Problem]:
    surface = others.surface
    for i, primary in enumerate(utility.primary):
        if hint := _explain(primary.metric, others, lambda one: _explain_no_primary(one, others)):
            yield Problem("utility.yaml", primary_field(utility, i), abbreviate(primary.metric), hint)
    for i, rail in enumerate(utility.guardrails):
        if hint := _explain(rail.metric, others, lambda one: _explain_no_guardrail(one, utility, others)):
            yield Problem("utility.yaml", f"guardrails.{i}.metric", abbreviate(rail.metric), hint)
        if surface is None or others.unread.segments:
            continue
        segments = [segment.name for segment in surface.segments]
        for by in sorted(set(rail.by) - set(segments)):
            yield Problem(
                "utility.yaml", f"guardrails.{i}.by", abbreviate(by), unknown("segment", by, segments)
            )


def _explain(name: str, others: Others, refuse: Callable[[Metric], str]) -> str:
    """Explain why a metric is not allowed in a place; for an unknown name, list the allowed metrics."""
    if others.surface is None or others.slate is None or _names_columns_unread(others.unread):
        columns: tuple[str, ...] = ()
        if _is_of_a_column(name):
            return ""
    else:
        columns = metric_columns(others.surface, others.slate)
    metric = parse_metric(name, tasks=others.tasks.tasks, columns=columns)
    if metric is not None:
        return refuse(metric)
    known = known_metrics(others.tasks.tasks, columns)
    fitting = [one.name for one in known if not (refuse(one) or _explain_not_given(one, others))]
    return unknown("metric", name, fitting)


def _names_columns_unread(unread: Unread) -> bool:
    """Whether a place that names columns for metrics could not be read."""
    in_surface = unread.segments or unread.touches("surface", "features")
    return in_surface or any(
        unread.touches("slate", rule) for rule in ("max_per", "diversity", "decay", "exposure")
    )


def _is_of_a_column(name: str) -> bool:
    try:
        return read_metric(name).kind in OF_COLUMNS
    except ValueError:
        return False


def _explain_no_guardrail(metric: Metric, utility: UtilitySpec, others: Others) -> str:
    """Explain why a replay cannot measure a metric."""
    surface, unread = others.surface, others.unread
    segments = [] if surface is None else [segment.name for segment in surface.segments]
    known = surface is not None and not unread.segments
    if metric.kind is MetricKind.NEW_ITEM_EXPOSURE and known and NEW_ITEMS not in segments:
        return f"needs a segment of the age of items: {{name: {NEW_ITEMS}, from: COLUMN, bins: [DAYS]}}"
    if metric.kind is MetricKind.EXPOSURE_RATIO and others.slate is not None:
        exposure = others.slate.exposure
        if not unread.touches("slate", "exposure") and (exposure is None or exposure.by != metric.subject):
            return f"needs a definition of merit in slate.yaml: exposure: {{by: {metric.subject}}}"
    if metric.kind is MetricKind.COMPONENT_SHARE and not unread.touches("utility", "weights"):
        return (
            ""
            if metric.subject in utility.term_names
            else f"{metric.subject} has no weight, so it has no share"
        )
    return ""


def _explain_no_primary(metric: Metric, others: Others) -> str:
    """Explain why a metric cannot be a primary metric, or return an empty string."""
    if metric.kind in _BELIEVED:
        return "is the release's own prediction, no ground to pass: name observed_utility, or a rate"
    if others.unread.task(metric.subject or ""):
        return ""
    task = others.tasks.tasks.get(metric.subject or "")
    if metric.kind in _MAY_FALL or (task is not None and task.family.costs):
        return (
            "may fall, and a primary may not: bound it by a guardrail, and name observed_utility, or a rate"
        )
    if task is not None and task.level == "request":
        return "is of an outcome of the whole request, which no ranking can move"
    return ""


def _check_exposure(others: Others) -> Iterator[Problem]:
    """Find an exposure merit without a predicted probability, and targets that no log can measure."""
    exposure = None if others.slate is None else others.slate.exposure
    if exposure is None:
        return
    complete = others.surface is None or others.surface.logs_all_candidates
    if exposure.least and not (complete or others.unread.touches("surface", "sources")):
        hint = "is never measured: only what was shown is logged. Name sources.candidates or shown_is_all"
        yield Problem("slate.yaml", "exposure.least", abbreviate(exposure.least), hint)
    if exposure.merit == UTILITY or others.unread.task(exposure.merit):
        return
    tasks, merit = others.tasks.tasks, exposure.merit
    ranked = {name for name, task in tasks.items() if task.kind != "value" and task.level != "request"}
    fitting = [name for name in others.tasks.trained if name in ranked]
    if merit not in fitting:
        hint = NEVER_TRAINED if merit in ranked else unknown("merit", merit, [UTILITY, *fitting])
        yield Problem("slate.yaml", "exposure.merit", abbreviate(merit), hint)


def _check_constrained(constrained: Constrained, utility: UtilitySpec, others: Others) -> Iterator[Problem]:
    """Find ranges of unknown terms or of the wrong sign, and metrics that a replay of new weights lacks."""
    tasks, unread = others.tasks, others.unread
    for name, (low, high) in constrained.ranges.items():
        where = f"constrained.ranges.{name}"
        if unread.touches("utility", "weights", name) or unread.task(name):
            continue
        if name not in utility.weights:
            yield Problem("utility.yaml", where, "", unknown("weight", name, utility.weights))
        elif name in tasks.tasks and (low < 0 if not tasks.tasks[name].family.costs else high > 0):
            family = tasks.tasks[name].family
            sign = "negative" if family.costs else "positive"
            hint = f"a task of the family {family} has a {sign} weight"
            yield Problem("utility.yaml", where, f"[{low:g}, {high:g}]", hint)
    named = {"maximise": constrained.maximise}
    named |= {f"subject_to.{i}.metric": one.metric for i, one in enumerate(constrained.subject_to)}
    for field, name in named.items():
        if hint := _explain(name, others, lambda metric: _NEVER_TUNED.get(metric.kind, "")):
            yield Problem("utility.yaml", f"constrained.{field}", abbreviate(name), hint)


def _check_guarded(utility: UtilitySpec, others: Others) -> Iterator[Problem]:
    """Find costs without a guardrail."""
    guarded, tasks = set(), others.tasks
    if others.unread.touches("utility", "guardrails"):
        return
    for rail in utility.guardrails:
        metric = parse_metric(rail.metric, tasks=tasks.tasks, columns=())
        if metric and metric.kind in {MetricKind.RATE, MetricKind.GIVEN, MetricKind.PREDICTED}:
            guarded.add(metric.subject)
    for name, task in tasks.tasks.items():
        if task.family.costs and name not in guarded and not others.unread.task(name):
            either = f"{name}_rate or {name}_predicted" if task.train else f"{name}_rate"
            hint = f"a {task.family} task needs a guardrail: add one on {either}"
            yield Problem("utility.yaml", "guardrails", abbreviate(name), hint)


def _check_given(utility: UtilitySpec, others: Others) -> Iterator[Problem]:
    """Find rates given a task that the outcome does not depend on, wherever a metric is named."""
    for field, name in named_metrics(utility):
        metric = parse_metric(name, tasks=others.tasks.tasks, columns=())
        if metric and (hint := _explain_not_given(metric, others)):
            yield Problem("utility.yaml", field, abbreviate(name), hint)


def _explain_not_given(metric: Metric, others: Others) -> str:
    """Explain why a rate cannot be conditional on a task: the outcome neither follows nor contains it."""
    if metric.kind is not MetricKind.GIVEN or metric.subject is None:
        return ""
    before = tuple(_implied_by(metric.subject, others.tasks))
    if metric.value in before or any(others.unread.task(name) for name in (metric.subject, *before)):
        return ""
    return f"{metric.subject} does not hang on {metric.value}; it hangs on {', '.join(before) or 'nothing'}"


def _implied_by(name: str, tasks: TasksSpec) -> Iterator[str]:
    """Yield the tasks that are positive wherever this task is positive."""
    compose = tasks.tasks[name].compose
    for other in compose.all_of if compose else tasks.needs(name):
        yield other
        yield from _implied_by(other, tasks)
