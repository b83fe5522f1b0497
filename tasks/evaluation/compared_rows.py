"""Compares two models on the same rows: losses on the whole and in every declared segment.

::

    scores, joint probabilities    order          AUC by request
    probabilities                  probability    normalized entropy
    means, quantiles               amount         squared error, pinball loss, relative to a constant

It is used by both comparisons: with the champion on the shared test slice (`tasks.replay`), and with the
champion's recipe trained as of the same day (`tasks.training`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np

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


def compare_rows(
    task: str, pooled: PairedRows | None, *, ranked: PairedRows | None, calibrated: PairedRows | None
) -> ChampionComparison:
    """Compare two models of a task.

    Parameters
    ----------
    pooled : the rows of the AUC over all pairs; None for models that only order a request's candidates.
    ranked : the rows whose order inside requests is compared; None for a request-level task.
    calibrated : the rows with probabilities, for the normalized entropy; None if a model has none.

    Examples
    --------
    >>> new = {"new": [True, True, False, False]}
    >>> rows = PairedRows([1, 0, 1, 0], [4, 3, 2, 1], [4, 3, 1, 2], list("uuvv"), list("rrss"), new)
    >>> found = compare_rows("click", None, ranked=rows, calibrated=None)
    >>> found.auc_by_request_drop.value, found.normalized_entropy_rise
    (0.5, None)
    >>> [(str(one.segment), one.auc_by_request_drop.value) for one in found.segments]
    [('new=false', 1.0), ('new=true', 0.0)]
    """
    losses = {
        _RISE: {} if calibrated is None else _by_segment(calibrated, normalized_entropy_rise),
        _DROP: {} if ranked is None else _by_segment(ranked, auc_by_request_drop),
    }
    if pooled is None:
        return _compare(task, losses)
    return _compare(task, losses, pooled=auc_drop(pooled), lacking={_RISE: UNKNOWN_ESTIMATE})


def compare_amounts(
    task: str, rows: PairedRows, *, base: float, quantile: float | None
) -> ChampionComparison:
    """Compare two models of an amount: of its mean, or of a quantile if one is given.

    Parameters
    ----------
    base : the prediction of a head without features: the mean, or the quantile.

    Examples
    --------
    >>> rows = PairedRows([1.0, 3.0], [1.0, 3.0], [2.0, 3.0], ["u", "v"], ["r", "s"])
    >>> found = compare_amounts("dwell", rows, base=2.0, quantile=None)
    >>> found.relative_squared_error_rise.value, found.auc_drop
    (0.5, None)
    """
    if quantile is None:
        by_mean = partial(relative_squared_error_rise, base=base)
        return _compare(task, {"relative_squared_error_rise": _by_segment(rows, by_mean)})
    by_quantile = partial(relative_pinball_loss_rise, quantile=quantile, base=base)
    return _compare(task, {"relative_pinball_loss_rise": _by_segment(rows, by_quantile)})


def _by_segment(
    rows: PairedRows, loss: Callable[[PairedRows, Grouping], list[Estimate]]
) -> dict[Segment, Estimate]:
    """Return a loss by segment, including all rows."""
    return {
        name: estimate
        for group in group_by_segment(rows.segments, len(np.asarray(rows.outcomes)))
        for name, estimate in zip(group.names, loss(rows, group), strict=True)
    }


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
