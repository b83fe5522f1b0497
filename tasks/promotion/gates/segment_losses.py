"""Which segments lose more than they may: the segments of one task are one family.

::

    p-value      of "the loss is at most the bound", by Student's law with the interval's standard error, and
                 as many degrees of freedom as there are users with an event but one
    adjusted     by Benjamini and Hochberg over all segments and metrics of the task that have an interval
    lost         the adjusted p-value is at most the level: .025, that of a 95 % interval which ends at the
                 bound, over the number of tasks that are judged (Bonferroni)

Where no segment loses, this is Simes's test of them all: the chance that any is called lost is the level,
however many there are; uncorrected it is one half for thirty. Where one does lose, the release is held for it
already, so a further false one costs nothing: that is why the share of false discoveries is bounded and not,
as by Holm, the chance of any, which finds fewer of the true ones. Segments overlap, so their p-values depend
on one another positively, which both allow (Benjamini and Yekutieli 2001). The tails of the
normal law are too light for a segment with a dozen events among hundreds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.calibration_verdicts import benjamini_hochberg
from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Estimate, beyond_p_value

LEVEL: Final = 0.025
"""Chance that a release which loses nowhere is held for a segment of any task."""


@dataclass(frozen=True)
class SegmentLoss:
    """A loss in one segment, and the bound of its metric."""

    segment: Segment
    metric: str
    loss: Estimate
    bound: float


@dataclass(frozen=True)
class JudgedLoss:
    """A loss with its p-value against "at most the bound", alone and adjusted for the family.

    ``lost``: chance does not explain it, among so many.
    """

    of: SegmentLoss
    p_value: float
    adjusted: float
    lost: bool


def judge_losses(losses: Sequence[SegmentLoss], *, level: float = LEVEL) -> list[JudgedLoss]:
    """Judge the losses of a task's segments, the worst first.

    Those without an interval are left out: they are inconclusive.

    Examples
    --------
    >>> losses = [SegmentLoss(Segment("age", "new"), "auc_drop", Estimate(0.08, 0.04, 0.12, 90), 0.005)]
    >>> losses += [SegmentLoss(Segment("age", "old"), "auc_drop", Estimate(0.01, -0.02, 0.04, 90), 0.005)]
    >>> [(str(one.of.segment), one.lost, round(one.adjusted, 3)) for one in judge_losses(losses)]
    [('age=new', True, 0.0), ('age=old', False, 0.372)]
    """
    known = [one for one in losses if one.loss.known]
    p_values = [loss_p_value(one) for one in known]
    adjusted = map(float, benjamini_hochberg(p_values))
    judged = [JudgedLoss(*one, lost=one[2] <= level) for one in zip(known, p_values, adjusted, strict=True)]
    return sorted(judged, key=lambda one: one.p_value)


def loss_p_value(one: SegmentLoss) -> float:
    """Return the p-value of "the loss is at most the bound".

    Examples
    --------
    >>> loss = SegmentLoss(Segment("age", "new"), "auc_drop", Estimate(0.03, 0.01, 0.05, 90), 0.01)
    >>> round(loss_p_value(loss), 3)
    0.027
    """
    return beyond_p_value(one.loss, Threshold(high=one.bound), freedom=max(one.loss.n - 1, 1))
