"""What a slate metric is, as sums over users, so that users can be resampled.

Every metric of a policy is a ratio of two sums over its slots (contracts.md names each)::

    metric              numerator                                          denominator
    <task>_rate         label x examination(slot) / examination(position)  labelled slots
    <task>_predicted    examination(slot) x joint prediction (a)           slots
    <task>_calibration  label                                              prediction (b), labelled slots
    expected_utility    examination(slot) x utility                        slots
    <column>_share      examination(slot) where the column has the value   examination(slot)
    component_share     within-request covariance of a term and utility    variance of the utility
    ndcg_<task>         discounted label / examination(position)           the same in the ideal order

(a) at the reference position. A head that is not corrected for position speaks of the places where such items
stood: its prediction is divided by their mean examination, so that no look is counted twice.
(b) where the item stood, which is where its label came from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.binary import divide
from tasks.evaluation.ndcg import RequestGains, request_gains
from tasks.replay.log import CandidateLog, Floats, Slates

NEW_ITEMS = "item_age"
"""The segment whose lowest bin holds the new items."""

Rows = npt.NDArray[np.bool_]

_MIX = frozenset(
    {
        MetricKind.SHARE,
        MetricKind.ENTROPY,
        MetricKind.GINI,
        MetricKind.NEW_ITEM_EXPOSURE,
        MetricKind.COVERAGE,
    }
)


@dataclass(frozen=True)
class UserSums:
    """Numerator and denominator of a ratio by user, each of shape (users,)."""

    numerator: Floats
    denominator: Floats

    @property
    def n(self) -> int:
        """Number of users that the ratio rests on."""
        return int(np.count_nonzero(self.denominator))


def unanswerable(metric: Metric, log: CandidateLog, *, request_level: frozenset[str]) -> str | None:
    """Say why the log cannot tell a metric; None where it can."""
    if metric.kind is MetricKind.LATENCY:
        return "a batch run's time is no serving latency; it is read from serving logs"
    if metric.kind in _MIX and not log.complete:
        return "only what was shown is logged, so exposure, mix and coverage cannot be replayed"
    if metric.kind is MetricKind.NEW_ITEM_EXPOSURE and NEW_ITEMS not in log.segments:
        return f"no segment is called {NEW_ITEMS}"
    if metric.kind is MetricKind.RATE and metric.subject in request_level:
        return "no ranking of a request can move an outcome of the whole request"
    weighted = metric.kind in {MetricKind.RATE, MetricKind.NDCG}
    if weighted and log.positions_logged and log.examination is None:
        return "positions are logged but the surface declares no examination curve"
    return None


def user_sums(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> UserSums | None:
    """Sum a ratio metric by user.

    Parameters
    ----------
    metric : any but entropy, gini and coverage, which are no ratios.
    log : n candidates.
    slates : the policy that is measured.
    judge : whose predictions and utility are believed.
    within : rows of the segment, shape (n,).

    Returns
    -------
    None where the judge has no predictions for the metric.
    """
    return _SUMS[metric.kind](metric, log, slates, judge, within)


def _rate(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> UserSums:
    label = log.labels[str(metric.subject)]
    rows = _labelled(log, slates, label, within)
    moved = log.examined_at(slates.slot) / log.examined_at(log.logged_position)
    return _sums(log, np.where(rows, np.nan_to_num(label) * moved, 0.0), rows)


def _predicted(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> UserSums | None:
    task = str(metric.subject)
    prediction = judge.predictions.get(task)
    if prediction is None:
        return None
    rows = within & (slates.slot > 0)
    looks = log.examined_at(slates.slot) / (1.0 if task in judge.where_shown else log.mean_examination)
    return _sums(log, np.where(rows, looks * prediction, 0.0), rows)


def _calibration(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> UserSums | None:
    task = str(metric.subject)
    prediction = judge.where_shown.get(task, judge.predictions.get(task))
    if prediction is None:
        return None
    label = log.labels[task]
    rows = _labelled(log, slates, label, within) & np.isfinite(prediction)
    sums = _sums(log, np.where(rows, np.nan_to_num(label), 0.0), rows)
    predicted = log.by_user(np.where(rows, prediction, 0.0))
    return UserSums(sums.numerator, predicted)


def _utility(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> UserSums | None:
    if judge.utility is None:
        return None
    rows = within & (slates.slot > 0) & np.isfinite(judge.utility)
    return _sums(log, np.where(rows, log.examined_at(slates.slot) * np.nan_to_num(judge.utility), 0.0), rows)


def _share(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> UserSums | None:
    segment, value = (
        (NEW_ITEMS, None) if metric.kind is MetricKind.NEW_ITEM_EXPOSURE else (metric.subject, metric.value)
    )
    values = log.segments.get(str(segment))
    if values is None:
        return None
    chosen = values.codes == 0 if value is None else np.asarray(values == value)
    rows = within & (slates.slot > 0)
    exposure = np.where(rows, log.examined_at(slates.slot), 0.0)
    return UserSums(log.by_user(exposure * chosen), log.by_user(exposure))


def _component(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> UserSums | None:
    term = judge.contributions.get(str(metric.subject))
    if term is None or judge.utility is None:
        return None
    rows = within & np.isfinite(judge.utility)
    inside = within_request(log, np.nan_to_num(judge.utility), rows)
    part = within_request(log, np.nan_to_num(term), rows)
    return UserSums(log.by_user(part * inside), log.by_user(inside * inside))


def within_request(log: CandidateLog, values: Floats, rows: Rows) -> Floats:
    """Return the deviation of each value from its request's mean over ``rows``; 0 elsewhere."""
    counts = np.bincount(log.requests, rows)
    means = np.bincount(log.requests, values * rows) / np.maximum(counts, 1)
    return np.where(rows, values - means[log.requests], 0.0)


