"""Requests as rectangles: what the slate kernel reads of candidates and rules."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Rectangle = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int16]
Values = npt.NDArray[np.int32]
Column = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cap:
    """At most ``limit`` slots for one value; -1 where a candidate is not counted."""

    values: Values
    limit: int


@dataclass(frozen=True)
class Minimum:
    """At least ``least`` slots for the marked candidates, if there are as many."""

    marked: Rectangle
    least: int


@dataclass(frozen=True)
class Penalty:
    """Utility units subtracted for each slot that a value already holds."""

    values: Values
    strength: float


@dataclass(frozen=True)
class Fading:
    """The share (1 - floor) x factor^k + floor of its utility that a value's k-th item keeps, from 0."""

    values: Values
    factor: float
    floor: float

    def shares(self, repeats: Counts) -> npt.NDArray[np.float64]:
        """Return what is kept where so many slots hold the value already.

        Examples
        --------
        >>> Fading(np.array([[7, 7]], dtype=np.int32), 0.5, 0.25).shares(np.array([[0, 1]], dtype=np.int16))
        array([[1.   , 0.625]])
        """
        return np.asarray((1.0 - self.floor) * self.factor ** repeats.astype(np.float64) + self.floor)


@dataclass(frozen=True)
class Draws:
    """The last ``slots`` slots are drawn from the ``marked`` candidates, by their random ``numbers``.

    ``among`` : only from so many of the best ranked of them; None is all.
    """

    marked: Rectangle
    numbers: npt.NDArray[np.uint64]
    slots: int
    among: int | None = None


@dataclass(frozen=True)
class Block:
    """Requests of similar size, each array of shape [requests, most candidates], best rank first.

    ``valid`` marks where there is a candidate; ``tier`` is None where no tier is declared.
    """

    valid: Rectangle
    utility: npt.NDArray[np.float64]
    tier: npt.NDArray[np.int32] | None = None
    caps: tuple[Cap, ...] = ()
    minimums: tuple[Minimum, ...] = ()
    required: Rectangle | None = None
    penalty: Penalty | None = None
    fading: Fading | None = None
    draws: Draws | None = None

    @property
    def has_rules(self) -> bool:
        """Whether anything but the rank decides on who gets a slot."""
        return bool(self.caps) or self._has_more_than_caps

    @property
    def only_cap(self) -> Cap | None:
        """The one rule there is, where that is a cap."""
        return self.caps[0] if len(self.caps) == 1 and not self._has_more_than_caps else None

    @property
    def _has_more_than_caps(self) -> bool:
        single = (self.required, self.penalty, self.fading, self.draws)
        return bool(self.minimums) or any(rule is not None for rule in single)


def take_requests(block: Block, rows: Column) -> Block:
    """Return some requests of a block.

    Examples
    --------
    >>> block = Block(valid=np.ones((2, 1), dtype=bool), utility=np.array([[1.0], [2.0]]))
    >>> take_requests(block, np.array([1])).utility
    array([[2.]])
    """
    spread, fading, draws = block.penalty, block.fading, block.draws
    return Block(
        valid=block.valid[rows],
        utility=block.utility[rows],
        tier=None if block.tier is None else block.tier[rows],
        caps=tuple(Cap(cap.values[rows], cap.limit) for cap in block.caps),
        minimums=tuple(Minimum(one.marked[rows], one.least) for one in block.minimums),
        required=None if block.required is None else block.required[rows],
        penalty=None if spread is None else replace(spread, values=spread.values[rows]),
        fading=None if fading is None else replace(fading, values=fading.values[rows]),
        draws=None
        if draws is None
        else replace(draws, marked=draws.marked[rows], numbers=draws.numbers[rows]),
    )
