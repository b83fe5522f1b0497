"""Figures of one task: the quality of a release's calibrated joint predictions on its test days.

The figures are stored in the release step's evidence, shown by ``release show`` and read by the gates.

The metrics of a head are measured on the whole and on every segment value, each with its interval:

============ ================================================================================
probability  auc, auc_by_request, average_precision, log_loss, normalized_entropy, calibration_ratio,
             mean_prediction, cumulative_error, cumulative_sigma; of the whole smooth_ece, debiased_ece,
             multicalibration_error, multicalibration_sigma, multicalibration_detectable
value        rmse, mae, mean_ratio, mean_prediction
quantile     pinball_loss, coverage
ranking      auc_by_request, ndcg, naive_ndcg
============ ================================================================================

Sums are enough for most metrics, so all values of a segment column share one set of draws. Calibration errors
are non-negative and include sampling noise, so they have no interval: sigma and the detectable error are
reported with them. Figures of groups with too few users or positives have no interval either
(`tasks.evaluation.resampling`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Annotated, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ConfigDict

from tasks.arrays import Floats, Indices
from tasks.contracts.training import HeadKind
from tasks.errors import DataError
from tasks.evaluation.binary import (
    check_binary,
    check_rows,
    divide,
    normalize_entropy,
    request_pairs,
    row_losses,
)
from tasks.evaluation.calibration_error import SortedRows, debiased_ece, smooth_ece
from tasks.evaluation.documents import CLOSED, MaybeFloat, Section
from tasks.evaluation.observations import Grouping, Observations
from tasks.evaluation.paired import pinball_losses
from tasks.evaluation.ranking_metrics import FallingRows, ranked_intervals, request_gains
from tasks.evaluation.references import HeadReferences
from tasks.evaluation.resampling import (
    Clusters,
    Statistic,
    Support,
    cluster_rows,
    count_users,
    statistic_intervals,
    sum_intervals,
)
from tasks.evaluation.segments import UNKNOWN
from tasks.evaluation.subjects import ALL, STATED, Segment, Subject
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

_RATIOS: Final = ("calibration_ratio", "mean_ratio")
_SUPPORT: Final = {
    "auc": Support.of_order,
    "mean_prediction": Support.of_any,
    "pinball_loss": Support.of_any,
    "coverage": Support.of_any,
}
"""Support requirements other than those for rare outcomes: an order also needs negatives, a mean prediction
needs no outcome, and a quantile uses outcomes of 0 as well."""


@dataclass(frozen=True)
class Figure:
    """One figure: its subject, segment, 95 % interval, and numbers of rows and events.

    Attributes
    ----------
    value, low, high : the number and the ends of its interval; NaN if unknown.
    n : number of resampled clusters; ``resampled`` names their kind.
    rows, events : rows of the segment, and those with an outcome other than 0.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    subject: Annotated[Subject, STATED]
    segment: Annotated[Segment, STATED]
    value: MaybeFloat
    low: MaybeFloat
    high: MaybeFloat
    n: int
    rows: int
    events: int
    resampled: str = "users"

    @property
    def estimate(self) -> Estimate:
        """Only the number and its interval."""
        return Estimate(self.value, self.low, self.high, self.n)


def group_by_segment(segments: Mapping[str, npt.ArrayLike], size: int) -> Iterator[Grouping]:
    """Yield the whole, then each column's values in order of their names.

    Examples
    --------
    >>> [[str(name) for name in group.names] for group in group_by_segment({"new": [True, False, None]}, 3)]
    [['all'], ['new=false', 'new=true', 'new=unknown']]
    """
    yield Grouping.whole(size)
    for column, values in segments.items():
        codes, known = pd.factorize(values if isinstance(values, pd.Categorical) else np.asarray(values))
        words = [*map(_spell, known), UNKNOWN]
        present = np.unique(codes)
        names = [Segment(column, words[code]) for code in present]
        if names:
            places = np.argsort(sorted(range(len(names)), key=names.__getitem__))
            yield Grouping(tuple(sorted(names)), places[codes - min(present)])


