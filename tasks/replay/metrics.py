"""Each metric of a policy's slots, as sums over rows or as a statistic of groups of rows.

::

    metric               numerator                                          denominator
    <task>_rate          expected outcomes (rates.py)                       exposure
    <task>_predicted     examination(slot) x joint prediction (a)           exposure
    <task>_calibration   outcome                                            prediction (b), labelled slots
    ndcg_<task> (naive)  gain of the request's labelled items / its ideal   requests with a positive
    expected_utility     examination(slot) x utility                        exposure
    <column>_share       exposure where the column has the value            exposure
    long_tail_exposure   exposure of items outside the more exposed half    exposure
    component_share      within-request covariance of a term and utility    variance of the utility (c)
    slate_rule_activity  slots of items off the slate in plain order        slots
    exposure_ratio       exposure of a value of a column                    exposure due by its merit (d)
    entropy, gini        of the shares of a column's values in the exposure
    coverage             distinct items in the slots                        distinct items available

(a) at the reference position. A head that is not corrected for position predicts for the positions where such
items were shown: its prediction is divided by their mean examination, so that examination counts once.
(b) at the position where the item was shown, because the label was observed there.
(c) in the requests where the term has a weight: a term of a context has no weight elsewhere.
(d) by the predictions of the release under test, for its slates and for the baseline's (`due_exposure`).

For the values of a column, slots are weighted by examination.

================ ==========================================================================
entropy          of the values' shares, in nats: 0 for one value, log(m) for m equal shares
gini             of the shares: 0 for equal shares, near 1 if one value has all exposure
exposure ratio   share of exposure over share of merit: 1 where they are equal
================ ==========================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices, Integers
from tasks.contracts.metrics import NEW_ITEMS, OF_EXPOSURE, Metric, MetricKind
from tasks.evaluation.binary import divide
from tasks.evaluation.clustered import Ratio, RowClusters
from tasks.evaluation.observations import Grouping
from tasks.evaluation.ranking_metrics import request_gains
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, effective_clusters
from tasks.evaluation.subjects import Segment
from tasks.replay.grouped import GroupedRows, GroupedStatistic
from tasks.replay.joined_columns import OnDemand, spread
from tasks.replay.log import CandidateLog, PolicySlates

OTHER: Final = "other"
"""The name of the pool of a segment's sparse values."""


@dataclass(frozen=True)
class SegmentedRows:
    """Summed rows of a log, by segment.

    Attributes
    ----------
    codes : segment of each row of the log, shape (n,).
    place : positions of the summed rows, shape (m,).
    grouped : these rows by segment, user, item and day.
    """

    codes: Indices
    place: Indices
    grouped: GroupedRows

    @classmethod
    def of(cls, segmentation: Grouping, place: Indices, clusters: RowClusters) -> "SegmentedRows":
        """Group the rows at some positions; ``clusters`` are the clusters of these rows."""
        everything = len(place) == len(segmentation.codes)  # no copy is needed then
        codes = segmentation.codes if everything else segmentation.codes[place]
        grouped = GroupedRows.of(codes, len(segmentation.names), clusters)
        return cls(segmentation.codes, place, grouped)


def group_by_segment(
    name: str,
    column: "pd.Categorical[Any]",
    *,
    weights: Floats,
    users: Indices,
    positives: npt.NDArray[np.generic] | None = None,
) -> Grouping:
    """Return the segments of a column; sparse values are pooled if there are two or more.

    Parameters
    ----------
    name : name of the segment.
    column : value of each row of the log.
    weights : number of slots that each row fills, shape (n,).
    users : user of each row, shape (n,).
    positives : positive outcomes of each row, for figures of outcomes.

    Examples
    --------
    >>> column = pd.Categorical(["a"] * 40 + ["b", "c"])
    >>> made = group_by_segment("category", column, weights=np.ones(42), users=np.arange(42))
    >>> list(map(str, made.names)), list(made.pooled.values())
    (['category=a', 'category=other'], [('b', 'c')])
    """
    codes, count = np.asarray(column.codes, dtype=np.intp), len(column.categories)
    present = np.bincount(codes, minlength=count) > 0
    sparse = effective_clusters(weights, users, codes, count) < LEAST_CLUSTERS
    if positives is not None:
        sparse |= np.bincount(codes, np.asarray(positives, dtype=float), count) < LEAST_POSITIVES
    return _pool(name, [str(value) for value in column.categories], codes, (present, sparse & present))


