"""What each metric of a policy's slots is, as a statistic with each row's influence.

::

    metric              numerator                                          denominator
    <task>_rate         what a look leads to (rates.py)                    looks
    <task>_predicted    examination(slot) x joint prediction (a)           looks
    <task>_calibration  outcome                                            prediction (b), labelled slots
    expected_utility    examination(slot) x utility                        looks
    <column>_share      looks where the column has the value               looks
    long_tail_exposure  looks on items outside those that make half        looks
    component_share     within-request covariance of a term and utility    variance of the utility
    entropy, gini       of the shares of a column's values in the looks
    coverage            distinct items in the slots                        distinct items available

(a) at the reference position. A head that is not corrected for position speaks of the places where such items
stood: its prediction is divided by their mean examination, so that no look is counted twice.
(b) where the item stood, which is where its label came from.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.contracts.metrics import NEW_ITEMS, Metric, MetricKind
from tasks.evaluation.clustered import Ratio, Statistic
from tasks.evaluation.exposure import entropy_statistic, gini_statistic
from tasks.evaluation.ndcg import request_gains
from tasks.replay.log import CandidateLog, Floats, Slates

_HALF: Final = 0.5
"""Share of the logged looks that the items outside the long tail make."""

Rows = npt.NDArray[np.bool_]
Measurement = Ratio | Statistic

_MIX = frozenset(
    {
        MetricKind.SHARE,
        MetricKind.ENTROPY,
        MetricKind.GINI,
        MetricKind.NEW_ITEM_EXPOSURE,
        MetricKind.LONG_TAIL_EXPOSURE,
        MetricKind.COVERAGE,
    }
)
OF_OUTCOMES: Final = frozenset(
    {MetricKind.RATE, MetricKind.GIVEN, MetricKind.NDCG, MetricKind.OBSERVED_UTILITY}
)
"""Metrics of what happened, which need looks and propensities."""


def unanswerable(metric: Metric, log: CandidateLog, *, request_level: frozenset[str]) -> str:
    """Say why the log cannot tell a metric; nothing where it can."""
    if metric.kind is MetricKind.LATENCY:
        return "a batch run's time is no serving latency, and nothing here reads serving logs"
    if metric.kind in _MIX and not log.complete:
        return "only what was shown is logged, so exposure, mix and coverage cannot be replayed"
    if metric.kind is MetricKind.NEW_ITEM_EXPOSURE and NEW_ITEMS not in log.segments:
        return f"no segment is called {NEW_ITEMS}"
    if metric.kind in {MetricKind.RATE, MetricKind.GIVEN} and metric.subject in request_level:
        return "no ranking of a request can move an outcome of the whole request"
    if metric.kind in OF_OUTCOMES and log.positions_logged and log.examination is None:
        return "positions are logged but the surface declares no examination curve"
    return ""


def per_look(log: CandidateLog, slates: Slates, task: str) -> Floats | None:
    """Return a release's joint prediction of a task for an item that is looked at, shape [n]."""
    prediction = slates.predictions.get(task)
    if prediction is None or task in slates.where_shown or not log.outcomes[task].looked_at:
        return prediction
    return prediction / log.mean_examination


