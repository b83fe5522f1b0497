"""Draws of users that all metrics of one replay share: two policies are compared on the same samples."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tasks.evaluation.resampling import draws

Floats = npt.NDArray[np.float64]
REPLICATES = 500
_WIDTH = 50


@dataclass(frozen=True)
class UserDraws:
    """How often each replicate draws each user, shape (users, replicates)."""

    times: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, users: int, *, seed: int = 0, replicates: int = REPLICATES) -> Self:
        """Draw that many users with replacement, again and again."""
        blocks = draws(users, seed=seed, replicates=replicates, width=_WIDTH) if users else ()
        return cls(
            np.concatenate([b.astype(np.uint8) for b in blocks], axis=1)
            if users
            else np.zeros((0, 0), np.uint8)
        )

    def sums(self, by_user: Floats) -> Floats:
        """Return the total of each replicate: (users,) to (replicates,), (users, k) to (replicates, k)."""
        starts = range(0, self.times.shape[1], _WIDTH)
        return np.concatenate([self.times[:, s : s + _WIDTH].T.astype(np.float64) @ by_user for s in starts])

    def ratios(self, numerator: Floats, denominator: Floats) -> Floats:
        """Return each replicate's ratio of sums; NaN where its denominator is zero."""
        above, below = self.sums(np.column_stack([numerator, denominator])).T
        return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
