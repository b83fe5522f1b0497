"""Who is seen: exposure of a column's values in the slots, each slot counted by its examination.

================ ==========================================================================
share            a value's examination over that of all slots
entropy          of the shares, in nats: 0 for one value, log(m) for m equal ones
gini             of the shares: 0 for equal ones, towards 1 for one that has all
coverage         distinct items shown over distinct items that could have been
================ ==========================================================================
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.errors import DataError
from tasks.evaluation.binary import Floats, quotient


@dataclass(frozen=True)
class Exposure:
    """Values [m] in order of first appearance and their shares [m] of all examination, which add up to 1."""

    values: npt.NDArray[np.object_]
    shares: Floats

    @property
    def entropy(self) -> float:
        """Entropy of the shares in nats; NaN without a slot."""
        return float(entropy(self.shares))

    @property
    def gini(self) -> float:
        """Gini index of the shares; NaN without a slot."""
        return float(gini(self.shares))


def entropy(exposures: Floats) -> Floats:
    """Entropy in nats of exposures [..., values], which need not add up to 1; NaN where they are all 0.

    Examples
    --------
    >>> round(float(entropy(np.array([3.0, 3.0]))), 6)
    0.693147
    """
    shares = quotient(exposures, exposures.sum(axis=-1, keepdims=True))
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
    return quotient((places * np.sort(exposures, axis=-1)).sum(axis=-1), m * exposures.sum(axis=-1))


def exposure(
    values: npt.ArrayLike, examination: npt.ArrayLike, *, available: npt.ArrayLike | None = None
) -> Exposure:
    """Sum examination by value.

    Parameters
    ----------
    values : [slots] the column's value of the item in each slot; missing values are one value.
    examination : [slots] probability that the slot is looked at, 0 to 1.
    available : values that could have been shown; those that were not count as shares of 0.

    Raises
    ------
    DataError
        An examination is negative or not finite.

    Examples
    --------
    >>> exposure(["ads", "feed"], [1.0, 0.25], available=["feed", "ads", "live"]).shares
    array([0.8, 0.2, 0. ])
    """
    seen = _examined(examination)
    shown = np.asarray(values, dtype=object)
    offered = np.empty(0, dtype=object) if available is None else np.asarray(available, dtype=object)
    codes, known = pd.factorize(np.concatenate([shown, offered]), use_na_sentinel=False)
    total = np.bincount(codes[: shown.size], seen, minlength=len(known))
    return Exposure(np.asarray(known, dtype=object), quotient(total, seen.sum()))


def share_terms(values: npt.ArrayLike, examination: npt.ArrayLike, value: object) -> tuple[Floats, Floats]:
    """Return numerators and denominators [slots] whose sums divide to the value's share."""
    seen = _examined(examination)
    return np.where(np.asarray(values, dtype=object) == value, seen, 0.0), seen


def share(values: npt.ArrayLike, examination: npt.ArrayLike, value: object) -> float:
    """Share of all examination that goes to one value.

    Examples
    --------
    >>> share(["ads", "feed", "feed"], [1.0, 0.5, 0.5], "feed")
    0.5
    """
    above, below = share_terms(values, examination, value)
    return float(quotient(above.sum(), below.sum()))


def coverage(shown: npt.ArrayLike, available: npt.ArrayLike) -> float:
    """Distinct items shown over distinct items available.

    Examples
    --------
    >>> coverage(["a", "b", "a"], ["a", "b", "c", "d"])
    0.5
    """
    return float(quotient(len(pd.unique(np.asarray(shown))), len(pd.unique(np.asarray(available)))))


def _examined(examination: npt.ArrayLike) -> Floats:
    seen = np.asarray(examination, dtype=np.float64)
    if (odd := int(np.count_nonzero(~np.isfinite(seen) | (seen < 0)))) > 0:
        raise DataError(f"{odd} of {seen.size} examinations are negative or not finite.")
    return seen
