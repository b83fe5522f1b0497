"""Concentration of exposure over the values of a column; each slot counts by its examination.

================ ==========================================================================
entropy          of the values' shares, in nats: 0 for one value, log(m) for m equal ones
gini             of the shares: 0 for equal ones, towards 1 for one that has all
================ ==========================================================================
"""

import numpy as np

from tasks.evaluation.binary import Floats, divide


def entropy(exposures: Floats) -> Floats:
    """Entropy in nats of exposures [..., values], which need not add up to 1; NaN where they are all 0.

    Examples
    --------
    >>> round(float(entropy(np.array([3.0, 3.0]))), 6)
    0.693147
    """
    shares = divide(exposures, exposures.sum(axis=-1, keepdims=True))
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=-1) + 0.0)


def gini(exposures: Floats) -> Floats:
    """Gini index of exposures [..., values]: mean difference over twice the mean; NaN where all are 0.

    Examples
    --------
    >>> gini(np.array([[1.0, 1.0], [2.0, 0.0]]))
    array([0. , 0.5])
    """
    m = exposures.shape[-1]
    places = 2 * np.arange(1, m + 1) - m - 1
    return divide((places * np.sort(exposures, axis=-1)).sum(axis=-1), m * exposures.sum(axis=-1))
