"""An off-policy estimate of a target policy from a log, as one report with a verdict.

The lower bound decides: a policy passes if its whole interval is above the bound. With too little support the
verdict is inconclusive, independent of the interval.

In addition to the interval clustered by user, the report has an empirical Bernstein bound, which is valid for
any distribution of bounded values, however skewed. With probability 1 - delta the mean of n independent
values in a range of width R exceeds their average by at most ::

    sqrt(2 V log(2 / delta) / n) + 7 R log(2 / delta) / (3 (n - 1))        V: sample variance

Maurer and Pontil (2009), "Empirical Bernstein Bounds and Sample-Variance Penalization", theorem 4; both ends
of a 95 % interval have delta = .025.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks.arrays import Floats, Indices
from tasks.errors import ContractError, unknown
from tasks.evaluation.binary import divide
from tasks.evaluation.clustered import Ratio, half_width
from tasks.evaluation.resampling import Statistic, Support, sum_intervals
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, evaluate_interval
from tasks.ope import estimators as e
from tasks.ope.estimators import EstimatorSums, ExpectedRewards, Unit, expect_rewards, slate_terms, slot_terms
from tasks.ope.log_rows import LogRows, TargetRows, read_log, read_target
from tasks.ope.overlap import (
    Overlap,
    find_out_of_balance,
    find_sparse_support,
    measure_overlap,
    unsupported_share,
)

REPLICATES: Final = 1_000
DELTA: Final = 0.025
"""Probability of an error at each end of a 95 % interval."""


@dataclass(frozen=True)
class OffPolicyEstimate:
    """Result of one estimator.

    Attributes
    ----------
    value, low, high : the figure and its 95 % interval, the wider of the bootstrap by user and the interval
        by day; NaN without an interval.
    bernstein_low, bernstein_high : the empirical Bernstein interval, for means only.
    per : unit of the mean: a slot, or a request with all its slots.
    ess, max_weight : effective sample size of its weights, and the largest weight; NaN for DM.
    limit : tau of Switch-DR or lambda of DRos; None for other estimators and if no limit is best.
    """

    value: float
    low: float
    high: float
    bernstein_low: float
    bernstein_high: float
    per: Unit
    ess: float
    max_weight: float
    limit: float | None


@dataclass(frozen=True)
class OffPolicyReport:
    """The figures of all estimators, their support, and the verdict by the deciding estimator.

    Attributes
    ----------
    n, requests : rows and requests of the log.
    resampled : the units that the bootstrap draws.
    days : days of the log, also used for intervals; None if no time is logged.
    balanced_by : columns by which propensities were checked.
    not_balanced_by : further columns, which describe the item.
    ess, max_weight : effective sample size and largest weight of the deciding estimator.
    unsupported_share : share of the target's probability on items that were never logged at that position.
    reward_model : source of expected rewards.
    estimator, at_least : the deciding estimator, and the requested bound.
    reasons : reasons of the verdict.
    """

    n: int
    requests: int
    resampled: str
    days: int | None
    balanced_by: tuple[str, ...]
    not_balanced_by: tuple[str, ...]
    ess: float
    max_weight: float
    unsupported_share: float
    reward_model: str
    estimator: str
    at_least: float | None
    estimates: dict[str, OffPolicyEstimate]
    verdict: Outcome
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the bound is met, or no bound was requested and the figure can be measured."""
        return self.verdict in {Outcome.PASS, Outcome.NO_RULE}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; unknown figures become null."""
        plain = _without_unknown(asdict(self))
        return {
            **plain,
            "estimates": {name: _without_unknown(one) for name, one in plain["estimates"].items()},
        }


@np.errstate(over="ignore", invalid="ignore")
def estimate_off_policy(
    log: pd.DataFrame,
    target: pd.DataFrame,
    *,
    reward: str,
    at_least: float | None = None,
    estimator: str | None = None,
    balance: Sequence[str] | None = None,
) -> OffPolicyReport:
    """Estimate the reward that a target policy would have earned.

    Weights that overflow in a sum make a figure unknown, and its verdict inconclusive.

    Parameters
    ----------
    log, target : tables as described in `log_rows` and `target_rows`.
    reward : the log's column of rewards.
    at_least : the bound on the target's mean reward, in the unit of the deciding estimator.
    estimator : the deciding estimator; by default ``dr``, and ``cascade_dr`` if requests have several slots.
    balance : columns by which propensities are checked; None uses all others that do not describe the item.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> shown = rng.integers(2, size=2_000)
    >>> clicks = rng.binomial(1, np.where(shown == 1, 0.4, 0.2))
    >>> log = pd.DataFrame({"request_id": range(2_000), "item_id": shown, "position": 1,
    ...                     "propensity": 0.5, "click": clicks})
    >>> target = pd.DataFrame({"item_id": [0, 1], "position": 1, "probability": [0.1, 0.9]})
    >>> report = estimate_off_policy(log, target, reward="click", at_least=0.3)
    >>> report.verdict.value, round(report.estimates["dr"].value, 2), round(report.ess)
    ('pass', 0.36, 1252)
    """
    if at_least is not None and not math.isfinite(at_least):
        raise ContractError(f"The bound is {at_least}; it must be a finite number.")
    rows = read_log(log, reward=reward, balance=balance)
    return _report(rows, read_target(target, rows), at_least=at_least, estimator=estimator)


def _report(
    rows: LogRows, policy: TargetRows, *, at_least: float | None, estimator: str | None
) -> OffPolicyReport:
    """Compute every estimator that the rows allow, and evaluate the deciding one."""
    rewards = expect_rewards(rows, policy)
    every, notes = _all_terms(rows, policy, rewards)
    deciding = _choose(every, estimator)
    columns = [side for terms in every.values() for side in (terms.with_noise, terms.below)]
    ratios: dict[str, Statistic] = {
        name: lambda *sums, at=2 * place: divide(sums[at], sums[at + 1]) for place, name in enumerate(every)
    }
    drawn = sum_intervals(columns, ratios, rows.clusters, REPLICATES)
    intervals = {name: _interval(rows, terms, *drawn[name]) for name, terms in every.items()}
    sparse = [*find_out_of_balance(rows, policy), *find_sparse_support(rows, policy, every[deciding])]
    verdict, reason = _evaluate(deciding, intervals[deciding], at_least, sparse=bool(sparse))
    estimates = {name: _estimate(rows, terms, intervals[name]) for name, terms in every.items()}
    return OffPolicyReport(
        n=len(rows.reward),
        requests=rows.request_count,
        resampled=rows.clusters.resampled,
        days=None if rows.days is None else int(rows.days.max()) + 1,
        balanced_by=tuple(column.name for column in rows.context),
        not_balanced_by=rows.of_item,
        ess=estimates[deciding].ess,
        max_weight=estimates[deciding].max_weight,
        unsupported_share=unsupported_share(policy),
        reward_model=rewards.model,
        estimator=deciding,
        at_least=at_least,
        estimates=estimates,
        verdict=verdict,
        reasons=(*sparse, reason, *notes),
    )


def _all_terms(
    log: LogRows, target: TargetRows, rewards: ExpectedRewards
) -> tuple[dict[str, EstimatorSums], list[str]]:
    """Return every estimator's terms, and notes on omitted rows and estimators."""
    weight = target.of_logged(target.probability) / log.propensity
    every = list(slot_terms(log, weight, rewards))
    notes = []
    if log.left_out:
        notes.append(f"{log.left_out:,} rows are left out: their label is not observed")
    if log.lengths.max() > 1:
        if log.torn:
            notes.append(
                f"no estimator of slates: {log.torn:,} of {log.request_count:,} requests have rows that are "
                "left out, which would count as nothing"
            )
        elif log.with_gaps:
            notes.append(
                f"no estimator of slates: {log.with_gaps:,} of {log.request_count:,} requests lack a "
                "position above one that they have"
            )
        else:
            every += slate_terms(log, weight, rewards)
    return {terms.name: terms for terms in every}, notes


