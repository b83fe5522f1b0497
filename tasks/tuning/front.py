"""Fronts of several objectives, each to be raised: who is dominated, the volume that is held, the knee.

::

    b |  o               x   not on the front: another is at least as good in all and better in one
      |     o  K         K   the knee: nearest to the ideal, each objective scaled to the front's own range
      |   x    o         hypervolume: what the front dominates above the reference r
    r +--------------- a
"""

import numpy as np
import numpy.typing as npt

from tasks.arrays import Flags, Floats
from tasks.errors import DataError


def find_front(points: npt.ArrayLike) -> Flags:
    """Return which points no other dominates, shape [n]; of equal points all stay.

    Parameters
    ----------
    points : [n, d], each objective the greater the better.

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
    """Return the volume between a reference and what the points dominate.

    Each point adds what those after it do not hold already (While, Bradstreet and Barone 2012); a front of
    two objectives is a sum of rectangles.

    Parameters
    ----------
    points : [n, d]; what does not exceed the reference in every objective adds nothing.
    reference : [d].

    Examples
    --------
    >>> hypervolume([[1.0, 3.0], [2.0, 2.0]], [0.0, 0.0])
    5.0
    """
    above = _checked(points) - np.asarray(reference, dtype=np.float64)
    return _volume(above[(above > 0).all(axis=1)])


def find_knee(points: npt.ArrayLike) -> int:
    """Return the index of the front's knee: the least distance to the ideal, the earliest of equal ones.

    Objectives are scaled to the range that they have among the points; one that is the same for all is left
    out.

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
    """Return the volume that points above 0 dominate."""
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