def _pool(name: str, values: list[str], codes: Indices, rests: tuple[Flags, Flags]) -> Grouping:
    """Assign every present value its own segment, and all sparse values to the last."""
    present, sparse = rests
    if np.count_nonzero(sparse) < 2:
        sparse = np.zeros_like(sparse)
    own = np.flatnonzero(present & ~sparse)
    of_value: Indices = np.full(len(values), len(own), dtype=np.int32)
    of_value[own] = np.arange(len(own))
    names = [Segment(name, values[place]) for place in own]
    held = tuple(values[place] for place in np.flatnonzero(sparse))
    if not held:
        return Grouping(tuple(names), of_value[codes])
    pool = Segment(name, OTHER)
    if pool in names:  # a value of that name is kept apart from the pool
        pool = Segment(name, f"{OTHER} values")
    return Grouping((*names, pool), of_value[codes], {pool: held})


ByGroup = Callable[[SegmentedRows], GroupedStatistic]
Measurement = Ratio | ByGroup
"""Sums over all rows, which any grouping can divide, or a function computed for each grouping."""

OF_OUTCOMES: Final = frozenset(
    {MetricKind.RATE, MetricKind.GIVEN, MetricKind.NDCG, MetricKind.RECALL, MetricKind.OBSERVED_UTILITY}
)
"""Metrics of outcomes, which need examination and propensities."""
OF_LABELS: Final = OF_OUTCOMES | {MetricKind.CALIBRATION, MetricKind.NAIVE_NDCG}
"""Metrics that read the labels of a task."""
OF_ALL_CANDIDATES: Final = frozenset(
    {MetricKind.RECALL, MetricKind.COMPONENT_SHARE, MetricKind.NAIVE_NDCG, MetricKind.EXPOSURE_RATIO}
)
"""Metrics whose sums include rows outside every slot."""
REORDERING: Final = "reordering only: what else could have been shown is not logged"
"""Caveat of every figure where neither all candidates nor all showable items are logged."""
_OF_EXAMINED: Final = frozenset({MetricKind.RATE, MetricKind.GIVEN, MetricKind.RECALL})


def unanswerable(metric: Metric, log: CandidateLog, *, request_level: frozenset[str]) -> str:
    """Return why the log cannot measure a metric, or an empty string."""
    if metric.kind is MetricKind.LATENCY and (log.latency is None or log.served_by is None):
        return (
            "a batch run's time is no serving latency, and the log does not carry both "
            f"{c.LATENCY_MS} and {c.RELEASE}, which served"
        )
    if metric.kind in OF_EXPOSURE and not log.complete:
        return REORDERING
    if metric.kind is MetricKind.NEW_ITEM_EXPOSURE and NEW_ITEMS not in log.segments:
        return f"no segment is called {NEW_ITEMS}"
    if metric.kind in _OF_EXAMINED and metric.subject in request_level:
        return "no ranking of a request can move an outcome of the whole request"
    if metric.kind in OF_OUTCOMES and log.positions_logged and log.examination is None:
        return "positions are logged but the surface declares no examination curve"
    return ""


def per_examined(log: CandidateLog, slates: PolicySlates, task: str) -> Floats | None:
    """Return a release's joint prediction of a task for an examined item, shape [n]."""
    return predicted_per_examined(log, slates).get(task)


def predicted_per_examined(log: CandidateLog, slates: PolicySlates) -> Mapping[str, Floats]:
    """Return a release's joint predictions for an examined item, by task [n]."""

    @cache
    def mean_examination(task: str) -> float:
        return log.mean_examination(task, slates.predictions[task])

    def predict(task: str) -> Floats:
        prediction = slates.predictions[task]
        if log.examination is None or task in slates.where_shown or not log.outcomes[task].by_examination:
            return prediction
        return prediction / mean_examination(task)

    return OnDemand(slates.predictions, predict)


