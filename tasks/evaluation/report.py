"""The table of a head's metrics: the whole and every segment value, each with its interval.

============ ================================================================================
probability  auc, auc_by_request, average_precision, log_loss, normalized_entropy, calibration_ratio,
             mean_prediction, cumulative_error, cumulative_sigma; of the whole smooth_ece, debiased_ece,
             multicalibration_error, multicalibration_sigma, multicalibration_detectable
value        rmse, mae, mean_ratio, mean_prediction
quantile     pinball_loss, coverage
ranking      auc_by_request, ndcg, naive_ndcg
============ ================================================================================

Sums serve most metrics, so all values of a segment column share one set of draws. Calibration errors are
never negative and carry the sample's noise, so they have no interval: sigma and what is detectable stand
beside them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluation.binary import Codes, Floats, checked, checked_rows, quotient, request_aucs, row_losses
from tasks.evaluation.calibration_error import debiased_ece, smooth_ece
from tasks.evaluation.intervals import normalized, ranked_intervals
from tasks.evaluation.metric_rows import MetricRow, groupings, rows_of
from tasks.evaluation.multicalibration import Grouping, SortedRows
from tasks.evaluation.ndcg import request_gains
from tasks.evaluation.resampling import (
    Clusters,
    Resampler,
    Statistic,
    clusters,
    sum_intervals,
    users_per_group,
)
from tasks.evaluation.verdicts import Estimate


def binary_report(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    users: npt.ArrayLike,
    requests: npt.ArrayLike,
    segments: Mapping[str, npt.ArrayLike],
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> list[MetricRow]:
    """Measure a probability head.

    Parameters
    ----------
    outcomes : [n] observed labels, 0 or 1.
    predictions : [n] probabilities.
    users, requests : [n] ids; a row whose user is missing is resampled by its request.
    segments : column name to its values [n]; a missing value is the segment ``column=unknown``.
    replicates : bootstrap samples.

    Raises
    ------
    DataError
        A label is neither 0 nor 1, or a prediction is not finite.
    """
    y, p, w = checked(outcomes, predictions, weights)
    who = clusters(users, requests)
    resampler = Resampler(who.count, seed, replicates)
    in_request, _ = pd.factorize(np.asarray(requests), use_na_sentinel=False)
    columns = [w * row_losses(y, p), w * y, w * p, w]
    groups, ordered = list(groupings(segments, y.size)), SortedRows.of(y, p, w)
    rows: list[MetricRow] = []
    for group in groups:
        of, count = group.codes, group.count
        ranked = ranked_intervals(y, p, w, who.codes, resampler, groups=of, count=count)
        found = {
            "auc": ranked[0],
            "auc_by_request": _by_request(y, p, w, in_request, who, resampler, group),
            "average_precision": ranked[1],
            **sum_intervals(columns, _BINARY_METRICS, who.codes, resampler, groups=of, count=count),
            **_cumulative(ordered, group, who),
        }
        rows += rows_of(found, group, y, who)
    alone = {name: [_alone(figure, who.count)] for name, figure in _of_all(y, p, w, ordered, groups).items()}
    return rows + rows_of(alone, groups[0], y, who)


def _of_all(
    y: Floats, p: Floats, w: Floats, ordered: SortedRows, groups: Sequence[Grouping]
) -> dict[str, float]:
    """Measure a probability head's errors of calibration, which the whole alone has and without intervals."""
    return {
        "smooth_ece": smooth_ece(y, p, weights=w),
        "debiased_ece": debiased_ece(y, p, weights=w),
        **_multicalibration(ordered, groups[1:]),
    }