def measure_slots(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> Measurement | None:
    """Measure a metric of predictions, utility, mix or exposure.

    Parameters
    ----------
    metric : any that is not of `OF_OUTCOMES`.
    log : n candidates.
    slates : the policy that is measured.
    judge : whose predictions and utility are believed.
    within : rows of the segment, shape (n,).

    Returns
    -------
    None where the judge has no predictions for the metric, or the log not the column.
    """
    return _MEASUREMENTS[metric.kind](metric, log, slates, judge, within)


def naive_ndcg(task: str, log: CandidateLog, slates: Slates, within: Rows) -> Ratio:
    """Average each request's NDCG over its labelled items, as the log's ranker let them be seen.

    It is printed beside the other and never gates: it has the wrong sign where a policy departs from the log.
    """
    label = log.labels[task]
    rows = within & log.shown & np.isfinite(label)
    length = int(slates.slot.max(initial=1))

    def gains(rows: Rows) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
        made = request_gains(label[rows], -slates.slot[rows], log.requests[rows], k=length)
        return made.gained, made.ideal, np.flatnonzero(rows)[made.first_rows]

    inside, ideal_of = rows & (slates.slot > 0), np.zeros(log.request_count)
    _, ideal, first = gains(rows)
    ideal_of[log.requests[first]] = ideal
    gained, _, place = gains(inside)
    numerator, denominator = np.zeros(len(label)), np.zeros(len(label))
    possible = ideal_of[log.requests[place]]
    numerator[place] = np.divide(gained, possible, out=np.zeros(len(place)), where=possible > 0)
    denominator[first] = ideal > 0
    return Ratio(numerator, denominator, int(np.count_nonzero(label[inside] > 0)))


def _predicted(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> Ratio | None:
    prediction = per_look(log, judge, str(metric.subject))
    if prediction is None:
        return None
    looks = _looks(log, slates, within)
    return Ratio(looks * prediction, looks)


def _calibration(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> Ratio | None:
    task = str(metric.subject)
    own = slates if slates.predictions else judge
    prediction = own.where_shown.get(task, own.predictions.get(task))
    if prediction is None:
        return None
    outcome = log.outcomes[task]
    rows = within & (slates.slot > 0) & outcome.known & np.isfinite(prediction)
    weight = np.where(rows, outcome.weight, 0.0)
    events = int(np.count_nonzero(rows & (outcome.value > 0)))
    return Ratio(weight * outcome.value, weight * np.nan_to_num(prediction), events)


def _utility(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> Ratio | None:
    if judge.utility is None:
        return None
    looks = _looks(log, slates, within & np.isfinite(judge.utility))
    return Ratio(looks * np.nan_to_num(judge.utility), looks)


def _share(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> Ratio | None:
    new = metric.kind is MetricKind.NEW_ITEM_EXPOSURE
    column = log.segments.get(NEW_ITEMS if new else str(metric.subject))
    if column is None:
        return None
    chosen = column.codes == 0 if new else np.asarray(column == metric.value)
    looks = _looks(log, slates, within)
    return Ratio(looks * chosen, looks)


def _long_tail(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> Ratio:
    looks = _looks(log, slates, within)
    return Ratio(looks * long_tail(log)[log.items], looks)


def long_tail(log: CandidateLog) -> Rows:
    """Return which items are outside those that make half of the logged looks, shape [items]."""
    exposure = np.bincount(log.items, np.where(log.shown, log.logged_looks, 0.0))
    order = np.argsort(-exposure, kind="stable")
    before = np.r_[0.0, np.cumsum(exposure[order])[:-1]]
    tail = np.zeros(len(exposure), dtype=bool)
    tail[order] = before >= _HALF * exposure.sum()
    return tail


def _component(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> Ratio | None:
    term = judge.contributions.get(str(metric.subject))
    if term is None or judge.utility is None:
        return None
    rows = within & np.isfinite(judge.utility)
    inside = within_request(log, np.nan_to_num(judge.total), rows)
    part = within_request(log, np.nan_to_num(term), rows)
    return Ratio(part * inside, inside * inside)


def within_request(log: CandidateLog, values: Floats, rows: Rows) -> Floats:
    """Return the deviation of each value from its request's mean over ``rows``; 0 elsewhere."""
    counts = np.bincount(log.requests, rows)
    means = np.bincount(log.requests, values * rows) / np.maximum(counts, 1)
    return np.where(rows, values - means[log.requests], 0.0)


def _concentration(
    metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows
) -> Statistic | None:
    column = log.segments.get(str(metric.subject))
    if column is None:
        return None
    statistic = entropy_statistic if metric.kind is MetricKind.ENTROPY else gini_statistic
    return statistic(_looks(log, slates, within), column.codes, len(column.categories))


def _coverage(metric: Metric, log: CandidateLog, slates: Slates, judge: Slates, within: Rows) -> Statistic:
    """Count distinct items in the slots over those available.

    What a user adds are the items that nobody else was given (the jackknife's pseudo-values).
    """
    slots = within & (slates.slot > 0)
    available = len(np.unique(log.items[within]))
    given = pd.DataFrame({"item": log.items[slots], "user": log.users[slots]}).drop_duplicates()
    users_of = given.groupby("item")["user"].transform("size").to_numpy()
    lone = np.zeros(len(slots))
    place = np.flatnonzero(slots)[given.index.to_numpy()]
    lone[place[users_of == 1]] = 1.0
    weight = slots.astype(np.float64)
    influence = lone - weight * (lone.sum() / weight.sum() if slots.any() else 0.0)
    share = given["item"].nunique() / available if available else np.nan
    return Statistic(share, influence / max(available, 1), weight)


def _looks(log: CandidateLog, slates: Slates, within: Rows) -> Floats:
    return np.where(within & (slates.slot > 0), log.examined_at(slates.slot), 0.0)


_MEASUREMENTS: Mapping[MetricKind, Callable[..., Measurement | None]] = {
    MetricKind.PREDICTED: _predicted,
    MetricKind.CALIBRATION: _calibration,
    MetricKind.EXPECTED_UTILITY: _utility,
    MetricKind.SHARE: _share,
    MetricKind.NEW_ITEM_EXPOSURE: _share,
    MetricKind.LONG_TAIL_EXPOSURE: _long_tail,
    MetricKind.COMPONENT_SHARE: _component,
    MetricKind.ENTROPY: _concentration,
    MetricKind.GINI: _concentration,
    MetricKind.COVERAGE: _coverage,
}
