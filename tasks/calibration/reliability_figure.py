"""Reliability pictures: what was predicted against what happened, before and after calibration.

::

    reliability_figure   the whole: two diagrams side by side, and below each where the predictions lie
    segments_figure      a small diagram for each segment value, before in grey and after in blue

A point is at a bin's mean prediction and observed mean, the band is the 95 % interval that resamples
users; on the dashed diagonal predictions are calibrated. Rare outcomes get logarithmic axes, since there
a factor matters; a value head is drawn in the value's unit. Pictures are SVG with a ground of their own,
light or dark as whoever looks at them prefers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.calibration.reliability import REPLICATES, Curve, reliability_curve
from tasks.calibration.reliability_diagrams import draw_large, draw_small, format_ratio
from tasks.calibration.reliability_shapes import Frame, ReliabilityFigure
from tasks.evaluation.binary import Floats, check_rows, divide
from tasks.evaluation.calibration_verdicts import SegmentRatio, off_p_value
from tasks.evaluation.metric_rows import group_by_segment
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import Clusters, Resampler, cluster_rows, sum_intervals
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import Estimate

RARE: Final = 0.05
"""Base rate below which axes are logarithmic: the diagonal of rarer outcomes would lie in one corner."""

MOST_SEGMENTS: Final = 12
"""Segment values that are drawn: those that look least like calibrated."""


def reliability_figure(
    raw: npt.ArrayLike | None, observations: Observations, *, title: str
) -> ReliabilityFigure:
    """Draw reliability before and after calibration.

    Parameters
    ----------
    raw : [n] probabilities or expected values before calibration; None draws the calibrated ones only.
    observations : at least one row, with calibrated predictions; outcomes are observed labels or values.
    title : what was calibrated, for instance the task.

    Examples
    --------
    >>> rows = Observations([0, 1], [0.1, 0.3], ["u", "v"], ["r", "r"])
    >>> reliability_figure([0.2, 0.2], rows, title="click").title
    'click: 1 positives in 2 rows'
    """
    y, after, _ = check_rows(observations.outcomes, observations.predictions)
    who = cluster_rows(observations.users, observations.requests)
    named = {"before": None if raw is None else check_rows(y, raw)[1], "after": after}
    curves = {name: reliability_curve(p, y, who) for name, p in named.items() if p is not None}
    positives = f"{np.count_nonzero(y):,} {'positives' if _is_binary(y) else 'values above 0'}"
    frame = Frame.around(list(curves.values()), rare=_is_rare(y), binary=_is_binary(y))
    return draw_large(f"{title}: {positives} in {y.size:,} rows", curves, frame)


def segments_figure(
    raw: npt.ArrayLike, observations: Observations, *, title: str
) -> ReliabilityFigure | None:
    """Draw reliability in segments, those that look least like calibrated first.

    Parameters
    ----------
    raw, observations, title : as in `reliability_figure`.

    Returns
    -------
    None where no segment has a row of each outcome.

    Examples
    --------
    >>> source = {"source": ["ads", "ads", "feed", "feed"]}
    >>> rows = Observations([0, 1, 0, 0], [0.1, 0.3, 0.1, 0.1], ["u", "v", "w", "x"], ["r"] * 4, source)
    >>> segments_figure([0.2] * 4, rows, title="click").title
    'click: 1 of 1 segment values'
    """
    y, after, _ = check_rows(observations.outcomes, observations.predictions)
    before = check_rows(y, raw)[1]
    who = cluster_rows(observations.users, observations.requests)
    drawable = sorted(
        _find_segments(y, after, observations.segments, who),
        key=lambda one: _miscalibration_p_value(one.ratio),
    )
    shown = drawable[:MOST_SEGMENTS]
    if not shown:
        return None
    pairs = {
        (one.name, format_ratio(one.ratio)): {
            name: _segment_curve(p, y, who, one.rows) for name, p in (("before", before), ("after", after))
        }
        for one in shown
    }
    curves = [curve for pair in pairs.values() for curve in pair.values()]
    frame = Frame.around(curves, rare=_is_rare(y), binary=_is_binary(y))
    return draw_small(f"{title}: {len(shown)} of {len(drawable)} segment values", pairs, frame)


@dataclass(frozen=True)
class _Segment:
    """A segment value with its rows [n] and its ratio after calibration."""

    name: str
    rows: npt.NDArray[np.bool_]
    ratio: Estimate


def _find_segments(
    y: Floats, p: Floats, segments: Mapping[str, npt.ArrayLike], who: Clusters
) -> Iterator[_Segment]:
    """Yield the segment values that hold both outcomes."""
    resampler = Resampler(who.count, seed=0, replicates=REPLICATES)
    for column in list(group_by_segment(segments, y.size))[1:]:
        ratios = sum_intervals(
            [y, p], {"it": divide}, who.codes, resampler, groups=column.codes, count=column.count
        )
        supported = Support.of(y, np.ones_like(y), who.codes, column).of_outcomes(ratios["it"])
        for code, (name, ratio) in enumerate(zip(column.names, supported, strict=True)):
            rows = column.codes == code
            if 0 < np.count_nonzero(y[rows]) < np.count_nonzero(rows):
                yield _Segment(name, rows, ratio)


def _is_binary(y: Floats) -> bool:
    return bool(np.isin(y, (0.0, 1.0)).all())


def _is_rare(y: Floats) -> bool:
    return _is_binary(y) and float(y.mean()) < RARE


def _segment_curve(p: Floats, y: Floats, who: Clusters, rows: npt.NDArray[np.bool_]) -> Curve:
    return reliability_curve(p[rows], y[rows], cluster_rows(who.codes[rows]))


def _miscalibration_p_value(ratio: Estimate) -> float:
    """Rank a ratio: the least p-value of "it is 1" first, an unknown one last."""
    return off_p_value(SegmentRatio(ratio), low=1.0, high=1.0) if ratio.known else 2.0