def _spell(value: object) -> str:
    """Format a segment's value as in YAML."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


def metric_rows(
    estimates: Mapping[str, list[Estimate]], group: Grouping, support: Support, *, resampled: str
) -> list[Figure]:
    """Build figures, without intervals that lack support; a ratio without a positive is unknown.

    Examples
    --------
    >>> whole, users = Grouping.whole(30), np.arange(30)
    >>> support = Support.of((users < 12).astype(float), np.ones(30), users, whole)
    >>> (row,) = metric_rows({"auc": [Estimate(0.7, 0.6, 0.8, 30)]}, whole, support, resampled="users")
    >>> row.subject.metric, str(row.segment), row.rows, row.events, row.estimate.known
    ('auc', 'all', 30, 12, True)
    """
    supported = {
        metric: _SUPPORT.get(metric, Support.of_outcomes)(support, by_group)
        for metric, by_group in estimates.items()
    }
    figures = []
    for i, (segment, rows, events) in enumerate(
        zip(group.names, support.rows.tolist(), support.positives.tolist(), strict=True)
    ):
        for metric, by_group in supported.items():
            seen = UNKNOWN_ESTIMATE if metric in _RATIOS and not events else by_group[i]
            counts = (int(rows), int(events), resampled)
            figures.append(Figure(Subject(metric), segment, seen.value, seen.low, seen.high, seen.n, *counts))
    return figures


WITH_INTERVAL: Final = ("auc", "auc_by_request", "calibration_ratio", "ndcg", "coverage")
_CALIBRATION_OF_A_VALUE: Final = "mean_ratio"
"""A value head's calibration ratio: observed over predicted, in its own unit."""


@dataclass(frozen=True)
class MeasuredHead:
    """A task with the kind of its head, which determines its metrics.

    Attributes
    ----------
    quantile : the share of outcomes at or below the predictions of a quantile head.
    slots : slots of a slate, for a ranking head.
    """

    task: str
    kind: HeadKind
    quantile: float | None = None
    slots: int | None = None

    def report(self, observations: Observations) -> list[Figure]:
        """Return the metrics of this kind of head, for the whole and every segment."""
        match self.kind:
            case "binary":
                return binary_report(observations)
            case "value":
                return value_report(observations)
            case "quantile" if self.quantile is not None:
                return quantile_report(observations, quantile=self.quantile)
            case "ranking" if self.slots is not None:
                return ranking_report(observations, k=self.slots)
        missing = "quantile that it predicts" if self.kind == "quantile" else "slots of a slate"
        raise DataError(f"'{self.task}' is a {self.kind} head: to measure it, give the {missing}.")


class CurvePoint(Section):
    """A bin of predictions: their mean, the observed mean, and the rows in it."""

    predicted: MaybeFloat
    observed: MaybeFloat
    rows: int


class TaskFigures(Section):
    """A task's metrics on its test days, for the whole and every segment; gates and pages read them.

    ``references``: the references of its head; None if they were not measured.
    ``curve``: its reliability by increasing prediction; empty for heads that do not predict a mean.
    """

    task: str
    kind: HeadKind
    days: tuple[date, date]
    newest_training_row: date
    rows: int
    positives: int
    figures: tuple[Figure, ...]
    references: HeadReferences | None = None
    curve: tuple[CurvePoint, ...] = ()

    def figure(self, metric: str, segment: Segment = ALL) -> Figure | None:
        """Return the figure of a metric in a segment; None if it was not measured."""
        found = (row for row in self.figures if row.subject.metric == metric and row.segment == segment)
        return next(found, None)

    def estimate(self, metric: str, segment: Segment = ALL) -> Estimate | None:
        """Return only the number and interval of a figure."""
        found = self.figure(metric, segment)
        return None if found is None else found.estimate

    @property
    def headline(self) -> dict[str, float | int | None]:
        """The figures of all rows by name, as logged to MLflow; inconclusive values are None."""
        headline: dict[str, float | int | None] = {}
        for metric, estimate in self.whole().items():
            headline[metric] = _finite_or_none(estimate.value)
            if metric in WITH_INTERVAL:
                headline[f"{metric}_low"] = _finite_or_none(estimate.low)
                headline[f"{metric}_high"] = _finite_or_none(estimate.high)
        return {**headline, "rows": self.rows, "positives": self.positives}

    def whole(self) -> dict[str, Estimate]:
        """Return each metric of all rows."""
        return {row.subject.metric: row.estimate for row in self.figures if row.segment == ALL}

    def table(self) -> list[dict[str, object]]:
        """Return the figures as flat rows, for tables."""
        plain = zip(self.to_json()["figures"], self.figures, strict=True)
        return [{**row.pop("subject"), **row, "segment": str(figure.segment)} for row, figure in plain]

    def without_estimates(self) -> "TaskFigures":
        """Return only the counts, for predictions with information about these days."""
        unknown = asdict(UNKNOWN_ESTIMATE)
        figures = tuple(replace(row, **unknown) for row in self.figures)
        return self.model_copy(update={"figures": figures})


