"""Random requests to fill a slate from, and what a slate of one is worth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.ranking.rules import Block, Cap, Fading, Minimum, Penalty
from tasks.ranking.slate import fill_slates

Floats = npt.NDArray[np.float64]
Places = list[int]


@dataclass(frozen=True)
class Instance:
    """One request with its rules; ``block`` holds it alone."""

    block: Block
    length: int

    def fill(self) -> Places:
        """Return the places of the kernel's slate in order of slots."""
        slots = fill_slates(self.block, self.length).slots[0]
        chosen = np.flatnonzero(slots)
        return [int(at) for at in chosen[np.argsort(slots[chosen])]]

    def meets_all(self, slate: Places) -> bool:
        """Whether a slate is full and meets caps, minimums and requirements."""
        return not self.shortfall(slate) and self.keeps_caps(slate)

    def keeps_caps(self, slate: Places) -> bool:
        """Whether no value holds more slots than its cap."""
        for cap in self.block.caps:
            values = cap.values[0, slate]
            if np.bincount(values[values >= 0], minlength=1).max() > cap.limit:
                return False
        return True

    def shortfall(self, slate: Places) -> int:
        """Return how many slots and required candidates a slate lacks, for each rule."""
        lacking = self.length - len(slate)
        for minimum in self.block.minimums:
            lacking += max(minimum.least - int(minimum.marked[0, slate].sum()), 0)
        if self.block.required is not None:
            lacking += int(self.block.required.sum() - self.block.required[0, slate].sum())
        return lacking

    def worth(self, slate: Places) -> float:
        """Return the sum of utilities after decay and diversity, whatever the order of the slots."""
        best_first = sorted(slate)
        total = float(self.block.utility[0, slate].sum())
        if self.block.fading is not None:
            before = [self._before(self.block.fading.values, best_first, k) for k in range(len(slate))]
            shares = [self.share(k) for k in before]
            total = float(np.dot(self.block.utility[0, best_first], shares))
        if self.block.penalty is not None:
            counts = np.bincount(self.block.penalty.values[0, slate])
            total -= self.block.penalty.strength * float((counts * (counts - 1) / 2).sum())
        return total

    def share(self, repeats: int) -> float:
        """Return what decay leaves of an item behind so many of its value."""
        fading = self.block.fading
        return 1.0 if fading is None else float(fading.shares(np.array([repeats], dtype=np.int16))[0])

    def _before(self, values: npt.NDArray[np.int32], slate: Places, place: int) -> int:
        return int(np.count_nonzero(values[0, slate[:place]] == values[0, slate[place]]))


def draw_instance(seed: int, *, contended: bool) -> Instance:
    """Draw 20 to 100 candidates for 10 or 20 slots under two caps, a sponsored limit, diversity and decay.

    As a rule one minimum asks for one or two of many candidates. Where rules contend, up to three ask for up
    to three of few candidates, caps leave hardly more places than slots, and some candidates are required.
    """
    random = np.random.default_rng(seed)
    length = int(random.choice([10, 20]))
    size = int(random.integers(2 * length, 5 * length + 1))
    shape = (1, size)
    creators, categories = length // 2 + 2 if contended else size // 3, 6
    creator = random.integers(0, creators, shape).astype(np.int32)
    category = random.integers(0, categories, shape).astype(np.int32)
    sponsored = np.where(random.random(shape) < (0.4 if contended else 0.15), 0, -1).astype(np.int32)
    wanted = random.integers(1, 4, random.integers(0, 4)) if contended else random.integers(1, 3, 1)
    rare = 0.08 if contended else 0.2
    return Instance(
        Block(
            valid=np.ones(shape, dtype=np.bool_),
            utility=-np.sort(-random.lognormal(-2.0, 0.6, shape), axis=1),
            caps=(
                Cap(category, -(-length // categories) + (1 if contended else 2)),
                Cap(creator, 2),
                Cap(sponsored, 2),
            ),
            minimums=tuple(Minimum(random.random(shape) < rare, int(least)) for least in wanted),
            required=random.random(shape) < 1.5 / size if contended and seed % 5 == 0 else None,
            penalty=Penalty(category, float(random.choice([0.005, 0.02]))) if seed % 4 < 2 else None,
            fading=Fading(creator, 0.5, 0.25) if seed % 3 == 0 else None,
        ),
        length,
    )
