"""What a calibration error does to the utility: weight x prediction x error, for each term of the sum.

::

    error of a term    contribution x (observed / predicted - 1)          in utility, a slot; with an interval
    share of spread    largest |ratio - 1| of the interval x the term's spread / the utility's spread
    error bar          root of the sum over terms of (contribution x largest |ratio - 1|)^2

The ratio is that of the items in the slots if measurable, else that of all shown items. A term whose
error may move candidates by a tenth of what lies between them is named: its weight amplifies a small error.
What it does to one candidate's utility is in `tasks.release.error_bars`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import Sensitivity
from tasks.evaluation.replay_evidence import Measured, TermShare, UtilityComposition
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate


def sensitivities(
    composition: UtilityComposition, slots: Mapping[str, Estimate], whole: Mapping[str, Estimate]
) -> list[Sensitivity]:
    """Join what the simulation says of the terms with the calibration of their heads."""
    spread = composition.spread
    return [
        _sensitivity(
            term, spread, slots.get(term.task, UNKNOWN_ESTIMATE), whole.get(term.task, UNKNOWN_ESTIMATE)
        )
        for term in composition.terms
    ]


def _sensitivity(term: TermShare, spread: float, slots: Estimate, whole: Estimate) -> Sensitivity:
    ratio = slots if slots.known else whole
    added, apart = term.contribution, term.spread
    ends = sorted((added * (ratio.low - 1), added * (ratio.high - 1)))
    return Sensitivity(
        task=term.task,
        weight=term.weight,
        times=term.times,
        prediction=term.prediction,
        slots=slots,
        whole=whole,
        contribution=added,
        error=Estimate(added * (ratio.value - 1), ends[0], ends[1], ratio.n),
        share=furthest(ratio) * apart / spread if spread else math.nan,
    )


def furthest(ratio: Estimate) -> float:
    """Return the largest share by which a head's predictions may be off; NaN where that is unknown."""
    return max(abs(ratio.low - 1), abs(ratio.high - 1)) if ratio.known else math.nan


def error_bar(terms: Sequence[Sensitivity]) -> float:
    """Return how far a slot's utility may be off by the terms whose calibration can be measured."""
    return math.sqrt(sum(term.largest**2 for term in terms if term.error.known))


def whole_ratios(tasks: Iterable[TaskFigures]) -> dict[str, Estimate]:
    """Return the calibration ratios of all shown items of the release's test days, by task."""
    found = ((task.task, task.estimate("calibration_ratio")) for task in tasks)
    return {task: ratio for task, ratio in found if ratio is not None}


def slot_ratios(measured: Iterable[Measured]) -> dict[str, Estimate]:
    """Return the calibration ratios of the items in the slots, as the simulation measured them, by task."""
    return {
        one.subject.task: one.policy
        for one in measured
        if one.subject.metric == MetricKind.CALIBRATION and one.segment == ALL and one.policy is not None
    }