def _choose(every: dict[str, EstimatorSums], estimator: str | None) -> str:
    if estimator is None:
        return e.CASCADE_DR if e.CASCADE_DR in every else e.DR
    if estimator not in every:
        raise ContractError(unknown("estimator", estimator, every, where="those that this log allows"))
    return estimator


def _interval(log: LogRows, terms: EstimatorSums, estimate: Estimate) -> Estimate:
    """Return an estimator's interval; none for DM, whose error is in its model and not in the rows."""
    value = float(divide(terms.above.sum(), terms.below.sum()))
    if terms.name == e.DM:
        return Estimate(value, math.nan, math.nan, estimate.n)
    support = Support.of(terms.outcome, terms.weight, log.clusters.codes)
    return _widen_by_day(log, terms, _move(support.of_outcomes([estimate])[0], value))


def _widen_by_day(log: LogRows, terms: EstimatorSums, by_user: Estimate) -> Estimate:
    """Return the wider of the intervals by user and by day, with Student's t for the number of days."""
    if log.days is None or not by_user.known:
        return by_user
    half = half_width(Ratio(terms.with_noise, terms.below).statistic, log.days)
    if not 2 * half > by_user.high - by_user.low:
        return by_user
    return Estimate(by_user.value, by_user.value - half, by_user.value + half, by_user.n)


