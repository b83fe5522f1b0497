"""Compares two models on the same rows: losses on the whole and in every declared segment.

::

    scores, joint probabilities    order          AUC by request
    probabilities                  probability    normalized entropy
    means, quantiles               amount         squared error, pinball loss, relative to a constant

It is used by both comparisons: with the champion on the shared test slice (`tasks.replay`), and with the
champion's recipe trained as of the same day (`tasks.training`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from tasks.evaluation.evidence import ChampionComparison, SegmentComparison
from tasks.evaluation.figures import group_by_segment
from tasks.evaluation.observations import Grouping
from tasks.evaluation.paired import (
    PairedRows,
    auc_by_request_drop,
    auc_drop,
    normalized_entropy_rise,
    relative_pinball_loss_rise,
    relative_squared_error_rise,
)
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

_DROP: Final = "auc_by_request_drop"
_RISE: Final = "normalized_entropy_rise"


@dataclass(frozen=True)
class ComparedRows:
    """Rows with a known outcome, paired, and the group of each by segment column, the whole first."""

    rows: PairedRows
    groups: tuple[Grouping, ...]

    @classmethod
    def of(cls, rows: PairedRows, segments: Mapping[str, npt.ArrayLike]) -> Self:
        """Group paired rows by segments: values by name, [n] each."""
        return cls(rows, tuple(group_by_segment(segments, len(np.asarray(rows.outcomes)))))

    def by_segment(self, loss: Callable[[PairedRows, Grouping], list[Estimate]]) -> dict[Segment, Estimate]:
        """Return a loss by segment, including all rows."""
        return {
            name: estimate
            for group in self.groups
            for name, estimate in zip(group.names, loss(self.rows, group), strict=True)
        }

    def compare_order(self, task: str) -> ChampionComparison:
        """Compare two models that only order a request's candidates; see `compare_rows`.

        Examples
        --------
        >>> rows = PairedRows([1, 0, 1, 0], [4, 3, 2, 1], [4, 3, 1, 2], list("uuvv"), list("rrss"))
        >>> found = ComparedRows.of(rows, {}).compare_order("click")
        >>> found.auc_by_request_drop.value, found.normalized_entropy_rise
        (0.5, None)
        """
        return _compare(task, {_DROP: self.by_segment(auc_by_request_drop)})

    def compare_amounts(self, task: str, *, base: float, quantile: float | None) -> ChampionComparison:
        """Compare two models of an amount: of its mean, or of a quantile if one is given.

        Examples
        --------
        >>> rows = PairedRows([1.0, 3.0], [1.0, 3.0], [2.0, 3.0], ["u", "v"], ["r", "s"])
        >>> found = ComparedRows.of(rows, {}).compare_amounts("dwell", base=2.0, quantile=None)
        >>> found.relative_squared_error_rise.value, found.auc_drop
        (0.5, None)
        """
        by_mean = partial(relative_squared_error_rise, base=base)
        by_quantile = partial(relative_pinball_loss_rise, quantile=quantile or 0.5, base=base)
        rises = self.by_segment(by_mean if quantile is None else by_quantile)
        name = f"relative_{'squared_error' if quantile is None else 'pinball_loss'}_rise"
        return _compare(task, {name: rises})


def compare_rows(
    task: str, pooled: PairedRows, *, ranked: ComparedRows | None, calibrated: ComparedRows | None
) -> ChampionComparison:
    """Compare two models of a task.

    Parameters
    ----------
    pooled : the rows of the AUC over all pairs.
    ranked : the rows whose order inside requests is compared; None for a request-level task.
    calibrated : the rows with probabilities, for the normalized entropy; None if a model has none.

    Examples
    --------
    >>> rows = PairedRows([1, 0, 1, 0], [4, 3, 2, 1], [4, 3, 1, 2], list("uuvv"), list("rrss"))
    >>> ranked = ComparedRows.of(rows, {"new": [True, True, False, False]})
    >>> found = compare_rows("click", rows, ranked=ranked, calibrated=None)
    >>> found.auc_by_request_drop.value
    0.5
    >>> [(str(one.segment), one.auc_by_request_drop.value) for one in found.segments]
    [('new=false', 1.0), ('new=true', 0.0)]
    """
    rises = {} if calibrated is None else calibrated.by_segment(normalized_entropy_rise)
    drops = {} if ranked is None else ranked.by_segment(auc_by_request_drop)
    losses = {"normalized_entropy_rise": rises, "auc_by_request_drop": drops}
    return _compare(
        task, losses, pooled=auc_drop(pooled), lacking={"normalized_entropy_rise": UNKNOWN_ESTIMATE}
    )


def _compare(
    task: str,
    losses: Mapping[str, Mapping[Segment, Estimate]],
    *,
    pooled: Estimate | None = None,
    lacking: Mapping[str, Estimate] = MappingProxyType({}),
) -> ChampionComparison:
    """Collect losses by name and segment; ``lacking``: values for segments without them."""

    def at(segment: Segment) -> dict[str, Any]:
        found = {name: of[segment] for name, of in losses.items() if segment in of}
        return {_DROP: None, _RISE: None, **lacking, **found}

    segments = dict.fromkeys(segment for of in losses.values() for segment in of if segment != ALL)
    return ChampionComparison(
        task=task,
        auc_drop=pooled,
        segments=tuple(SegmentComparison(segment=name, **at(name)) for name in segments),
        **at(ALL),
    )