def _ndcg(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> UserSums:
    """Divide sums of gains over all requests; the naive one averages each request's quotient.

    What a slot gains is known for labelled rows only; the others close ranks. A positive off the slate gains
    nothing and counts in the ideal.
    """
    naive = metric.naive
    label = log.labels[str(metric.subject)]
    known = within & log.shown & np.isfinite(label)
    looks = np.ones(len(label)) if naive else log.examined_at(log.logged_position)
    length = int(slates.slot.max(initial=1))

    def gains(rows: Rows) -> RequestGains:
        return request_gains(
            label[rows], -slates.slot[rows], log.requests[rows], k=length, examination=looks[rows]
        )

    inside = known & (slates.slot > 0)
    gained, ideal = np.zeros(log.request_count), np.zeros(log.request_count)
    slate, whole = gains(inside), gains(known)
    gained[log.requests[inside][slate.first_rows]] = slate.gained
    ideal[log.requests[known][whole.first_rows]] = whole.ideal
    if naive:
        gained, ideal = divide(gained, ideal), (ideal > 0).astype(np.float64)
    user = np.zeros(log.request_count, dtype=np.int64)
    user[log.requests] = log.users
    return UserSums(
        np.bincount(user, np.nan_to_num(gained), minlength=log.user_count).astype(np.float64),
        np.bincount(user, ideal, minlength=log.user_count).astype(np.float64),
    )


def _labelled(log: CandidateLog, slates: Slates, label: Floats, within: Rows) -> Rows:
    rows: Rows = within & (slates.slot > 0) & log.shown & np.isfinite(label)
    return rows


def _sums(log: CandidateLog, numerator: Floats, rows: Rows) -> UserSums:
    return UserSums(log.by_user(numerator), log.by_user(rows))


_SUMS: Mapping[MetricKind, Callable[..., UserSums | None]] = {
    MetricKind.RATE: _rate,
    MetricKind.PREDICTED: _predicted,
    MetricKind.CALIBRATION: _calibration,
    MetricKind.EXPECTED_UTILITY: _utility,
    MetricKind.SHARE: _share,
    MetricKind.NEW_ITEM_EXPOSURE: _share,
    MetricKind.COMPONENT_SHARE: _component,
    MetricKind.NDCG: _ndcg,
}
