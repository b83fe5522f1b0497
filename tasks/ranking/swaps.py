"""Swaps candidates of a slate for others, to meet rules at the smallest loss of utility.

A slate filled by utility under caps alone may fall short of a minimum or requirement. Each step makes one
swap in every request: among swaps that meet the caps and worsen no rule, the one that helps most rules, then
the one with the greatest gain (smallest loss) of utility, then the better ranked candidate for the worse
ranked one. It ends when no swap helps a rule or gains utility, or after ``STEPS``. Only the ``POOL`` best
ranked candidates off the slate are considered, those that help a rule first.

Utility is counted after decay, in which the better ranked item of a value comes first, and minus the penalty
of each pair with the same value of diversity.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .block import Block, Column, Fading, Rectangle, Values

POOL = 16
"""Number of candidates off the slate that a step considers."""
STEPS = 8
"""Maximum number of swaps per request."""
_CELLS = 1 << 17
"""Maximum number of pairs of candidates processed at once."""
_LEAST_GAIN = 1e-12

Numbers = npt.NDArray[np.float64]
Table = npt.NDArray[np.bool_]
_Cell = TypeVar("_Cell", bound=np.generic)


def swap_candidates(block: Block, chosen: Rectangle, length: int) -> Rectangle:
    """Return the candidates of each slate after swaps, shape [requests, most candidates].

    Parameters
    ----------
    chosen : candidates on the slates, which meet the caps.
    length : number of slots.

    Examples
    --------
    The second candidate is required, and replaces the first: a cap allows only one of their creator.

    >>> from tasks.ranking.block import Cap, Minimum
    >>> block = Block(
    ...     valid=np.ones((1, 3), dtype=bool),
    ...     utility=np.array([[3.0, 2.0, 1.0]]),
    ...     caps=(Cap(np.array([[7, 7, 8]], dtype=np.int32), limit=1),),
    ...     minimums=(Minimum(np.array([[False, True, False]]), least=1),),
    ... )
    >>> swap_candidates(block, np.array([[True, False, True]]), length=2).tolist()
    [[False, True, True]]
    """
    chosen, worst = chosen.copy(), _worst(block, length)
    many = max(1, _CELLS // max(length * max(length, POOL), 1))
    for first in range(0, len(chosen) if length else 0, many):
        rows = np.arange(first, min(first + many, len(chosen)))
        for _ in range(STEPS):
            rows = _swap(block, chosen, rows, length, worst)
            if not len(rows):
                break
    return chosen


@dataclass(frozen=True)
class _Picked:
    """Some candidates of requests, best first: flat indices and validity, shape [requests, picked]."""

    at: Column
    there: Table

    @classmethod
    def of(cls, marked: Rectangle, rows: Column, count: int) -> "_Picked":
        """Return the first marked candidates."""
        return cls.sorted(~marked, rows, count, last=True)

    @classmethod
    def sorted(
        cls, keys: npt.NDArray[np.generic], rows: Column, count: int, *, last: int | bool
    ) -> "_Picked":
        """Return the candidates with the smallest keys in order of rank; ``last`` is the excluded key."""
        order = np.argsort(keys, axis=1, kind="stable")[:, :count]
        there = np.take_along_axis(keys, order, axis=1) != last
        lacking = count - order.shape[1]
        if lacking:
            order, there = (np.pad(one, ((0, 0), (0, lacking))) for one in (order, there))
        return cls(order + rows[:, None] * keys.shape[1], there)

    def take(self, cells: npt.NDArray[_Cell]) -> npt.NDArray[_Cell]:
        """Return the values of the picked cells."""
        picked: npt.NDArray[_Cell] = np.take(cells, self.at)
        return picked


def _same(left: _Picked, right: _Picked, values: Values) -> Table:
    """Mark the pairs with the same value, shape [requests, left, right]; uncounted values match none."""
    mine, others = left.take(values), right.take(values)
    mine = np.where(left.there, mine, -1)
    others = np.where(right.there & (others >= 0), others, -2)
    same: Table = mine[:, :, None] == others[:, None, :]
    return same


def _swap(block: Block, chosen: Rectangle, rows: Column, length: int, worst: Numbers) -> Column:
    """Make the best swap in each of some requests; return the requests with a swap."""
    held = chosen[rows]
    got = [(one.marked[rows] & held).sum(axis=1) for one in block.minimums]
    key = np.where(block.valid[rows] & ~held, np.uint8(1), np.uint8(2))
    for one, count in zip(block.minimums, got, strict=True):
        key[one.marked[rows] & (count < one.least)[:, None] & (key == 1)] = 0
    if block.required is not None:
        key[block.required[rows] & (key == 1)] = 0
    inside = _Picked.of(held, rows, length)
    outside = _Picked.sorted(key, rows, POOL, last=2)
    gain = _gains(block, inside, outside)
    met = _count_met(block, inside, outside, got)
    gain += worst[rows, None, None] * met
    gain[~_allowed(block, inside, outside) | (met < 0)] = -np.inf
    flat = gain[:, :, ::-1].reshape(len(rows), -1)  # on a tie the worst ranked candidate leaves
    best = flat.argmax(axis=1)
    taken = np.flatnonzero(flat[np.arange(len(rows)), best] > _LEAST_GAIN)
    best = best[taken]
    cells = chosen.reshape(-1)
    cells[inside.at[taken, length - 1 - best % length]] = False
    cells[outside.at[taken, best // length]] = True
    return rows[taken]


def _worst(block: Block, length: int) -> Numbers:
    """Return, by request, more than any swap can gain: the value of a slot that a rule lacks."""
    most = 4 * np.abs(np.where(block.valid, block.utility, 0.0)).max(axis=1) + 1.0
    return most if block.penalty is None else most + 2 * block.penalty.strength * length


def _allowed(block: Block, inside: _Picked, outside: _Picked) -> Table:
    """Mark the swaps that meet every cap, shape [requests, outside, inside]."""
    allowed = outside.there[:, :, None] & inside.there[:, None, :]
    for cap in block.caps:
        same = _same(outside, inside, cap.values)
        room = (same.sum(axis=2, dtype=np.int16) < cap.limit) | (outside.take(cap.values) < 0)
        allowed &= same | room[:, :, None]
    return allowed


def _count_met(block: Block, inside: _Picked, outside: _Picked, got: list[Column]) -> npt.NDArray[np.int8]:
    """Count the rules for which a swap adds a slot; -1 if it removes a needed slot of any rule."""
    met = np.zeros((*outside.at.shape, inside.at.shape[1]), dtype=np.int8)
    worse = np.zeros(met.shape, dtype=np.bool_)
    every = [
        (one.marked, count < one.least, count <= one.least)
        for one, count in zip(block.minimums, got, strict=True)
    ]
    if block.required is not None:
        every.append((block.required, *np.ones((2, len(met)), dtype=np.bool_)))
    for marked, short, tight in every:
        leaves, comes = inside.take(marked)[:, None, :], outside.take(marked)[:, :, None]
        met += comes & ~leaves & short[:, None, None]
        worse |= leaves & ~comes & tight[:, None, None]
    met[worse] = -1
    return met


def _gains(block: Block, inside: _Picked, outside: _Picked) -> Numbers:
    """Return the gain of each swap, shape [requests, outside, inside].

    For two candidates with the same value of decay only their own parts are counted.
    """
    comes, leaves = (one.take(block.utility) for one in (outside, inside))
    if block.fading is None:
        gain = comes[:, :, None] - leaves[:, None, :]
    else:
        gain = _faded_gains(block.fading, inside, outside, comes, leaves)
    if block.penalty is not None:
        joins = _same(outside, inside, block.penalty.values)
        others = _same(inside, inside, block.penalty.values).sum(axis=2) - inside.there
        more = others[:, None, :] - joins.sum(axis=2)[:, :, None] + joins
        gain += block.penalty.strength * more
    return gain


def _faded_gains(
    fading: Fading, inside: _Picked, outside: _Picked, comes: Numbers, leaves: Numbers
) -> Numbers:
    """Return gains after decay: a leaving item raises later items of its value, a new item lowers them."""
    length = inside.at.shape[1]
    kept = fading.shares(np.arange(length + 1, dtype=np.int16))
    behind = np.tri(length, k=-1, dtype=np.bool_).T
    own, joins = _same(inside, inside, fading.values), _same(outside, inside, fading.values)
    place = (own & ~behind).sum(axis=2) - inside.there
    lifted = leaves * (kept[np.maximum(place - 1, 0)] - kept[place])
    sunk = leaves * (kept[place] - kept[place + 1])
    stays = leaves * kept[place]
    above = inside.at[:, None, :] < outside.at[:, :, None]
    enters = (joins & above).sum(axis=2)
    loss = stays - np.where(own & behind, lifted[:, None, :], 0.0).sum(axis=2)
    gain = comes * kept[enters] - np.where(joins & ~above, sunk[:, None, :], 0.0).sum(axis=2)
    alike = comes[:, :, None] * kept[np.maximum(enters[:, :, None] - above, 0)] - stays[:, None, :]
    return np.where(joins, alike, gain[:, :, None] - loss[:, None, :])