def _move(interval: Estimate, value: float) -> Estimate:
    """Center an interval on a value: the rows' effect on the reward model widens it without shifting it."""
    by = value - interval.value
    return Estimate(value, interval.low + by, interval.high + by, interval.n)


def _estimate(log: LogRows, terms: EstimatorSums, interval: Estimate) -> OffPolicyEstimate:
    overlap, bound = Overlap(math.nan, math.nan, math.nan), UNKNOWN_ESTIMATE
    if terms.name != e.DM:
        overlap = measure_overlap(terms.weight, log.clusters.codes)
    if terms.name not in {e.SNIPS, e.DM}:
        around = bernstein_by_cluster(terms.with_noise, terms.below, log.clusters.codes)
        bound = _move(around, interval.value)
    limit = terms.limit if terms.limit is not None and math.isfinite(terms.limit) else None
    return OffPolicyEstimate(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        bernstein_low=bound.low,
        bernstein_high=bound.high,
        per=terms.per,
        ess=overlap.ess,
        max_weight=overlap.max_weight,
        limit=limit,
    )


def _evaluate(name: str, interval: Estimate, at_least: float | None, *, sparse: bool) -> tuple[Outcome, str]:
    figure = f"{name} is {_three_digits(interval.value)}"
    if interval.known:
        figure += f" [{_three_digits(interval.low)}, {_three_digits(interval.high)}]"
    if name == e.DM:
        return Outcome.INCONCLUSIVE, f"{figure}: it has no interval, for its error lies in its model"
    if sparse:
        return Outcome.INCONCLUSIVE, f"{figure}: no verdict, for the reasons above"
    if not interval.known:
        return Outcome.INCONCLUSIVE, f"{figure}: too many resamples have no such figure"
    if at_least is None:
        return Outcome.NO_RULE, f"{figure}; no bound was set"
    outcome = evaluate_interval(interval, low=at_least)
    words: dict[Outcome, str] = {
        Outcome.PASS: "all of its interval is at least",
        Outcome.BLOCK: "all of its interval is below",
    }
    return outcome, f"{figure}: {words.get(outcome, 'its interval holds')} {at_least:g}"


def _without_unknown(plain: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in plain.items()
    }


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def empirical_bernstein(values: Floats, width: float) -> Estimate:
    """Return the mean of independent values with its 95 % interval; NaN bounds for fewer than two values.

    Parameters
    ----------
    values : [n] in one range.
    width : width of the range.

    Examples
    --------
    >>> interval = empirical_bernstein(np.array([0.0, 1.0] * 500), 1.0)
    >>> interval.value, round(interval.low, 4), interval.n
    (0.5, 0.4429, 1000)
    """
    n = len(values)
    if n < 2:  # a variance needs two values
        return Estimate(float(values.mean()) if n else math.nan, math.nan, math.nan, n)
    mean, variance, log = float(values.mean()), float(values.var(ddof=1)), math.log(2 / DELTA)
    half = math.sqrt(2 * variance * log / n) + 7 * width * log / (3 * (n - 1))
    return Estimate(mean, mean - half, mean + half, n)


def bernstein_by_cluster(terms: Floats, sizes: Floats, clusters: Indices) -> Estimate:
    """Bound the mean of terms that are correlated within users.

    The independent values are the users' sums, scaled so that their mean is sum of terms / sum of sizes. The
    width is the range of the observed sums: larger sums can occur, so the bound is conditional on the data.

    Parameters
    ----------
    terms, sizes : [n] contribution of each row to the numerator and the denominator.
    clusters : [n] codes of the rows' users.

    Examples
    --------
    >>> terms = np.array([0.0, 1.0] * 500)
    >>> bernstein_by_cluster(terms, np.ones(1000), np.arange(1000)) == empirical_bernstein(terms, 1.0)
    True
    """
    sums = np.bincount(clusters, terms)
    values = sums * (len(sums) / sizes.sum())
    return empirical_bernstein(values, float(np.ptp(values)))
