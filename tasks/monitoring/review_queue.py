"""Units whose negative events exceed the prediction by more than chance, for people to review.

::

    O events of a unit        Poisson(excess x E), E the sum of its calibrated predictions
    excess                    gamma(a, b), fitted to all units: O is then negative binomial
    excess given O            gamma(a + O, b + E)
    EB05                      its 5 % quantile; a unit is listed where EB05 > 2

A unit is an item, a creator or a source. The highest ratios O / E are mostly units with few predicted events,
and a test that each unit equals its prediction finds units that are a little worse. EB05 shrinks a ratio by
what is usual and asks whether the excess is large. The prior carries at most as many predicted events as the
other units have, so that a few units do not confirm themselves. ``python -m benchmarks.review_queue`` prints
what share of the listed units are truly bad.

DuMouchel (1999), "Bayesian data mining in large frequency tables", with one gamma instead of two.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import digamma, gammaincinv, gammaln

from tasks.arrays import Floats, Indices
from tasks.errors import DataError

EXCESS: Final = 2.0
"""Times the prediction that a listed unit surpasses with a probability of 95 %."""
_LEAST_RATE: Final = 1e-3
_MEANS: Final = (1e-6, 1e6)


@dataclass(frozen=True)
class ReviewQueue:
    """Units by their excess, observed / predicted events.

    Attributes
    ----------
    shape, rate : a and b of the prior; its mean is a / b.
    excess : [units], the mean excess given a unit's events.
    eb05 : [units], what the excess surpasses with a probability of 95 %.
    """

    shape: float
    rate: float
    excess: Floats
    eb05: Floats

    @property
    def listed(self) -> Indices:
        """Indexes of the units to review, the highest EB05 first."""
        worst = np.argsort(-self.eb05, kind="stable")
        return np.asarray(worst[self.eb05[worst] > EXCESS], dtype=np.intp)


def review_units(observed: npt.ArrayLike, expected: npt.ArrayLike) -> ReviewQueue:
    """Fit the prior to all units and find those with an excess.

    Parameters
    ----------
    observed : [units], negative events of matured impressions, whole numbers.
    expected : [units], the sum of the predictions of the same impressions, above 0.

    Examples
    --------
    >>> observed, expected = [9, 10, 11, 8, 12, 10, 60, 3], [10.0] * 7 + [0.5]
    >>> queue = review_units(observed, expected)
    >>> queue.listed.tolist(), queue.eb05[[0, 6, 7]].round(1).tolist()
    ([6], [0.6, 4.5, 1.3])
    """
    o, e = np.asarray(observed, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(o) & (o >= 0) & np.isfinite(e) & (e > 0)))
    if wrong.size:
        first = wrong[0]
        raise DataError(
            f"{wrong.size} units cannot be compared with their prediction; the first is unit {first} with "
            f"{o[first]} events and {e[first]} predicted. Leave out units without predicted events."
        )
    shape, rate = _fit(o, e) if o.size else (np.nan, np.nan)
    return ReviewQueue(shape, rate, (shape + o) / (rate + e), gammaincinv(shape + o, 0.05) / (rate + e))


def _fit(o: Floats, e: Floats) -> tuple[float, float]:
    """Maximise the likelihood of negative binomial counts over the prior's mean and rate."""

    def loss(logs: Floats) -> tuple[float, Floats]:
        mean, b = np.exp(logs)
        a = mean * b
        likelihood = gammaln(a + o) - gammaln(a) + a * np.log(b / (b + e)) + o * np.log(e / (b + e))
        by_a = (digamma(a + o) - digamma(a) + np.log(b / (b + e))).sum()
        by_b = (a * e / (b * (b + e)) - o / (b + e)).sum()
        return -float(likelihood.sum()), -np.array([a * by_a, a * by_a + b * by_b])

    most = max(float(e.sum()) * (1 - 1 / e.size), 2 * _LEAST_RATE)
    level = min(max(float(o.sum() / e.sum()), _MEANS[0]), _MEANS[1])
    least, start = np.log([_MEANS[0], _LEAST_RATE]), np.log([level, min(1.0, most)])
    bounds = [*zip(least, np.log([_MEANS[1], most]), strict=True)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    mean, rate = np.exp(found.x)
    return float(mean * rate), float(rate)