def measure(
    head: MeasuredHead,
    observations: Observations,
    *,
    days: tuple[date, date],
    newest_training_row: date,
) -> TaskFigures:
    """Measure a task on rows with a known outcome.

    Parameters
    ----------
    observations : of the test days, with the calibrated joint probability (or value, quantile, score).
    days : the first and the last test day.
    newest_training_row : day of the newest row that the head was trained on.

    Examples
    --------
    >>> rows = Observations([1.0, 0.0, np.nan], [0.9, 0.1, 0.5], ["u", "v", "w"], ["r", "r", "r"])
    >>> day = date(2026, 5, 1)
    >>> figures = measure(MeasuredHead("click", "binary"), rows, days=(day, day), newest_training_row=day)
    >>> figures.rows, figures.positives, figures.headline["auc"]
    (2, 1, 1.0)
    """
    known = observations.select_known()
    outcomes = np.asarray(known.outcomes)
    rows = tuple(replace(row, subject=_of_task(row.subject, head.task)) for row in head.report(known))
    size, positives = len(outcomes), int(np.count_nonzero(outcomes))
    return TaskFigures(
        task=head.task,
        kind=head.kind,
        days=days,
        newest_training_row=newest_training_row,
        figures=rows,
        rows=size,
        positives=positives,
    )


def _of_task(subject: Subject, task: str) -> Subject:
    metric = "calibration_ratio" if subject.metric == _CALIBRATION_OF_A_VALUE else subject.metric
    return replace(subject, metric=metric, task=task)


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class _MeasuredRows:
    """Checked observations with the resampled clusters."""

    outcomes: Floats
    predictions: Floats
    weights: Floats
    requests: Indices
    who: Clusters
    replicates: int

    @classmethod
    def of(cls, observations: Observations, *, binary: bool, replicates: int = 200) -> "_MeasuredRows":
        check = check_binary if binary else check_rows
        y, p, w = check(observations.outcomes, observations.predictions, observations.weights)
        who = cluster_rows(observations.users, observations.requests)
        requests, _ = pd.factorize(np.asarray(observations.requests), use_na_sentinel=False)
        return cls(y, p, w, requests, who, replicates)

    def support(self, group: Grouping) -> Support:
        """Count the support of the figures of each group."""
        return Support.of(self.outcomes, self.weights, self.who.codes, group)

    def request_means(self, columns: list[Floats], rows: Indices, group: Grouping) -> list[Estimate]:
        """Divide two sums over requests [m], each with the user and segment of one of its ``rows`` [m].

        Requests are weighted by their part of the second sum, so requests without an order have no weight.
        """
        of, who = Grouping(group.names, group.codes[rows]), replace(self.who, codes=self.who.codes[rows])
        ratios = statistic_intervals(columns, divide, who, self.replicates, of)
        return Support.of(self.outcomes[rows], columns[1], who.codes, of).of_any(ratios)

    def request_auc(self, group: Grouping) -> list[Estimate]:
        """Estimate the AUC by request; pairs share request and segment."""
        requests = self.requests * np.intp(group.count) + group.codes
        found = request_pairs(self.outcomes, self.predictions, requests, weights=self.weights)
        return self.request_means([found.won, found.pairs], found.first_rows, group)


