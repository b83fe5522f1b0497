"""The figures of a task as the release step measures them, of a few estimates."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from tasks.contracts.training import HeadKind
from tasks.evaluation.figures import Figure, TaskFigures
from tasks.evaluation.references import HeadReferences
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import Estimate

Estimates = Mapping[tuple[str, Segment], Estimate]
"""By metric and segment."""
NEWEST: Final = date(2026, 4, 10)


def task_figures(
    estimates: Estimates | None = None,
    *,
    task: str = "click",
    kind: HeadKind = "binary",
    size: tuple[int, int] = (50_000, 900),
    counts: Mapping[Segment, tuple[int, int]] | None = None,
    references: HeadReferences | None = None,
) -> TaskFigures:
    """Make figures; ``size`` are rows and positives of the task, ``counts`` those of segments."""
    counted = {ALL: size} | dict(counts or {})
    figures = [
        Figure(Subject(metric, task=task), segment, x.value, x.low, x.high, x.n, *counted.get(segment, size))
        for (metric, segment), x in (estimates or {}).items()
    ]
    for segment in counted.keys() - {one.segment for one in figures}:
        unknown = (math.nan, math.nan, math.nan, 0)
        figures.append(Figure(Subject("log_loss", task=task), segment, *unknown, *counted[segment]))
    return TaskFigures(
        task=task,
        kind=kind,
        days=(NEWEST, NEWEST),
        newest_training_row=NEWEST,
        rows=size[0],
        positives=size[1],
        figures=tuple(figures),
        references=references,
    )


def estimates_of(figures: TaskFigures) -> dict[tuple[str, Segment], Estimate]:
    """Return the estimates by metric and segment."""
    return {(one.subject.metric, one.segment): one.estimate for one in figures.figures}


def of_all_rows(figures: dict[str, Any]) -> dict[str, float]:
    """Return the values of all rows by metric, of figures as a document holds them."""
    return {one["subject"]["metric"]: one["value"] for one in figures["figures"] if not one["segment"]}
