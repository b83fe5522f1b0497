"""The primary metric: a release may not lose more than its margin, also over several promotions.

::

    margin    |-5 %------------0------->      one-sided 95 % bound above the margin    pass
                   |---- x ---->              upper bound below it                    block
                                              else                                     inconclusive: holds

The same applies against the champion of four promotions ago. With a margin below 2.5 standard errors, a
release equal to its baseline seldom passes: the verdict states this, and how many requests would decide.

In every declared segment the margin is twice as wide, and a segment only blocks: if its estimate lies beyond
that margin and the fall is significant, one-sided, with all segments corrected together (Benjamini and
Hochberg). Requiring the whole interval beyond twice the margin would detect too few harmed segments
(``python -m benchmarks.harmed_segment``).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from tasks.contracts.utility import Primary
from tasks.evaluation.calibration_verdicts import benjamini_hochberg
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Power, Verdict, beyond_p_value, evaluate_interval
from tasks.replay.guardrails import ONE_SIDED_LEVEL, no_interval, no_share, pool_in_words

ONE_SIDED: Final = 1.644854 / 1.959964
"""Ratio of the half-widths of a 90 % interval, whose ends are one-sided 95 % bounds, and a 95 % interval."""
LEAST_MARGIN: Final = 2.5
"""Standard errors that a margin should cover, so that an equal release passes it in four of five cases."""


def evaluate_primary(primary: Primary, measured: Measured, *, run: str) -> Verdict:
    """Evaluate the primary metric of a release against a baseline.

    Parameters
    ----------
    primary : the metric and its margin.
    measured : the metric on the whole.
    run : the MLflow run that the figures come from.
    """
    margin, change = primary.relative_decrease_max, measured.relative
    bounds = None if change is None else one_sided(change)
    outcome = Outcome.INCONCLUSIVE if measured.reason else evaluate_interval(bounds, low=-margin)
    words = f"primary, one-sided 95 %{_too_narrow(margin, change)}"
    return Verdict(
        gate="decision",
        subject=measured.subject,
        segment=measured.segment,
        outcome=outcome,
        threshold=_most_lost(margin),
        observed=bounds,
        reason=measured.reason or "; ".join(filter(None, (words, *_unmeasured(measured)))),
        evidence=run,
        relative=True,
        holds=True,
        power=None if measured.reason else Power.of(change, bound=-margin, growth=measured.growth),
        caveat=measured.reason,
    )


def evaluate_primary_segments(
    primary: Primary,
    whole: Measured,
    measured: Sequence[Measured],
    predicted: Mapping[Segment, float],
    *,
    run: str,
) -> list[Verdict]:
    """Evaluate the primary metric in segments at twice its margin; segments may block, but never hold.

    A segment blocks if outcomes show the fall, or if the models of both releases predict it: with an eighth
    of 5,600 requests, outcomes alone miss one in three falls of 20 %.

    Parameters
    ----------
    primary : the metric and its margin on the whole.
    whole : the metric on all rows.
    measured : the metric in every declared segment.
    predicted : by segment, the more favourable of the changes that both models predict.
    run : the MLflow run that the figures come from.
    """
    margin = 2 * primary.relative_decrease_max
    adjusted = benjamini_hochberg([_p_value_of_fall(one, whole) for one in measured])
    verdicts = []
    for one, p in zip(measured, adjusted, strict=True):
        change = None if one.relative is None else one_sided(one.relative)
        passes = (
            change is not None and not one.reason and evaluate_interval(change, low=-margin) is Outcome.PASS
        )
        falls = one.relative is not None and p <= ONE_SIDED_LEVEL and one.relative.value < -margin
        chance = f"a fall by chance in one of {len(measured)} segments: p {p:.2g}" if falls else ""
        believed = predicted.get(one.segment, 0.0)
        if believed < -margin:
            falls, chance = True, f"model-judged: each model predicts a fall of at least {-believed:.1%}"
        verdicts.append(
            Verdict(
                gate="decision",
                subject=one.subject,
                segment=one.segment,
                outcome=Outcome.BLOCK if falls else Outcome.PASS if passes else Outcome.INCONCLUSIVE,
                threshold=_most_lost(margin),
                observed=change,
                reason="; ".join(filter(None, (one.reason, chance, *_unmeasured(one)))),
                evidence=run,
                relative=True,
                holds=False,
                caveat=one.reason,
            )
        )
    return verdicts


def _most_lost(margin: float) -> Threshold:
    return Threshold(low=-margin, words=f"fall of {margin:.1%}" if margin else "no fall")


def _unmeasured(measured: Measured) -> tuple[str, str, str]:
    """Return why a segment's change is unknown, and the values that it pools."""
    return no_share(measured), no_interval(measured.relative, measured), pool_in_words(measured)


def _p_value_of_fall(measured: Measured, whole: Measured) -> float:
    """Return the one-sided p-value of "the segment loses nothing"; 1 if the segment is not evaluated.

    A segment with a share s of the events has an expected standard error of 1 / sqrt(s) times the whole's,
    and at least half of that is used: where one explored slot represents many candidates, a segment that drew
    no rare positive has both too low an estimate and too small an error.
    """
    change = measured.relative
    if change is None or measured.reason:
        return 1.0
    if whole.relative is not None and whole.relative.known and whole.events and measured.events:
        expected = (whole.relative.high - whole.relative.low) / 2 * math.sqrt(whole.events / measured.events)
        half = max((change.high - change.low) / 2, expected / 2)
        change = Estimate(change.value, change.value - half, change.value + half, change.n)
    return beyond_p_value(change, Threshold(low=0.0))


def one_sided(change: Estimate) -> Estimate:
    """Return the interval whose ends are the one-sided 95 % bounds.

    Examples
    --------
    >>> one_sided(Estimate(0.0, -0.1, 0.1, 90)).low.__round__(4)
    -0.0839
    """
    low = change.value - ONE_SIDED * (change.value - change.low)
    high = change.value + ONE_SIDED * (change.high - change.value)
    return Estimate(change.value, low, high, change.n)


def _too_narrow(margin: float, change: Estimate | None) -> str:
    if change is None or not change.known or not change.standard_error:
        return ""
    if not margin:
        return "; without a margin only what is better passes"
    errors = margin / change.standard_error
    if errors >= LEAST_MARGIN:
        return ""
    written = f"{errors:.2g} standard error"
    plural = "" if written.startswith("1 ") else "s"
    return f"; the margin is {written}{plural}, and below {LEAST_MARGIN:g} an equal release seldom passes"
