"""Effects of an experiment's treatment by metric, and the decision that follows.

::

    while it runs, or labels mature    always-valid intervals; a critical guardrail beyond its bound stops it
    every impression matured           the planned analysis: one-sided 95 % bounds, once

    stop    a critical guardrail, or the primary metric, exceeds its bound
    hold    a critical guardrail or the primary metric is inconclusive, another guardrail exceeds its bound,
            or a segment is harmed
    ship    otherwise

Segments are tested for harm: those of costs with Bonferroni's correction, all others with Benjamini and
Hochberg's. If the effect changes with days since first exposure (novelty), only day 8 and later are used.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from scipy.stats import false_discovery_control

from tasks.arrays import Floats
from tasks.contracts import Contracts
from tasks.contracts.experiment import ExperimentSpec, experiment_outcomes
from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.utility import Bounded, Guardrail
from tasks.evaluation.clustered import Ratio, half_width
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment, Subject, Threshold
from tasks.evaluation.verdicts import DETECTED, Estimate, Outcome, Verdict, evaluate_interval
from tasks.experiments.always_valid import LEAST_EVENTS, planned_information, sequential_interval
from tasks.experiments.arm_effects import ArmEffect, arm_effect
from tasks.experiments.arms_log import ArmLog, metric_maturity
from tasks.experiments.evidence import CumulativeEffect, Decision, MetricReadout, OutcomeChanges
from tasks.labels.windows import matures
from tasks.replay import guardrails
from tasks.replay.replay_policies import percentile_estimate

_WEEK: Final = 7
_ONE_SIDED: Final = 0.9
"""Level of a two-sided interval whose ends are one-sided 95 % bounds."""
_LEVEL: Final = 0.05


@dataclass(frozen=True)
class Analysis:
    """Data for an experiment's metrics.

    Attributes
    ----------
    horizon : instant up to which labels are mature.
    """

    spec: ExperimentSpec
    contracts: Contracts
    log: ArmLog
    horizon: datetime

    @property
    def metrics(self) -> dict[str, Metric]:
        """The experiment's metrics, primary first."""
        return self.spec.parse_metrics(self.contracts)

    def rails(self, metric: str) -> list[tuple[Bounded, bool]]:
        """Return the bounds of a metric, each with whether it is critical; the primary's bound is."""
        primary = self.spec.primary
        rails: list[tuple[Bounded, bool]] = [
            (rail, rail.critical) for rail in self.spec.guardrails if rail.metric == metric
        ]
        if metric == primary.metric:
            rails.insert(0, (Bounded(**primary.model_dump()), True))
        return rails

    @property
    def alpha(self) -> float:
        """False alarm rate of one guardrail over all readings."""
        return _LEVEL / max(1, len(self.spec.guardrails))


def read_metric(analysis: Analysis, name: str) -> MetricReadout:
    """Measure a metric, and evaluate its bounds as of the analysis's horizon."""
    metric, spec = analysis.metrics[name], analysis.spec
    first, last = (at + metric_maturity(metric, analysis.contracts) for at in spec.instants)
    blank = MetricReadout(
        metric=name,
        critical=any(critical for _, critical in analysis.rails(name)),
        primary=name == spec.primary.metric,
        final=analysis.horizon >= last,
        mature_on=next_midnight(last).date(),
        effect=None,
        change=None,
        verdicts=(),
        detectable=math.nan,
    )
    if metric.kind is MetricKind.LATENCY:
        seen = Measured(Subject.of(metric), ALL, "log", _latency(analysis), None, None)
    elif analysis.horizon < first:
        reason = f"not mature until {next_midnight(first).date()}"
        seen = Measured(Subject.of(metric), ALL, "log", None, None, None, reason=reason)
    else:
        return _measure(analysis, blank, metric)
    return blank.model_copy(update={"verdicts": _evaluate_bounds(analysis, seen, blank)})


def next_midnight(instant: datetime) -> datetime:
    """Return the first midnight at or after an instant."""
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == instant else midnight + timedelta(days=1)