def binary_report(observations: Observations, *, replicates: int = 200) -> list[Figure]:
    """Measure a probability head.

    Examples
    --------
    >>> rows = binary_report(Observations([1, 0], [0.5, 0.3], ["u", "v"], ["r", "r"]))
    >>> {row.subject.metric: row.estimate.value for row in rows}["calibration_ratio"]
    1.25
    """
    rows = _MeasuredRows.of(observations, binary=True, replicates=replicates)
    y, p, w, who = rows.outcomes, rows.predictions, rows.weights, rows.who
    columns = [w * row_losses(y, p), w * y, w * p, w]
    groups, ordered = list(group_by_segment(observations.segments, y.size)), SortedRows.of(y, p, w)
    metrics, falling = list[Figure](), FallingRows.of(y, p, w)
    for group in groups:
        auc, average_precision = ranked_intervals(falling, who, rows.replicates, group)
        estimates = {
            "auc": auc,
            "auc_by_request": rows.request_auc(group),
            "average_precision": average_precision,
            **sum_intervals(columns, _BINARY_METRICS, who, rows.replicates, group),
            **_cumulative(ordered, group, who),
        }
        metrics += metric_rows(estimates, group, rows.support(group), resampled=who.resampled)
    worst = ordered.worst(groups[1:])
    errors = {
        "smooth_ece": smooth_ece(y, p, weights=w),
        "debiased_ece": debiased_ece(y, p, weights=w),
        "multicalibration_error": worst.error,
        "multicalibration_sigma": worst.sigma,
        "multicalibration_detectable": worst.detectable,
    }
    whole = {name: [_without_interval(error, who.count)] for name, error in errors.items()}
    return metrics + metric_rows(whole, groups[0], rows.support(groups[0]), resampled=who.resampled)


def value_report(observations: Observations) -> list[Figure]:
    """Measure a value head; parameters as in `binary_report`, outcomes in the value's unit.

    Examples
    --------
    >>> rows = value_report(Observations([3.0, 1.0], [2.0, 2.0], ["u", "v"], ["r", "r"]))
    >>> {row.subject.metric: row.estimate.value for row in rows}
    {'rmse': 1.0, 'mae': 1.0, 'mean_ratio': 1.0, 'mean_prediction': 2.0}
    """
    rows = _MeasuredRows.of(observations, binary=False)
    y, p, w = rows.outcomes, rows.predictions, rows.weights
    columns = [w * (y - p) ** 2, w * np.abs(y - p), w * y, w * p, w]
    return _report_sums(rows, columns, _VALUE_METRICS, observations.segments)


def quantile_report(observations: Observations, *, quantile: float) -> list[Figure]:
    """Measure a quantile head; parameters as in `binary_report`.

    ``coverage`` is the share of outcomes at or below their prediction, ideally ``quantile``;
    ``pinball_loss`` is the mean of quantile x shortfall + (1 - quantile) x excess of the prediction.

    Examples
    --------
    >>> rows = quantile_report(Observations([3.0, 1.0], [2.0, 2.0], ["u", "v"], ["r", "r"]), quantile=0.5)
    >>> {row.subject.metric: row.estimate.value for row in rows}
    {'pinball_loss': 0.5, 'coverage': 0.5}
    """
    rows = _MeasuredRows.of(observations, binary=False)
    y, q, w = rows.outcomes, rows.predictions, rows.weights
    columns = [w * pinball_losses(y, q, quantile), w * (y <= q), w]
    return _report_sums(rows, columns, _QUANTILE_METRICS, observations.segments)


