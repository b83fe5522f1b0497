"""The table of a head's metrics: the whole and every segment value, each with its interval.

============ ================================================================================
probability  auc, auc_by_request, average_precision, log_loss, normalized_entropy, calibration_ratio
value        rmse, mae, mean_ratio
============ ================================================================================

Sums serve most metrics, so all values of a segment column share one set of draws.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluation.binary import Codes, Floats, checked, checked_rows, quotient, request_aucs, row_losses
from tasks.evaluation.intervals import normalized, ranked_intervals
from tasks.evaluation.resampling import UNKNOWN, Clusters, Resampler, Statistic, clusters, sum_intervals
from tasks.evaluation.segments import UNKNOWN as MISSING
from tasks.evaluation.verdicts import Estimate

WHOLE = "all"


@dataclass(frozen=True)
class MetricRow:
    """One figure: ``segment`` is ``all`` or ``column=value``, ``resampled`` says who was drawn.

    ``positives`` of a value head counts the rows with a value other than 0.
    """

    metric: str
    segment: str
    estimate: Estimate
    rows: int
    positives: int
    resampled: str = "users"

    def to_json(self) -> dict[str, object]:
        """Return plain flat JSON; unknown figures become null."""
        figures = {"value": self.estimate.value, "low": self.estimate.low, "high": self.estimate.high}
        return {
            "metric": self.metric,
            "segment": self.segment,
            **{name: figure if math.isfinite(figure) else None for name, figure in figures.items()},
            "n": self.estimate.n,
            "rows": self.rows,
            "positives": self.positives,
            "resampled": self.resampled,
        }


@dataclass(frozen=True)
class _Grouping:
    """Rows by the values of one segment column: ``names`` [count], ``codes`` [n]."""

    names: tuple[str, ...]
    codes: Codes

    @property
    def count(self) -> int:
        return len(self.names)


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
    rows: list[MetricRow] = []
    for group in _groupings(segments, y.size):
        of, count = group.codes, group.count
        ranked = ranked_intervals(y, p, w, who.codes, resampler, groups=of, count=count)
        found = {
            "auc": ranked[0],
            "auc_by_request": _by_request(y, p, w, in_request, who, resampler, group),
            "average_precision": ranked[1],
            **sum_intervals(columns, _BINARY_METRICS, who.codes, resampler, groups=of, count=count),
        }
        rows += _rows(found, group, y, who)
    return rows


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
    resampler = Resampler(who.count, seed, replicates)
    columns = [w * (y - p) ** 2, w * np.abs(y - p), w * y, w * p, w]
    rows: list[MetricRow] = []
    for group in _groupings(segments, y.size):
        found = sum_intervals(
            columns, _VALUE_METRICS, who.codes, resampler, groups=group.codes, count=group.count
        )
        rows += _rows(found, group, y, who)
    return rows


_BINARY_METRICS: Mapping[str, Statistic] = {
    "log_loss": lambda lost, _seen, _said, total: quotient(lost, total),
    "normalized_entropy": lambda lost, seen, _said, total: normalized(lost, seen, total),
    "calibration_ratio": lambda _lost, seen, said, _total: quotient(seen, said),
}
_VALUE_METRICS: Mapping[str, Statistic] = {
    "rmse": lambda square, _off, _seen, _said, total: np.sqrt(quotient(square, total)),
    "mae": lambda _square, off, _seen, _said, total: quotient(off, total),
    "mean_ratio": lambda _square, _off, seen, said, _total: quotient(seen, said),
}
_RATIOS = ("calibration_ratio", "mean_ratio")


def _by_request(
    y: Floats, p: Floats, w: Floats, requests: Codes, who: Clusters, resampler: Resampler, group: _Grouping
) -> list[Estimate]:
    """Mean AUC of the requests, each within the segment's rows."""
    found = request_aucs(y, p, requests * np.intp(group.count) + group.codes, weights=w)
    at = found.first_rows
    columns = [found.aucs, np.ones_like(found.aucs)]
    return sum_intervals(
        columns, {"mean": quotient}, who.codes[at], resampler, groups=group.codes[at], count=group.count
    )["mean"]


def _groupings(segments: Mapping[str, npt.ArrayLike], size: int) -> Iterator[_Grouping]:
    """Yield the whole, then each column's values in order of their names."""
    yield _Grouping((WHOLE,), np.zeros(size, dtype=np.intp))
    for column, values in segments.items():
        codes, known = pd.factorize(np.asarray(values))
        words = [*map(_word, known), MISSING]
        present = np.unique(codes)
        names = np.array([f"{column}={words[code]}" for code in present])
        order = np.argsort(names, kind="stable")
        if names.size:
            yield _Grouping(tuple(names[order].tolist()), np.argsort(order)[codes - min(present)])


def _word(value: object) -> str:
    """Spell a segment's value as YAML would."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


def _rows(found: Mapping[str, list[Estimate]], group: _Grouping, y: Floats, who: Clusters) -> list[MetricRow]:
    """Name the estimates; a ratio without a positive is unknown, not 0."""
    rows = np.bincount(group.codes, minlength=group.count)
    positives = np.bincount(group.codes, y != 0, minlength=group.count).astype(np.intp)
    return [
        MetricRow(
            metric,
            group.names[i],
            UNKNOWN if metric in _RATIOS and not positives[i] else estimates[i],
            int(rows[i]),
            int(positives[i]),
            who.resampled,
        )
        for i in range(group.count)
        for metric, estimates in found.items()
    ]
