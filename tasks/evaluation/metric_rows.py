"""Rows of a table of metrics: a figure of the whole or of a segment value, with its interval."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ConfigDict

from tasks.evaluation.documents import CLOSED, MaybeFloat
from tasks.evaluation.observations import Grouping
from tasks.evaluation.resampling import Support
from tasks.evaluation.segments import UNKNOWN
from tasks.evaluation.subjects import STATED, Segment, Subject
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
