"""The front of several objectives, all maximised: its points, hypervolume and knee.

::

    b |  o               x   dominated: another point is at least as good in all and better in one objective
      |     o  K         K   the knee: nearest to the ideal, each objective scaled to the front's range
      |   x    o         hypervolume: the volume dominated by the front above the reference r
    r +--------------- a
"""

import numpy as np
import numpy.typing as npt

from tasks.arrays import Flags, Floats
from tasks.errors import DataError


def find_front(points: npt.ArrayLike) -> Flags:
    """Return which points are not dominated, shape [n]; equal points are all kept.

    Parameters
    ----------
    points : [n, d], greater is better in each objective.

    Examples
    --------
    >>> find_front([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]]).tolist()
    [True, True, False]
    """
    values = _checked(points)
    at_least = (values[:, None, :] >= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] > values[None, :, :]).any(axis=2)
    return np.asarray(~(at_least & better).any(axis=0))


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the volume between a reference and the points that it is dominated by.

    Each point adds the volume that later points do not cover (While, Bradstreet and Barone 2012); with two
    objectives it is a sum of rectangles.

    Parameters
    ----------
    points : [n, d]; points that do not exceed the reference in every objective add nothing.
    reference : [d].

    Examples
    --------
    >>> hypervolume([[1.0, 3.0], [2.0, 2.0]], [0.0, 0.0])
    5.0
    """
    above = _checked(points) - np.asarray(reference, dtype=np.float64)
    return _volume(above[(above > 0).all(axis=1)])


def find_knee(points: npt.ArrayLike) -> int:
    """Return the index of the front's knee: the point nearest to the ideal, the first in case of a tie.

    Objectives are scaled to their range among the points; constant objectives are left out.

    Examples
    --------
    >>> find_knee([[0.0, 1.0], [0.8, 0.8], [1.0, 0.0]])
    1
    """
    values = _checked(points)
    if not len(values):
        raise DataError("An empty front has no knee")
    low, high = values.min(axis=0), values.max(axis=0)
    moved = high > low
    scaled = (high - values)[:, moved] / (high - low)[moved]
    return int(np.argmin((scaled**2).sum(axis=1)))


def _volume(points: Floats) -> float:
    """Return the volume dominated by positive points."""
    if not len(points):
        return 0.0
    front = np.unique(points[find_front(points)], axis=0)[::-1]
    if front.shape[1] == 1:
        return float(front.max())
    if front.shape[1] == 2:
        return float((front[:, 0] * np.diff(front[:, 1], prepend=0.0)).sum())
    return sum(
        float(point.prod()) - _volume(np.minimum(front[i + 1 :], point)) for i, point in enumerate(front)
    )


def _checked(points: npt.ArrayLike) -> Floats:
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError("A front needs points of finite objectives, of shape [n, d]")
    return values
