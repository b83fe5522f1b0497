"""Rows by tenths of a figure."""

import numpy as np

from tasks.evaluation.binary import Codes, Floats

TENTHS = 10
"""Groups of equally many rows: deciles."""


def assign_tenths(figures: Floats) -> Codes:
    """Return each row's tenth, 0 the lowest, shape [n]; equal figures are in one, so there may be fewer.

    Examples
    --------
    >>> assign_tenths(np.arange(5.0)).tolist(), assign_tenths(np.array([0.2, 0.2, 0.7])).tolist()
    ([0, 1, 2, 3, 4], [0, 0, 1])
    """
    if not figures.size:
        return np.zeros(0, dtype=np.intp)
    edges = np.quantile(figures, np.arange(1, TENTHS) / TENTHS, method="higher")
    bins = np.searchsorted(edges, figures, side="right")
    return np.asarray(np.unique(bins, return_inverse=True)[1], dtype=np.intp)