def measure_slots(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Measurement | None:
    """Measure a metric of predictions, utility, mix or exposure.

    Parameters
    ----------
    metric : any metric outside `OF_OUTCOMES`.
    log : n candidates.
    slates : the measured policy.
    reference_model : the release whose predictions and utility are used.

    Returns
    -------
    None if the reference model has no predictions for the metric, or the log lacks the column.
    """
    return _MEASUREMENTS[metric.kind](metric, log, slates, reference_model)


def _naive_ndcg(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio:
    """Average each request's NDCG over its labelled items, with the exposure bias of the logging policy.

    It is a separate metric that no contract can name and no gate reads: it has the wrong sign where a policy
    departs from the log.
    """
    label = log.labels[str(metric.subject)]
    rows = log.shown & np.isfinite(label)
    length = int(slates.slot.max(initial=1))

    def gains(rows: Flags) -> tuple[Floats, Floats, Indices]:
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
    positive = inside & (label > 0)
    return Ratio(numerator, denominator, int(np.count_nonzero(positive)), positive)


def _predicted(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    prediction = per_examined(log, reference_model, str(metric.subject))
    if prediction is None:
        return None
    examined = examined_by(log, slates)
    return Ratio(examined * prediction, examined)


def _calibration(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    task = str(metric.subject)
    own = slates if slates.predictions else reference_model
    prediction = own.where_shown.get(task, own.predictions.get(task))
    if prediction is None:
        return None
    outcome = log.outcomes[task]
    rows = (slates.slot > 0) & outcome.known & np.isfinite(prediction)
    weight = np.where(rows, outcome.weight, 0.0)
    positive = rows & (outcome.value > 0)
    events = int(np.count_nonzero(positive))
    return Ratio(weight * outcome.value, weight * np.nan_to_num(prediction), events, positive)


def _utility(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    if reference_model.utility is None:
        return None
    examined = np.where(np.isfinite(reference_model.utility), examined_by(log, slates), 0.0)
    return Ratio(examined * np.nan_to_num(reference_model.utility), examined)


def _share(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    new = metric.kind is MetricKind.NEW_ITEM_EXPOSURE
    column = log.segments.get(NEW_ITEMS if new else str(metric.subject))
    if column is None:
        return None
    chosen = column.codes == 0 if new else np.asarray(column == metric.value)
    examined = examined_by(log, slates)
    return Ratio(examined * chosen, examined)


def _exposure_ratio(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    merit = (
        reference_model.utility if log.merit == c.UTILITY else per_examined(log, reference_model, log.merit)
    )
    column = log.segments.get(str(metric.subject))
    if column is None or merit is None or reference_model.rank is None:
        return None
    examined, due = due_exposure(
        examined_by(log, slates), np.where(reference_model.rank > 0, merit, 0.0), log.requests
    )
    chosen = np.asarray(column == metric.value)
    return Ratio(examined * chosen, due * chosen)


def _long_tail(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio:
    examined = examined_by(log, slates)
    return Ratio(examined * log.in_long_tail, examined)


def _activity(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    """Count the slots of items that the plain order by utility would leave off a slate of the same length."""
    if slates.rank is None:
        return None
    filled = slates.slot > 0
    slots = np.bincount(log.requests, filled)
    return Ratio((filled & (slates.rank > slots[log.requests])).astype(float), filled.astype(float))


def _component(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> Ratio | None:
    term = reference_model.contributions.get(str(metric.subject))
    if term is None or reference_model.utility is None:
        return None
    in_force = np.bincount(log.requests, np.isfinite(term)) > 0
    rows = np.isfinite(reference_model.utility) & in_force[log.requests]
    inside = within_request(log, reference_model.total, rows)
    part = within_request(log, np.nan_to_num(term), rows)
    return Ratio(part * inside, inside * inside)


def within_request(log: CandidateLog, values: Floats, rows: Flags) -> Floats:
    """Return the deviation of each value from its request's mean over ``rows``; 0 elsewhere."""
    counts = np.bincount(log.requests, rows)
    means = np.bincount(log.requests, values * rows) / np.maximum(counts, 1)
    return np.where(rows, values - means[log.requests], 0.0)


def _concentration(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> ByGroup | None:
    column = log.segments.get(str(metric.subject))
    if column is None:
        return None
    statistic = entropy_by_group if metric.kind is MetricKind.ENTROPY else gini_by_group
    examined, codes, count = examined_by(log, slates), column.codes, len(column.categories)

    def by_group(rows: SegmentedRows) -> GroupedStatistic:
        return statistic(examined[rows.place], codes[rows.place], count, rows.grouped)

    return by_group


def _coverage(
    metric: Metric, log: CandidateLog, slates: PolicySlates, reference_model: PolicySlates
) -> ByGroup:
    """Count distinct items in the slots over those available.

    The influence of a user is the number of items shown to no other user (the jackknife's pseudo-values).
    """

    def by_group(rows: SegmentedRows) -> GroupedStatistic:
        count, items = rows.grouped.count, np.int64(log.items.max(initial=0) + 1)
        offered = np.zeros(count * items, dtype=bool)
        offered[rows.codes * items + log.items] = True
        available = offered.reshape(count, items).sum(axis=1)
        slots = np.flatnonzero(slates.slot[rows.place] > 0)
        pair = (rows.grouped.codes * items + log.items[rows.place])[slots]
        user = log.users[rows.place][slots]
        alone, first = _given_to_one(pair, user)
        group = rows.grouped.codes[slots]
        weight, lone = np.zeros(len(rows.place)), np.zeros(len(rows.place))
        weight[slots] = 1.0
        lone[slots[first[alone]]] = 1.0
        each = np.maximum(available, 1)
        share = rows.grouped.sum(lone) / np.maximum(rows.grouped.sum(weight), 1.0)
        influence = (lone - weight * share[rows.grouped.codes]) / each[rows.grouped.codes]
        given = np.bincount(group[first], minlength=count)
        value = np.where(available > 0, given / each, np.nan)
        return GroupedStatistic(value, influence, weight)

    return by_group


def _given_to_one(pairs: Integers, users: Integers) -> tuple[Flags, Integers]:
    """Return which distinct items were shown to one user only, and the first row of each."""
    _, first, of = np.unique(pairs, return_index=True, return_inverse=True)
    least, most = np.full(len(first), np.iinfo(np.int64).max), np.full(len(first), -1)
    np.minimum.at(least, of, users)
    np.maximum.at(most, of, users)
    return least == most, first


def examined_by(log: CandidateLog, slates: PolicySlates) -> Floats:
    """Return each row's examination in the policy's slots, 0 off them, shape (n,)."""
    rows = np.flatnonzero(slates.slot > 0)
    return spread(log.examined_at(slates.slot[rows]), rows, len(slates.slot), 0.0)


_MEASUREMENTS: Mapping[MetricKind, Callable[..., Measurement | None]] = {
    MetricKind.PREDICTED: _predicted,
    MetricKind.CALIBRATION: _calibration,
    MetricKind.NAIVE_NDCG: _naive_ndcg,
    MetricKind.EXPECTED_UTILITY: _utility,
    MetricKind.SHARE: _share,
    MetricKind.NEW_ITEM_EXPOSURE: _share,
    MetricKind.LONG_TAIL_EXPOSURE: _long_tail,
    MetricKind.EXPOSURE_RATIO: _exposure_ratio,
    MetricKind.COMPONENT_SHARE: _component,
    MetricKind.SLATE_RULE_ACTIVITY: _activity,
    MetricKind.ENTROPY: _concentration,
    MetricKind.GINI: _concentration,
    MetricKind.COVERAGE: _coverage,
}


def entropy(exposures: Floats) -> Floats:
    """Entropy in nats of exposures [..., values], which need not add up to 1; NaN where they are all 0.

    Examples
    --------
    >>> round(float(entropy(np.array([3.0, 3.0]))), 6)
    0.693147
    """
    shares = divide(exposures, exposures.sum(axis=-1, keepdims=True))
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=-1) + 0.0)


def gini(exposures: Floats) -> Floats:
    """Gini index of exposures [..., values]: mean difference over twice the mean; NaN where all are 0.

    Examples
    --------
    >>> gini(np.array([[1.0, 1.0], [2.0, 0.0]]))
    array([0. , 0.5])
    """
    m = exposures.shape[-1]
    places = 2 * np.arange(1, m + 1) - m - 1
    return divide((places * np.sort(exposures, axis=-1)).sum(axis=-1), m * exposures.sum(axis=-1))


def due_exposure(examined: Floats, merit: Floats, requests: Integers) -> tuple[Floats, Floats]:
    """Return the exposure of each candidate, and the exposure due by its share of its request's merit.

    Summed over a group of candidates and any number of requests, they are amortised exposure and merit, with
    each request weighted by its exposure. Their quotient is the group's share of exposure over its share of
    merit: the disparate treatment of Singh and Joachims (2018), amortised as by Biega et al. (2018).

    Parameters
    ----------
    examined : [n] of 0 or more.
    merit : [n]; negative or unknown values count as 0. Requests without merit are left out of both.
    requests : [n] codes from 0.

    References
    ----------
    A. Singh and T. Joachims. Fairness of Exposure in Rankings. KDD 2018, section 3.2.
    A. J. Biega, K. P. Gummadi and G. Weikum. Equity of Attention. SIGIR 2018, section 3.

    Examples
    --------
    >>> examined, merit = np.array([1.0, 0.5, 0.0]), np.array([2.0, 1.0, 1.0])
    >>> due_exposure(examined, merit, np.zeros(3, dtype=int))[1].tolist()
    [0.75, 0.375, 0.375]
    """
    known: Floats = np.maximum(np.nan_to_num(merit), 0.0)
    total, examination = (np.bincount(requests, each)[requests] for each in (known, examined))
    share = np.divide(known, total, out=np.zeros(len(known)), where=total > 0)
    return np.where(total > 0, examined, 0.0), np.asarray(examination * share, dtype=np.float64)


def entropy_by_group(examined: Floats, codes: Indices, count: int, rows: GroupedRows) -> GroupedStatistic:
    """Entropy of the exposure by value, in every group, with each row's influence.

    Parameters
    ----------
    examined : [n] of 0 or more.
    codes : [n] value of each row, from 0 to ``count`` - 1.

    Examples
    --------
    >>> from tasks.evaluation.clustered import RowClusters
    >>> rows = GroupedRows.of(np.zeros(4, dtype=int), 1, RowClusters(*[np.arange(4)] * 3))
    >>> made = entropy_by_group(np.ones(4), np.array([0, 0, 1, 1]), 2, rows)
    >>> made.value.round(6).tolist(), (made.influence + 0.0).tolist()
    ([0.693147], [0.0, 0.0, 0.0, 0.0])
    """
    exposures = _exposures(examined, codes, count, rows)
    total, value = exposures.sum(axis=1), entropy(exposures)
    shares = divide(exposures, total[:, None])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    deviation = logs[rows.codes, codes] + value[rows.codes]
    return GroupedStatistic(
        value, np.nan_to_num(-examined * deviation / _positive(total)[rows.codes]), examined
    )


def gini_by_group(examined: Floats, codes: Indices, count: int, rows: GroupedRows) -> GroupedStatistic:
    """Gini index of the exposure by value, in every group, with each row's influence; parameters as above.

    Examples
    --------
    >>> from tasks.evaluation.clustered import RowClusters
    >>> rows = GroupedRows.of(np.zeros(2, dtype=int), 1, RowClusters(*[np.arange(2)] * 3))
    >>> made = gini_by_group(np.array([3.0, 1.0]), np.array([0, 1]), 2, rows)
    >>> made.value.tolist(), made.influence.tolist()
    ([0.25], [0.1875, -0.1875])
    """
    exposures = _exposures(examined, codes, count, rows)
    total, value = exposures.sum(axis=1), gini(exposures)
    order = np.argsort(exposures, axis=1, kind="stable")
    places = np.empty(exposures.shape)
    np.put_along_axis(places, order, ((2 * np.arange(1, count + 1) - count - 1) / count)[None, :], axis=1)
    deviation = places[rows.codes, codes] - value[rows.codes]
    return GroupedStatistic(
        value, np.nan_to_num(examined * deviation / _positive(total)[rows.codes]), examined
    )


def _exposures(examined: Floats, codes: Indices, count: int, rows: GroupedRows) -> Floats:
    """Sum the exposure of each value [groups, count]."""
    cells = rows.codes.astype(np.int64) * count + codes
    summed = np.bincount(cells, examined, rows.count * count).astype(np.float64, copy=False)
    return summed.reshape(rows.count, count)


def _positive(total: Floats) -> Floats:
    return np.where(total > 0, total, np.nan)
