"""How much better the best of many policies looks than it is, where all were measured on the same rows.

::

    E[best of n] = integral of z n phi(z) Phi(z)^(n - 1) dz     standard errors above what all are worth
                   .56 of 2, 1.54 of 10, 2.75 of 200

That holds for n equal policies that are measured independently. Those that resemble each other look less
apart, so what is taken off is the most that chance alone explains.
"""

from typing import Final

import numpy as np
from scipy.stats import norm

from tasks.evaluation.verdicts import Estimate

_GRID: Final = np.linspace(-10.0, 10.0, 8001)


def expected_best(policies: int) -> float:
    """Return the expected maximum of independent standard normal draws.

    Parameters
    ----------
    policies : how many draws, at least 1.

    Examples
    --------
    >>> [round(expected_best(n), 2) for n in (1, 2, 10, 200)]
    [0.0, 0.56, 1.54, 2.75]
    """
    if policies < 1:
        raise ValueError(f"{policies} policies: at least one was measured")
    density = policies * np.exp(norm.logpdf(_GRID) + (policies - 1) * norm.logcdf(_GRID))
    return 0.0 if policies == 1 else float(np.trapezoid(_GRID * density, _GRID))


def without_selection(change: Estimate, policies: int) -> float:
    """Return an estimate less what the best of as many equal policies would seem to gain; NaN where unknown.

    Parameters
    ----------
    change : a gain with its 95 % interval.
    policies : as in `expected_best`.

    Examples
    --------
    >>> round(without_selection(Estimate(0.05, 0.05 - 0.0196, 0.05 + 0.0196, 900), 10), 3)
    0.035
    """
    return change.value - expected_best(policies) * change.standard_error