def value_report(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    users: npt.ArrayLike,
    requests: npt.ArrayLike,
    segments: Mapping[str, npt.ArrayLike],
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> list[MetricRow]:
    """Measure a value head; parameters as in `binary_report`, outcomes in the value's unit."""
    y, p, w = checked_rows(outcomes, predictions, weights)
    who = clusters(users, requests)
    columns = [w * (y - p) ** 2, w * np.abs(y - p), w * y, w * p, w]
    return _of_sums(columns, _VALUE_METRICS, y, who, segments, Resampler(who.count, seed, replicates))


def quantile_report(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    quantile: float,
    users: npt.ArrayLike,
    requests: npt.ArrayLike,
    segments: Mapping[str, npt.ArrayLike],
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> list[MetricRow]:
    """Measure a quantile head; parameters as in `binary_report`.

    ``coverage`` is the share of outcomes at or below their prediction, which should be ``quantile``;
    ``pinball_loss`` is the mean of quantile x (what is lacking) and (1 - quantile) x (what is too much).
    """
    y, q, w = checked_rows(outcomes, predictions, weights)
    who = clusters(users, requests)
    columns = [w * np.maximum(quantile * (y - q), (quantile - 1) * (y - q)), w * (y <= q), w]
    return _of_sums(columns, _QUANTILE_METRICS, y, who, segments, Resampler(who.count, seed, replicates))


def _of_sums(
    columns: list[Floats],
    metrics: Mapping[str, Statistic],
    y: Floats,
    who: Clusters,
    segments: Mapping[str, npt.ArrayLike],
    resampler: Resampler,
) -> list[MetricRow]:
    """Report metrics that are made of sums, for the whole and every segment."""
    rows: list[MetricRow] = []
    for group in groupings(segments, y.size):
        found = sum_intervals(columns, metrics, who.codes, resampler, groups=group.codes, count=group.count)
        rows += rows_of(found, group, y, who)
    return rows


def ranking_report(
    outcomes: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    k: int,
    users: npt.ArrayLike,
    requests: npt.ArrayLike,
    segments: Mapping[str, npt.ArrayLike],
    examination: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> list[MetricRow]:
    """Measure a ranking head, whose scores mean something within their request only.

    Parameters
    ----------
    scores : [n] higher first.
    k : slots that count.
    examination : [n] how much the logged position is looked at, up to a factor; ``ndcg`` is weighted by it
        and leaves out rows where it is not known, NaN. None: all places alike, as where none is logged.
    """
    y, s, w = checked(outcomes, scores)
    looks = np.ones(y.size) if examination is None else np.asarray(examination, dtype=np.float64)
    placed = np.flatnonzero(~np.isnan(looks))
    who = clusters(users, requests)
    resampler = Resampler(who.count, seed, replicates)
    in_request, _ = pd.factorize(np.asarray(requests), use_na_sentinel=False)
    rows: list[MetricRow] = []
    for group in groupings(segments, y.size):
        apart = in_request * np.intp(group.count) + group.codes
        gains = request_gains(y[placed], s[placed], apart[placed], k=k, examination=looks[placed])
        naive = request_gains(y, s, apart, k=k)
        mean = [np.nan_to_num(naive.by_request), (naive.ideal > 0).astype(np.float64)]
        found = {
            "auc_by_request": _by_request(y, s, w, in_request, who, resampler, group),
            "ndcg": _of_requests(
                [gains.gained, gains.ideal], placed[gains.first_rows], who, resampler, group
            ),
            "naive_ndcg": _of_requests(mean, naive.first_rows, who, resampler, group),
        }
        rows += rows_of(found, group, y, who)
    return rows


_BINARY_METRICS: Mapping[str, Statistic] = {
    "log_loss": lambda lost, _seen, _said, total: quotient(lost, total),
    "normalized_entropy": lambda lost, seen, _said, total: normalized(lost, seen, total),
    "calibration_ratio": lambda _lost, seen, said, _total: quotient(seen, said),
    "mean_prediction": lambda _lost, _seen, said, total: quotient(said, total),
}
_VALUE_METRICS: Mapping[str, Statistic] = {
    "rmse": lambda square, _off, _seen, _said, total: np.sqrt(quotient(square, total)),
    "mae": lambda _square, off, _seen, _said, total: quotient(off, total),
    "mean_ratio": lambda _square, _off, seen, said, _total: quotient(seen, said),
    "mean_prediction": lambda _square, _off, _seen, said, total: quotient(said, total),
}
_QUANTILE_METRICS: Mapping[str, Statistic] = {
    "pinball_loss": lambda lost, _below, total: quotient(lost, total),
    "coverage": lambda _lost, below, total: quotient(below, total),
}


def _by_request(
    y: Floats, p: Floats, w: Floats, requests: Codes, who: Clusters, resampler: Resampler, group: Grouping
) -> list[Estimate]:
    """Mean AUC of the requests, each within the segment's rows."""
    found = request_aucs(y, p, requests * np.intp(group.count) + group.codes, weights=w)
    return _of_requests([found.aucs, np.ones_like(found.aucs)], found.first_rows, who, resampler, group)


def _of_requests(
    columns: list[Floats], rows: Codes, who: Clusters, resampler: Resampler, group: Grouping
) -> list[Estimate]:
    """Divide two sums over requests [m], each in its user and segment by one of its ``rows`` [m]."""
    of, users = group.codes[rows], who.codes[rows]
    return sum_intervals(columns, {"it": quotient}, users, resampler, groups=of, count=group.count)["it"]


def _cumulative(rows: SortedRows, group: Grouping, who: Clusters) -> dict[str, list[Estimate]]:
    """Cumulative error of each value and its sigma; NaN where there are too few rows."""
    found = rows.errors(group)
    sizes = users_per_group(who.codes, group.codes, group.count)
    told = {name: i for i, name in enumerate(found.names)}

    def of(figures: Floats) -> list[Estimate]:
        return [
            _alone(figures[told[name]] if name in told else np.nan, users)
            for name, users in zip(group.names, sizes, strict=True)
        ]

    return {"cumulative_error": of(found.errors), "cumulative_sigma": of(found.sigmas)}


def _multicalibration(rows: SortedRows, columns: Sequence[Grouping]) -> dict[str, float]:
    many = rows.worst(columns)
    return {
        "multicalibration_error": many.error,
        "multicalibration_sigma": many.sigma,
        "multicalibration_detectable": many.detectable,
    }


def _alone(figure: float, users: int) -> Estimate:
    """Hold a figure that has no interval."""
    return Estimate(float(figure), float("nan"), float("nan"), int(users))
