"""How well a release's calibrated joint predictions hold on its test days: one task's figures.

The figures are written into the release step's evidence, shown by ``release show`` and read by the gates.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from tasks.contracts.training import HeadKind
from tasks.errors import DataError
from tasks.evaluation.evidence import SegmentCounts, TaskEvidence, estimate_from_json
from tasks.evaluation.metric_rows import MetricRow
from tasks.evaluation.observations import Observations
from tasks.evaluation.report import binary_report, quantile_report, ranking_report, value_report
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Estimate

WITH_INTERVAL: Final = ("auc", "auc_by_request", "calibration_ratio", "ndcg", "coverage")
_CALIBRATION_OF_A_VALUE: Final = "mean_ratio"
"""A value head's calibration ratio: observed over predicted, in its own unit."""


@dataclass(frozen=True)
class MeasuredHead:
    """A task, what its head predicts, and what that is measured by.

    Attributes
    ----------
    quantile : the share of outcomes at or below the predictions of a quantile head.
    slots : slots of a slate, for a ranking head.
    """

    task: str
    kind: HeadKind
    quantile: float | None = None
    slots: int | None = None

    def report(self, observations: Observations) -> list[MetricRow]:
        """Return the metrics of this kind of head, for the whole and every segment.

        Raises
        ------
        DataError
            A quantile head comes without its quantile, or a ranking head without its slots.
        """
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
        return {row.metric: row.estimate for row in self.metrics if row.segment == ALL}

    def headline(self) -> dict[str, float | int | None]:
        """Return the figures that people ask for first; what cannot be told is None."""
        told: dict[str, float | int | None] = {}
        for metric, estimate in self.whole().items():
            told[metric] = _finite_or_none(estimate.value)
            if metric in WITH_INTERVAL:
                told[f"{metric}_low"] = _finite_or_none(estimate.low)
                told[f"{metric}_high"] = _finite_or_none(estimate.high)
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
    head: MeasuredHead,
    observations: Observations,
    *,
    days: tuple[date, date],
    newest_training_row: date,
) -> TaskFigures:
    """Measure a task where its outcome is known.

    Parameters
    ----------
    observations : of the test days, with the calibrated joint probability (or value, quantile, score).
    days : first and last of them.
    newest_training_row : day of the newest row that the head learned from.

    Raises
    ------
    DataError
        A quantile head comes without its quantile, or a ranking head without its slots.

    Examples
    --------
    >>> rows = Observations([1.0, 0.0, np.nan], [0.9, 0.1, 0.5], ["u", "v", "w"], ["r", "r", "r"])
    >>> day = date(2026, 5, 1)
    >>> figures = measure(MeasuredHead("click", "binary"), rows, days=(day, day), newest_training_row=day)
    >>> figures.rows, figures.positives, figures.headline()["auc"]
    (2, 1, 1.0)
    """
    known = observations.select_known()
    outcomes = np.asarray(known.outcomes)
    return TaskFigures(
        task=head.task,
        kind=head.kind,
        days=days,
        newest_training_row=newest_training_row,
        rows=len(outcomes),
        positives=int(np.count_nonzero(outcomes)),
        metrics=tuple(_as_calibration(row) for row in head.report(known)),
    )


def task_evidence(plain: Mapping[str, Any], *, run: str) -> TaskEvidence:
    """Read what `TaskFigures.to_json` wrote, as the gates take it.

    Raises
    ------
    DataError
        It has another shape.

    Examples
    --------
    >>> rows = Observations([1.0, 0.0], [0.9, 0.1], ["u", "v"], ["r", "r"])
    >>> day = date(2026, 5, 1)
    >>> figures = measure(MeasuredHead("click", "binary"), rows, days=(day, day), newest_training_row=day)
    >>> task_evidence(figures.to_json(), run="run-1").figures["auc", "all"].value
    1.0
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


def _as_calibration(row: MetricRow) -> MetricRow:
    if row.metric != _CALIBRATION_OF_A_VALUE:
        return row
    return MetricRow("calibration_ratio", row.segment, row.estimate, row.rows, row.positives, row.resampled)


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