def _measure(analysis: Analysis, blank: MetricReadout, metric: Metric) -> MetricReadout:
    name, log, final = blank.metric, analysis.log, blank.final
    novelty = log.novelty(name) if final else None
    aged = _WEEK if novelty is not None and novelty.present else 0
    users = log.users(name, aged=aged)
    effect = arm_effect(users)
    seen = Measured(
        subject=Subject.of(metric),
        segment=ALL,
        reference_model="log",
        policy=_level(users.numerator[users.treated], users.denominator[users.treated], effect),
        baseline=_level(users.numerator[~users.treated], users.denominator[~users.treated], effect),
        relative=bounded_interval(analysis, effect, final=final) if effect.known else _point(effect),
        events=effect.events,
    )
    return blank.model_copy(
        update={
            "effect": effect,
            "change": effect.interval() if final else bounded_interval(analysis, effect, final=False),
            "verdicts": _evaluate_bounds(analysis, seen, blank),
            "novelty": novelty,
            "from_day": aged + 1,
            "detectable": math.expm1(DETECTED * effect.log_error),
            "cumulative": tuple(_cumulative(analysis, name)),
        }
    )


def bounded_interval(analysis: Analysis, effect: ArmEffect, *, final: bool) -> Estimate:
    """Return the interval for bounds: one-sided 95 % at the end, always-valid before.

    Before the end there is no interval if an arm has fewer than `LEAST_EVENTS` users with an event.
    """
    if final:
        return effect.interval(_ONE_SIDED)
    if not effect.known or effect.events < LEAST_EVENTS:
        return _point(effect)
    planned = planned_information(analysis.spec.smallest_effect)
    low, high = sequential_interval(
        effect.log_change, effect.log_error, planned=planned, alpha=2 * analysis.alpha
    )
    return Estimate(math.expm1(effect.log_change), math.expm1(low), math.expm1(high), sum(effect.users))


def _point(effect: ArmEffect) -> Estimate:
    change = effect.treatment / effect.control - 1 if effect.control else math.nan
    return Estimate(change, math.nan, math.nan, sum(effect.users))


def _level(numerator: Floats, denominator: Floats, effect: ArmEffect) -> Estimate | None:
    """Return an arm's level with its user-clustered interval."""
    if not denominator.sum():
        return None
    statistic = Ratio(numerator, denominator).statistic
    half = half_width(statistic, np.arange(len(numerator))) if effect.known else math.nan
    return Estimate(statistic.value, statistic.value - half, statistic.value + half, len(numerator))


def _latency(analysis: Analysis) -> Estimate | None:
    """Return the 99th percentile of the treatment's requests; None if none is logged."""
    users, days, milliseconds = analysis.log.latencies
    return percentile_estimate(milliseconds, users, days) if len(milliseconds) else None


def _evaluate_bounds(analysis: Analysis, seen: Measured, readout: MetricReadout) -> tuple[Verdict, ...]:
    """Evaluate every bound of a metric; bounds on levels have only a final interval and wait for the end."""
    verdicts = []
    for rail, critical in analysis.rails(readout.metric):
        guardrail = Guardrail(**rail.model_dump(include={*Bounded.model_fields}), action="block")
        for bound in guardrails.bounds_of(guardrail, seen):
            waits = not bound.relative and not readout.final and not seen.reason
            reason = (
                f"a bound on a level is evaluated at the end, {readout.mature_on}" if waits else seen.reason
            )
            verdict = guardrails.evaluate_bound(guardrail, bound, replace(seen, reason=reason), "")
            verdicts.append(replace(verdict, holds=critical))
    return tuple(verdicts)


def _cumulative(analysis: Analysis, name: str) -> Iterator[CumulativeEffect]:
    """Yield the cumulative effect up to each day, with its always-valid interval."""
    log = analysis.log
    matured = np.unique(log.rows.days[log.rows.sums[name][1] > 0])
    for day in matured.tolist():
        effect = arm_effect(log.users(name, until=day))
        change = bounded_interval(analysis, effect, final=False)
        if math.isfinite(change.low):
            yield CumulativeEffect(day=analysis.spec.starts + timedelta(days=day), change=change)


