"""Examination by position: the position-based model of a log.

::

    P(outcome | item at position k)  =  examination(k)  x  P(outcome | examined)

Outcomes determine a curve up to a factor, so only ratios are used: `Examination.relative` is the factor from
the probability at the reference position to another position. Beyond the curve its last value applies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .candidates import Floats

FILE: Final = "examination.json"
"""The curve's file in its registered component and in a release."""

MOST: Final = 1 - 1e-9
"""Greatest probability at a position that is examined more often than the reference."""


@dataclass(frozen=True)
class Examination:
    """A curve by position and the reference position of probabilities.

    Attributes
    ----------
    by_position : probability of examination up to a factor, above 0; the first is position 1.
    reference : the reference position, from 1.
    """

    by_position: tuple[float, ...]
    reference: int = 1

    def at(self, positions: npt.ArrayLike) -> Floats:
        """Return the curve at positions, shape [rows]; NaN for a missing position."""
        place = np.asarray(positions, dtype=np.float64)
        index = np.clip(np.nan_to_num(place, nan=1.0).astype(np.int64) - 1, 0, len(self.by_position) - 1)
        return np.where(np.isnan(place), np.nan, np.asarray(self.by_position)[index])

    def relative(self, positions: npt.ArrayLike) -> Floats:
        """Return the curve at positions relative to the reference, shape [rows]; NaN without a position.

        Examples
        --------
        >>> Examination((1.0, 0.5, 0.25), reference=2).relative([1, 2, 3, 9, np.nan])
        array([2. , 1. , 0.5, 0.5, nan])
        """
        return self.at(positions) / self.at([self.reference])

    def to_json(self) -> dict[str, object]:
        """Return plain JSON."""
        return {"by_position": list(self.by_position), "reference": self.reference}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Examination":
        """Read the output of ``to_json``; other keys are ignored."""
        return cls(tuple(content["by_position"]), int(content["reference"]))
