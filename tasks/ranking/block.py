"""Blocks of requests as rectangular arrays: candidates and rules as the slate kernel reads them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

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
    """At least ``least`` slots for the marked candidates, if enough are available."""

    marked: Rectangle
    least: int


@dataclass(frozen=True)
class Penalty:
    """Utility units subtracted for each slot that already has the same value."""

    values: Values
    strength: float


@dataclass(frozen=True)
class Fading:
    """Share (1 - floor) x factor^k + floor of the utility of a value's k-th item, counted from 0."""

    values: Values
    factor: float
    floor: float

    def shares(self, repeats: Counts) -> npt.NDArray[np.float64]:
        """Return the shares for the given numbers of slots that already have the value.

        Examples
        --------
        >>> Fading(np.array([[7, 7]], dtype=np.int32), 0.5, 0.25).shares(np.array([[0, 1]], dtype=np.int16))
        array([[1.   , 0.625]])
        """
        return np.asarray((1.0 - self.floor) * self.factor ** repeats.astype(np.float64) + self.floor)


@dataclass(frozen=True)
class Draws:
    """The last ``slots`` slots are drawn from the ``marked`` candidates, by their random ``numbers``.

    ``among`` : draw only from this many of the best ranked of them; None for all.
    """

    marked: Rectangle
    numbers: npt.NDArray[np.uint64]
    slots: int
    among: int | None = None


@dataclass(frozen=True)
class Block:
    """Requests of similar size, each array of shape [requests, most candidates], best rank first.

    ``valid`` marks cells with a candidate; ``tier`` is None if no tier is declared.
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
        """Whether anything but the rank decides on the slots."""
        return bool(self.caps) or self._has_more_than_caps

    @property
    def only_cap(self) -> Cap | None:
        """The only rule, if it is a cap."""
        return self.caps[0] if len(self.caps) == 1 and not self._has_more_than_caps else None

    @property
    def swaps(self) -> bool:
        """Whether candidates may be swapped to meet a rule: there are caps, and no tiers."""
        return bool(self.caps) and self.tier is None

    def count_undrawn(self, length: int) -> int:
        """Count the slots that are not drawn."""
        return length if self.draws is None else max(length - self.draws.slots, 0)

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
    return _pick(block, lambda cells: cells[rows])


def arrange(block: Block, order: Column) -> Block:
    """Return the same requests with reordered candidates; ``order`` has shape [requests, candidates].

    Examples
    --------
    >>> block = Block(valid=np.ones((1, 2), dtype=bool), utility=np.array([[1.0, 2.0]]))
    >>> arrange(block, np.array([[1, 0]])).utility
    array([[2., 1.]])
    """
    return _pick(block, lambda cells: np.take_along_axis(cells, order, axis=1))


def _pick(block: Block, pick: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Block:
    spread, fading, draws = block.penalty, block.fading, block.draws
    return Block(
        valid=pick(block.valid),
        utility=pick(block.utility),
        tier=None if block.tier is None else pick(block.tier),
        caps=tuple(Cap(pick(cap.values), cap.limit) for cap in block.caps),
        minimums=tuple(Minimum(pick(one.marked), one.least) for one in block.minimums),
        required=None if block.required is None else pick(block.required),
        penalty=None if spread is None else replace(spread, values=pick(spread.values)),
        fading=None if fading is None else replace(fading, values=pick(fading.values)),
        draws=None
        if draws is None
        else replace(draws, marked=pick(draws.marked), numbers=pick(draws.numbers)),
    )
