"""How well a release's calibrated joint predictions hold on its test days: one task's figures.

The figures are written into the release step's evidence, shown by ``release show`` and read by the gates.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.contracts.training import HeadKind
from tasks.errors import DataError
from tasks.evaluation.evidence import SegmentCounts, TaskEvidence, estimate_from_json
from tasks.evaluation.metric_rows import WHOLE, MetricRow
from tasks.evaluation.report import binary_report, quantile_report, ranking_report, value_report
from tasks.evaluation.verdicts import Estimate

WITH_INTERVAL: Final = ("auc", "auc_by_request", "calibration_ratio", "ndcg", "coverage")
_CALIBRATION_OF_A_VALUE: Final = "mean_ratio"
"""A value head's calibration ratio: observed over predicted, in its own unit."""


@dataclass(frozen=True)
class TaskFigures:
    """A task's metrics on its test days, for the whole and every segment."""

    task: str
    kind: HeadKind
    days: tuple[date, date]
    newest_training_row: date
    rows: int
    positives: int
    metrics: tuple[MetricRow, ...]

    def whole(self) -> dict[str, Estimate]:
        """Return each metric of all rows."""
        return {row.metric: row.estimate for row in self.metrics if row.segment == WHOLE}

    def headline(self) -> dict[str, float | int | None]:
        """Return the figures that people ask for first; what cannot be told is None."""
        told: dict[str, float | int | None] = {}
        for metric, estimate in self.whole().items():
            told[metric] = _finite(estimate.value)
            if metric in WITH_INTERVAL:
                told[f"{metric}_low"] = _finite(estimate.low)
                told[f"{metric}_high"] = _finite(estimate.high)
        return {**told, "rows": self.rows, "positives": self.positives}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON with every figure of every segment."""
        return {
            "task": self.task,
            "kind": self.kind,
            "days": [day.isoformat() for day in self.days],
            "newest_training_row": self.newest_training_row.isoformat(),
            "rows": self.rows,
            "positives": self.positives,
            "headline": self.headline(),
            "figures": [row.to_json() for row in self.metrics],
        }


def measure(
    task: str,
    kind: HeadKind,
    outcomes: npt.NDArray[np.float64],
    predictions: npt.NDArray[np.float64],
    *,
    users: npt.ArrayLike,
    requests: npt.ArrayLike,
    segments: Mapping[str, npt.ArrayLike],
    days: tuple[date, date],
    newest_training_row: date,
    quantile: float | None = None,
    slots: int | None = None,
    examination: npt.NDArray[np.float64] | None = None,
) -> TaskFigures:
    """Measure a task where its outcome is known.

    Parameters
    ----------
    outcomes : known outcome, NaN where unknown, shape [rows].
    predictions : calibrated joint probability (or value, quantile, score), shape [rows].
    users, requests, segments : of each row; users are resampled for the intervals.
    quantile : that a quantile head predicts.
    slots : of a slate, for a ranking head; ``examination`` of the rows' logged positions, shape [rows], NaN
        where it is not known.

    Raises
    ------
    DataError
        A quantile head comes without its quantile, or a ranking head without its slots.
    """
    known = np.isfinite(outcomes)
    looked_at = None if examination is None else examination[known]
    rows = _reporter(task, kind, quantile, slots, looked_at)(
        outcomes[known],
        predictions[known],
        users=np.asarray(users)[known],
        requests=np.asarray(requests)[known],
        segments={name: np.asarray(values)[known] for name, values in segments.items()},
    )
    return TaskFigures(
        task=task,
        kind=kind,
        days=days,
        newest_training_row=newest_training_row,
        rows=int(known.sum()),
        positives=int(np.count_nonzero(outcomes[known])),
        metrics=tuple(_named(row) for row in rows),
    )


def task_evidence(plain: Mapping[str, Any], *, run: str) -> TaskEvidence:
    """Read what `TaskFigures.to_json` wrote, as the gates take it.

    Raises
    ------
    DataError
        It has another shape.
    """
    try:
        return TaskEvidence(
            task=plain["task"],
            kind=plain["kind"],
            rows=plain["rows"],
            positives=plain["positives"],
            figures={(row["metric"], row["segment"]): estimate_from_json(row) for row in plain["figures"]},
            newest_training_day=date.fromisoformat(plain["newest_training_row"]),
            run=run,
            counts={row["segment"]: SegmentCounts(row["rows"], row["positives"]) for row in plain["figures"]},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"The evidence of run {run} holds no figures of a task: {error!r}.") from error


def _reporter(
    task: str,
    kind: HeadKind,
    quantile: float | None,
    slots: int | None,
    examination: npt.NDArray[np.float64] | None,
) -> Callable[..., list[MetricRow]]:
    """Return the report that a kind of head is measured by."""
    match kind:
        case "binary":
            return binary_report
        case "value":
            return value_report
        case "quantile" if quantile is not None:
            return partial(quantile_report, quantile=quantile)
        case "ranking" if slots is not None:
            return partial(ranking_report, k=slots, examination=examination)
    lacking = "quantile that it predicts" if kind == "quantile" else "slots of a slate"
    raise DataError(f"'{task}' is a {kind} head: to measure it, say the {lacking}.")


def _named(row: MetricRow) -> MetricRow:
    if row.metric != _CALIBRATION_OF_A_VALUE:
        return row
    return MetricRow("calibration_ratio", row.segment, row.estimate, row.rows, row.positives, row.resampled)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
