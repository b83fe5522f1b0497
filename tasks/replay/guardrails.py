"""Evaluates the bounds of a utility policy by the metrics of a replay: guardrails and the primary metric.

::

    cost (negative, safety)         costs.py: inconclusive passes only where the reference models agree
    model-judged (_predicted)       the worse of two reference models decides; no interval is printed, because
                                    it measures variation of candidates, not error of the model; never a pass
    any other                       by its interval; an inconclusive figure is a warning

Segments only block, and blocks are corrected for the number of segments (Benjamini and Hochberg); otherwise
enough equal segments would block an equal candidate.

By the primary metric, a release may not lose more than its margin, also over several promotions.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy.stats import false_discovery_control

from tasks.contracts.metrics import MetricKind
from tasks.contracts.utility import Bounded, Guardrail, Primary
from tasks.evaluation.evidence import Measured
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES
from tasks.evaluation.subjects import ALL, Segment, Threshold
from tasks.evaluation.verdicts import (
    UNKNOWN_ESTIMATE,
    WORST_FIRST,
    Estimate,
    Outcome,
    Power,
    Verdict,
    beyond_p_value,
    evaluate_interval,
)
from tasks.reports.numbers import format_change, format_counted

ONE_SIDED_LEVEL: Final = 0.025
"""Probability that a 95 % interval lies wholly beyond a bound that is met."""
MODEL_JUDGED: Final = "model-judged"
_MOST_NAMED: Final = 8
"""Number of values of a pool that a sentence names; the evidence names them all."""
BELIEVED: Final = frozenset({MetricKind.PREDICTED, MetricKind.EXPECTED_UTILITY})
"""Metrics of a release's own predictions: intervals measure variation of candidates, not model error."""


@dataclass(frozen=True)
class Bound:
    """One bound of a guardrail: the figure that it limits, and the allowed range."""

    observed: Estimate | None
    allowed: Threshold
    relative: bool

    @property
    def margin(self) -> float | None:
        """The allowed change, negative for a fall; None for a bound on a level."""
        if not self.relative:
            return None
        return self.allowed.high if np.isfinite(self.allowed.high) else self.allowed.low


def evaluate_guardrail(guardrail: Guardrail, measured: Sequence[Measured], *, run: str) -> list[Verdict]:
    """Evaluate one guardrail in every segment; the worse verdict decides if two reference models disagree.

    Parameters
    ----------
    guardrail : the bounds.
    measured : the guardrail's metric, compared with its baseline or anchor.
    run : the MLflow run that the figures come from.
    """
    verdicts: dict[Segment, list[Verdict]] = {}
    for one in measured:
        evaluated = [evaluate_bound(guardrail, bound, one, run) for bound in bounds_of(guardrail, one)]
        verdicts.setdefault(one.segment, []).extend(evaluated)
    return correct_segments(
        [min(each, key=lambda verdict: WORST_FIRST.index(verdict.outcome)) for each in verdicts.values()]
    )


