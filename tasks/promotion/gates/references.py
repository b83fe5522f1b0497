"""The model gate on constants and single features: heads that are no better, and heads that leak.

::

    normalized entropy, relative squared error     all below 1        better than the base rate, or the mean
        1 or more, and no less than .99 anywhere   no better          blocks a task that carries weight
    AUC of the head, AUC of any single feature     above the limit    implausibly good: a leak
    AUC of the head less that of the best feature  nowhere above 0    a warning

An interval that reaches below .99 leaves room for a gain: for a rare head it is inconclusive. A head with
fewer than 20 positives is inconclusive too: the gain of a nearly constant head shows in few rows.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from tasks.contracts import UtilitySpec
from tasks.contracts.gates import ModelGate
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.replay.rates import SPARSE
from tasks.reports.numbers import format_estimate, format_number

_SKILL = {"binary": "normalized_entropy", "value": "relative_squared_error"}
_UNMEASURED = "its test days were not compared with the mean: no day was fresh"
_LEAST_GAIN: Final = 0.01
"""Gain in normalized entropy, or in squared error, that an interval must exclude before a head counts as no
better than a constant: the loss that a surface permits by default."""
_TOO_GOOD = "too good to be true, so it probably leaks the outcome"


def weighted_tasks(utility: UtilitySpec) -> frozenset[str]:
    """Return the tasks that a policy's order depends on, by a non-zero weight or by a lexicographic tier."""
    return frozenset({*utility.heads} | {tier.task for tier in utility.lexicographic})


def evaluate_references(
    gate: ModelGate, tasks: Sequence[TaskFigures], weighted: Collection[str], *, run: str
) -> Iterator[Verdict]:
    """Compare every head with its base rate and with single features."""
    for task in tasks:
        if task.kind in _SKILL:
            yield _skill(task, run, weighted=task.task in weighted)
        yield from _feature(task, run)
    yield from _too_good(gate, tasks, run)


def _skill(task: TaskFigures, run: str, *, weighted: bool) -> Verdict:
    """Evaluate whether a head is better than a constant."""
    metric, references = _SKILL[task.kind], task.references
    if task.kind == "binary":
        error = task.estimate(metric)
    else:
        error = None if references is None else references.relative_squared_error
    outcome, reason = _evaluate_error(error)
    if task.kind == "binary" and task.positives < SPARSE and outcome is Outcome.BLOCK:
        outcome = Outcome.INCONCLUSIVE
        reason = f"{task.positives} positives are too few to distinguish it from a constant"
    if task.kind == "value" and references is None:
        outcome, reason = Outcome.WARN, _UNMEASURED
    elif not weighted and outcome in {Outcome.BLOCK, Outcome.INCONCLUSIVE}:
        outcome, reason = Outcome.WARN, f"{reason}; it carries no weight"
    word = "base rate" if task.kind == "binary" else "mean"
    base = "" if references is None else f"{word} {format_number(references.base)}"
    return Verdict(
        gate="model",
        subject=Subject(metric, task=task.task),
        segment=ALL,
        outcome=outcome,
        threshold=Threshold(high=1, strict=True),
        observed=error,
        reason="; ".join(filter(None, (reason, base))),
        evidence=run,
    )


def _evaluate_error(error: Estimate | None) -> tuple[Outcome, str]:
    """Evaluate an error relative to a constant's."""
    if error is None:
        return Outcome.METRIC_MISSING, ""
    if error.known and error.high < 1:
        return Outcome.PASS, ""
    if error.known and error.value >= 1 and error.low >= 1 - _LEAST_GAIN:
        return Outcome.BLOCK, "no better than a constant"
    return Outcome.INCONCLUSIVE, "too little data to distinguish it from a constant"


def _feature(task: TaskFigures, run: str) -> Iterator[Verdict]:
    """Warn if a head ranks no better than one of its features alone."""
    references = task.references
    ranked = references and (references.auc_by_request or references.auc)
    if not references or not ranked or not ranked.gain.known or ranked.gain.high > 0:
        return
    where = "inside requests" if references.auc_by_request else "over all rows"
    yield Verdict(
        gate="model",
        subject=Subject("auc_over_best_feature", task=task.task),
        segment=ALL,
        outcome=Outcome.WARN,
        threshold=Threshold(low=0, strict=True),
        observed=ranked.gain,
        reason=f"it ranks no better than {ranked.feature} alone, whose AUC {where} is "
        f"{format_estimate(ranked.best)}",
        evidence=run,
    )


def _too_good(gate: ModelGate, tasks: Sequence[TaskFigures], run: str) -> Iterator[Verdict]:
    """Evaluate implausibly high AUCs; if there are none, one verdict reports the nearest to its limit."""
    evaluated = [verdict for task in tasks for verdict in _evaluate_aucs(gate, task, run)]
    above = [verdict for verdict, _ in evaluated if verdict.outcome is not Outcome.PASS]
    yield from above or [verdict for verdict, _ in sorted(evaluated, key=lambda one: one[1])[:1]]


def _evaluate_aucs(gate: ModelGate, task: TaskFigures, run: str) -> Iterator[tuple[Verdict, float]]:
    """Yield a verdict on each AUC of a head and of its best feature, and the distance to its limit."""
    for name in ("auc", "auc_by_request"):
        ranked = getattr(task.references, name, None)
        if ranked is None or math.isnan(ranked.head.value):
            continue
        for feature, whose, auc, most in (
            ("", "the head", ranked.head, gate.auc_max),
            (ranked.feature, f"{ranked.feature} alone", ranked.best, gate.feature_auc_max),
        ):
            outcome, reason = Outcome.PASS, f"{whose}: the nearest to its bound"
            if not auc.value <= most:
                lies_above = auc.known and auc.low > most
                outcome = Outcome.BLOCK if lies_above else Outcome.INCONCLUSIVE
                reason = f"{whose}: {_TOO_GOOD}"
            subject, threshold = Subject(name, task=task.task, feature=feature), Threshold(high=most)
            yield Verdict("model", subject, ALL, outcome, threshold, auc, reason, run), most - auc.value