def _report_sums(
    rows: _MeasuredRows,
    columns: list[Floats],
    metrics: Mapping[str, Statistic],
    segments: Mapping[str, npt.ArrayLike],
) -> list[Figure]:
    """Report metrics of sums, for the whole and every segment."""
    return [
        row
        for group in group_by_segment(segments, rows.outcomes.size)
        for row in metric_rows(
            sum_intervals(columns, metrics, rows.who, rows.replicates, group),
            group,
            rows.support(group),
            resampled=rows.who.resampled,
        )
    ]


def ranking_report(observations: Observations, *, k: int, replicates: int = 200) -> list[Figure]:
    """Measure a ranking head, whose scores are comparable within their request only.

    Parameters
    ----------
    observations : with scores, higher first. ``ndcg`` is weighted by the examination of the logged positions
        and leaves out rows with unknown examination; without logged positions all weights are equal.
    k : number of slots that count.

    Examples
    --------
    >>> rows = ranking_report(Observations([1, 0], [0.1, 0.2], ["u", "u"], ["r", "r"]), k=2)
    >>> {row.subject.metric: round(float(row.estimate.value), 5) for row in rows}
    {'auc_by_request': 0.0, 'ndcg': 0.63093, 'naive_ndcg': 0.63093}
    """
    rows = _MeasuredRows.of(replace(observations, weights=None), binary=True, replicates=replicates)
    y, s, known = rows.outcomes, rows.predictions, observations.examination
    examination = np.ones(y.size) if known is None else np.asarray(known, dtype=np.float64)
    placed = np.flatnonzero(~np.isnan(examination))
    metrics: list[Figure] = []
    for group in group_by_segment(observations.segments, y.size):
        requests = rows.requests * np.intp(group.count) + group.codes
        gains = request_gains(y[placed], s[placed], requests[placed], k=k, examination=examination[placed])
        naive = request_gains(y, s, requests, k=k)
        mean = [np.nan_to_num(naive.by_request), (naive.ideal > 0).astype(np.float64)]
        estimates = {
            "auc_by_request": rows.request_auc(group),
            "ndcg": rows.request_means([gains.gained, gains.ideal], placed[gains.first_rows], group),
            "naive_ndcg": rows.request_means(mean, naive.first_rows, group),
        }
        metrics += metric_rows(estimates, group, rows.support(group), resampled=rows.who.resampled)
    return metrics


_BINARY_METRICS: Mapping[str, Statistic] = {
    "log_loss": lambda loss, _observed, _predicted, total: divide(loss, total),
    "normalized_entropy": lambda loss, observed, _predicted, total: normalize_entropy(loss, observed, total),
    "calibration_ratio": lambda _loss, observed, predicted, _total: divide(observed, predicted),
    "mean_prediction": lambda _loss, _observed, predicted, total: divide(predicted, total),
}
_VALUE_METRICS: Mapping[str, Statistic] = {
    "rmse": lambda square, _off, _observed, _predicted, total: np.sqrt(divide(square, total)),
    "mae": lambda _square, off, _observed, _predicted, total: divide(off, total),
    "mean_ratio": lambda _square, _off, observed, predicted, _total: divide(observed, predicted),
    "mean_prediction": lambda _square, _off, _observed, predicted, total: divide(predicted, total),
}
_QUANTILE_METRICS: Mapping[str, Statistic] = {
    "pinball_loss": lambda loss, _below, total: divide(loss, total),
    "coverage": lambda _loss, below, total: divide(below, total),
}


def _cumulative(rows: SortedRows, group: Grouping, who: Clusters) -> dict[str, list[Estimate]]:
    """Cumulative error of each value and its sigma; NaN for too few rows."""
    cumulative = rows.errors(group.codes, group.count)
    sizes = count_users(who.codes, group.codes, group.count)

    def by_group(errors: Floats) -> list[Estimate]:
        figures = np.full(group.count, np.nan)
        figures[cumulative.codes] = errors
        return list(map(_without_interval, figures, sizes))

    return {
        "cumulative_error": by_group(cumulative.errors),
        "cumulative_sigma": by_group(cumulative.sigmas),
    }


def _without_interval(figure: float, users: int) -> Estimate:
    """Return an estimate without an interval."""
    return Estimate(float(figure), float("nan"), float("nan"), int(users))
