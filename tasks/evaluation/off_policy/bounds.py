"""A bound on a mean that holds for any law of bounded values, however skewed.

With probability 1 - delta the mean of n independent values in a range of width R exceeds their average by
at most ::

    sqrt(2 V log(2 / delta) / n) + 7 R log(2 / delta) / (3 (n - 1))        V: sample variance

Maurer and Pontil (2009), "Empirical Bernstein Bounds and Sample-Variance Penalization", theorem 4; both ends
of a 95 % interval have delta = .025. It is wide, and does not lean on a normal law as a bootstrap does.
"""

import math
from typing import Final

import numpy as np

from tasks.evaluation.binary import Codes, Floats
from tasks.evaluation.verdicts import Estimate

DELTA: Final = 0.025


def empirical_bernstein(values: Floats, width: float) -> Estimate:
    """Return the mean of independent values with its 95 % interval; NaN bounds with fewer than two.

    Parameters
    ----------
    values : [n] each in one range.
    width : of that range.

    Examples
    --------
    >>> interval = empirical_bernstein(np.array([0.0, 1.0] * 500), 1.0)
    >>> interval.value, round(interval.low, 4), interval.n
    (0.5, 0.4429, 1000)
    """
    n = len(values)
    if n < 2:  # a variance needs two
        return Estimate(float(values.mean()) if n else math.nan, math.nan, math.nan, n)
    mean, variance, log = float(values.mean()), float(values.var(ddof=1)), math.log(2 / DELTA)
    half = math.sqrt(2 * variance * log / n) + 7 * width * log / (3 * (n - 1))
    return Estimate(mean, mean - half, mean + half, n)


def bernstein_by_cluster(terms: Floats, sizes: Floats, clusters: Codes) -> Estimate:
    """Bound the mean of terms of which those of one user move together.

    The independent values are the users' sums, scaled so that their mean is sum of terms / sum of sizes. The
    width is that of the sums that were seen: larger ones can occur, so the bound is one of the data at hand.

    Parameters
    ----------
    terms, sizes : [n] what each row adds above and below the line.
    clusters : [n] codes of the rows' users.

    Examples
    --------
    >>> terms = np.array([0.0, 1.0] * 500)
    >>> bernstein_by_cluster(terms, np.ones(1000), np.arange(1000)) == empirical_bernstein(terms, 1.0)
    True
    """
    sums = np.bincount(clusters, terms)
    values = sums * (len(sums) / sizes.sum())
    return empirical_bernstein(values, float(np.ptp(values)))
