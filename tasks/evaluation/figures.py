"""Figures of one task: the quality of a release's calibrated joint predictions on its test days.

The figures are stored in the release step's evidence, shown by ``release show`` and read by the gates.
"""

import math
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Final

import numpy as np

from tasks.contracts.training import HeadKind
from tasks.errors import DataError
from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.observations import Observations
from tasks.evaluation.references import HeadReferences
from tasks.evaluation.report import binary_report, quantile_report, ranking_report, value_report
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

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