def read_segments(analysis: Analysis, readouts: Sequence[MetricReadout]) -> list[MetricReadout]:
    """Evaluate the declared segments of all metrics with a bound on the change, in one family of tests."""
    found: list[tuple[int, Segment, ArmEffect, Threshold]] = []
    p_values: list[float] = []
    for place, one in enumerate(readouts):
        margins = [v.threshold for v in one.verdicts if v.relative]
        if not margins or one.effect is None:
            continue
        for (column, value), rows in sorted(analysis.log.segments.items()):
            effect = arm_effect(analysis.log.users(one.metric, aged=one.from_day - 1, rows=rows))
            low, high = margins[0].low, margins[0].high
            rises = math.isfinite(high)
            p_values.append(effect.p_value_beyond(high if rises else low, rise=rises))
            found.append((place, Segment(column, value), effect, margins[0]))
    subjects = [analysis.metrics[readouts[place].metric].subject for place, *_ in found]
    costs = [subject in analysis.contracts.tasks.costs for subject in subjects]
    # p-values are adjusted for costs by their number, for others with Benjamini and Hochberg's method
    every, cost = np.asarray(p_values, dtype=float), np.asarray(costs, dtype=bool)
    adjusted = np.minimum(1.0, every * max(1, int(cost.sum())))
    adjusted[~cost] = false_discovery_control(every[~cost])
    verdicts: dict[int, list[Verdict]] = {}
    for (place, segment, effect, margin), p in zip(found, adjusted.tolist(), strict=True):
        one = readouts[place]
        harmed, seen = one.final and p <= _LEVEL, bounded_interval(analysis, effect, final=one.final)
        inside = evaluate_interval(seen, low=margin.low, high=margin.high) is Outcome.PASS
        verdicts.setdefault(place, []).append(
            Verdict(
                gate="decision",
                subject=one.verdicts[0].subject,
                segment=segment,
                outcome=Outcome.BLOCK if harmed else Outcome.PASS if inside else Outcome.INCONCLUSIVE,
                threshold=margin,
                observed=seen,
                reason=f"harm by chance in one of {len(found)} segments: p {p:.2g}" if harmed else "",
                relative=True,
            )
        )
    return [
        one.model_copy(update={"segments": tuple(verdicts.get(place, ()))})
        for place, one in enumerate(readouts)
    ]


def read_outcomes(analysis: Analysis) -> OutcomeChanges:
    """Measure the outcomes for learning weights: those that are mature and have an effect."""
    tasks, log = analysis.contracts.tasks, analysis.log
    mature = analysis.horizon - analysis.spec.instants[1]
    names = [
        name
        for name, task in sorted(experiment_outcomes(analysis.contracts).items())
        if name in log.rows.sums and mature >= matures(tasks, task) and arm_effect(log.users(name)).known
    ]
    changes = [log.change(name) for name in names]
    parts = np.array([part for _, part in changes])
    return OutcomeChanges(
        outcomes=tuple(names),
        changes=tuple(change for change, _ in changes),
        covariance=tuple(map(tuple, (parts @ parts.T).tolist())) if names else (),
    )


def decide(readouts: Sequence[MetricReadout]) -> tuple[Decision, tuple[str, ...]]:
    """Return the decision, and a sentence for each metric that prevents shipping."""
    broken = [
        f"{one.metric} is beyond its bound" + ("" if one.final else " at an always-valid level")
        for one in readouts
        if one.critical and any(v.outcome is Outcome.BLOCK and v.holds for v in one.verdicts)
    ]
    if broken:
        return "stop", tuple(broken)
    if waiting := [one for one in readouts if not one.final]:
        latest = max(waiting, key=lambda one: one.mature_on)
        return "continue", (f"{latest.metric} is mature on {latest.mature_on}",)
    held = tuple(reason for one in readouts for reason in _holds(one))
    return ("hold", held) if held else ("ship", ())


def _holds(one: MetricReadout) -> Iterator[str]:
    for verdict in one.verdicts:
        if verdict.outcome is Outcome.BLOCK:
            yield f"{one.metric} is beyond its bound"
        elif verdict.holds and verdict.outcome is not Outcome.PASS:
            missing = verdict.outcome is Outcome.METRIC_MISSING
            words = f"{one.metric} is {'not measured' if missing else 'inconclusive'}"
            yield words + (f": {verdict.reason}" if verdict.reason else "")
    yield from (f"{one.metric} harms {verdict.segment}" for verdict in one.harmed)