def correct_segments(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Withdraw segment blocks that are explained by multiple testing; the whole is unchanged."""
    family = [v for v in verdicts if _is_segment_with_interval(v)]
    p_values = [beyond_p_value(v.observed or UNKNOWN_ESTIMATE, v.threshold) for v in family]
    adjusted = iter(false_discovery_control(p_values))
    return [
        _corrected(v, float(next(adjusted)), len(family)) if _is_segment_with_interval(v) else v
        for v in verdicts
    ]


def _bound_words(direction: Literal["rise", "fall"], share: float) -> str:
    """Format a bound on a change.

    Examples
    --------
    >>> _bound_words("rise", 0.15), _bound_words("rise", 2.0), _bound_words("fall", 0.0)
    ('rise of 15.0%', 'rise of 200%', 'no fall')
    """
    return f"{direction} of {_write_size(share)}" if share else f"no {direction}"


def _write_size(share: float) -> str:
    """Format a share like a change, without its sign."""
    return format_change(share).removeprefix("+")


def _is_segment_with_interval(verdict: Verdict) -> bool:
    return verdict.segment != ALL and verdict.observed is not None and verdict.observed.known


def bounds_of(guardrail: Bounded, measured: Measured) -> Iterator[Bound]:
    """Yield each bound of a guardrail with the figure that it limits."""
    if guardrail.max is not None:
        yield Bound(measured.policy, Threshold(high=guardrail.max), relative=False)
    if guardrail.min is not None:
        yield Bound(measured.policy, Threshold(low=guardrail.min), relative=False)
    if (rise := guardrail.relative_increase_max) is not None:
        yield Bound(measured.relative, Threshold(high=rise, words=_bound_words("rise", rise)), relative=True)
    if (least := guardrail.relative_increase_min) is not None:
        words = f"rise of {_write_size(least)} or more"
        yield Bound(measured.relative, Threshold(low=least, words=words), relative=True)
    if (drop := guardrail.relative_decrease_max) is not None:
        yield Bound(measured.relative, Threshold(low=-drop, words=_bound_words("fall", drop)), relative=True)


def evaluate_bound(guardrail: Guardrail, bound: Bound, measured: Measured, run: str) -> Verdict:
    """Evaluate one bound by the interval alone; a rise from zero breaks a bound on relative change."""
    if measured.reason:
        outcome = Outcome.INCONCLUSIVE
    elif rises_from_none(bound, measured):
        outcome = Outcome(guardrail.action)
    else:
        outcome = evaluate_interval(
            bound.observed,
            low=_finite(bound.allowed.low),
            high=_finite(bound.allowed.high),
            action=guardrail.action,
        )
    return Verdict(
        gate="decision",
        subject=measured.subject,
        segment=measured.segment,
        outcome=outcome,
        threshold=bound.allowed,
        observed=_point(bound.observed) if measured.subject.metric in BELIEVED else bound.observed,
        reason="; ".join(filter(None, _reasons(bound, measured))),
        evidence=run,
        relative=bound.relative,
        power=_power(bound, measured),
        caveat=measured.reason,
    )


def rises_from_none(bound: Bound, measured: Measured) -> bool:
    """Whether a metric with a bound on its rise was zero and now is not: no relative bound can allow that.

    Rates of outcomes are left out: after zero events the next one may be chance.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Subject
    >>> none, some = Estimate(0.0, 0.0, 0.0, 90), Estimate(0.3, 0.2, 0.4, 90)
    >>> ads = Measured(Subject("share", column="source", value="ads"), ALL, "r", some, none, None)
    >>> rise = Bound(None, Threshold(high=0.1), relative=True)
    >>> rises_from_none(rise, ads), rises_from_none(rise, replace(ads, policy=none))
    (True, False)
    """
    policy, baseline = measured.policy, measured.baseline
    if measured.events is not None or policy is None or baseline is None:
        return False
    limited = bound.relative and bool(np.isfinite(bound.allowed.high))
    return limited and baseline.value == 0 and policy.known and policy.low > 0


def pool_in_words(measured: Measured) -> str:
    """Format the values that a segment pools; empty for a single value.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Segment, Subject
    >>> rate = Subject("rate", task="hide")
    >>> pool = Measured(rate, Segment("source", "other"), "r", None, None, None, pooled=("ads", "mail"))
    >>> pool_in_words(pool)
    'pools 2 sparse values: ads, mail'
    """
    if not measured.pooled:
        return ""
    shown, more = measured.pooled[:_MOST_NAMED], len(measured.pooled) - _MOST_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f"pools {len(measured.pooled)} sparse values: {', '.join(shown)}{rest}"


def _power(bound: Bound, measured: Measured) -> Power | None:
    if bound.margin is None or measured.subject.metric in BELIEVED or measured.reason:
        return None
    return Power.of(bound.observed, bound=bound.margin, growth=measured.growth)


def _point(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else replace(estimate, low=np.nan, high=np.nan)


def _reasons(bound: Bound, measured: Measured) -> Iterator[str]:
    yield measured.reason or _by_whom(measured)
    if not measured.reason and measured.subject.metric not in BELIEVED:
        yield no_interval(bound.observed, measured)
    if bound.relative and not measured.reason:
        yield no_share(measured)
    yield pool_in_words(measured)


def no_share(measured: Measured) -> str:
    """Return why a change has no relative value, or an empty string.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Subject
    >>> none = Estimate(0.0, 0.0, 0.0, 90)
    >>> no_share(Measured(Subject("observed_utility"), ALL, "r", none, none, None))
    'the baseline is 0, and no change is a share of that'
    """
    baseline = measured.baseline
    if baseline is None or not baseline.value <= 0:
        return ""
    return f"the baseline is {baseline.value:.3g}, and no change is a share of that"


def no_interval(observed: Estimate | None, measured: Measured) -> str:
    """Return why a figure has no interval; empty if it has one or there is no figure.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Subject
    >>> few = Estimate(0.1, float("nan"), float("nan"), 7)
    >>> no_interval(few, Measured(Subject("rate", task="hide"), ALL, "r", few, few, few, events=4))
    'no interval: 7 users and 4 events, and it takes 20 equally active users and 10 events'
    """
    if observed is None or observed.known or not np.isfinite(observed.value):
        return ""
    users, events = format_counted(observed.n, "user"), measured.events
    if events is None:
        return f"no interval: {users}, and it takes {LEAST_CLUSTERS} equally active ones"
    return (
        f"no interval: {users} and {format_counted(events, 'event')}, and it takes {LEAST_CLUSTERS} equally "
        f"active users and {LEAST_POSITIVES} events"
    )


def _by_whom(measured: Measured) -> str:
    if measured.subject.metric == MetricKind.PREDICTED:
        return f"{MODEL_JUDGED}, by {measured.reference_model}"
    if measured.subject.metric == MetricKind.EXPOSURE_RATIO:
        return f"merit predicted by {measured.reference_model}"
    return (
        f"evaluated by {measured.reference_model}"
        if measured.subject.metric == MetricKind.CALIBRATION
        else ""
    )


def _corrected(verdict: Verdict, adjusted: float, family: int) -> Verdict:
    if verdict.outcome not in {Outcome.BLOCK, Outcome.WARN} or adjusted <= ONE_SIDED_LEVEL:
        return verdict
    return by_chance(verdict, adjusted, family)


def by_chance(verdict: Verdict, adjusted: float, family: int) -> Verdict:
    """Withdraw a segment's block that is explained by multiple testing."""
    reason = f"chance may do this in one of {family} segments (p {adjusted:.2g})"
    joined = "; ".join(filter(None, (reason, verdict.reason)))
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=joined)


def _finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


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
    adjusted = false_discovery_control([_p_value_of_fall(one, whole) for one in measured])
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
