"""Searches for slates that meet more rules, where greedy slates fall short: by swaps, then by prices.

**Prices.** Caps and minimums have prices in utility units: the price of a value that the best candidates
would overfill rises, as does the bonus of a minimum that they would miss, and both fall where there is slack.
Each round ranks candidates by utility minus prices plus bonuses and fills the slates again; the prices are
then updated from the best ``length`` candidates of that rank (subgradients of the Lagrangian dual; Fisher,
*The Lagrangian relaxation method*, 1981, section 3). Steps grow from round to round: small steps first find
slates near the greedy one, large steps leave local optima. Prices do not depend on the slates, so those of
several rounds are filled at once. Each tier lies a whole range of utilities below
the previous one, so that a worse tier is used only where rules require it. A slate replaces the greedy one
only if it falls short of no rule by more and of at least one by less.

**Swaps** meet rules at the smallest loss of utility. A slate filled by utility under caps alone may fall
short of a minimum or requirement. Each step makes one swap in every request: among swaps that meet the caps
and worsen no rule, the one that helps most rules, then the one with the greatest gain (smallest loss) of
utility, then the better ranked candidate for the worse ranked one. It ends when no swap helps a rule or gains
utility, or after ``STEPS``. Only the ``POOL`` best ranked candidates off the slate are considered, those that
help a rule first.

Utility is counted after decay, in which the better ranked item of a value comes first, and minus the penalty
of each pair with the same value of diversity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .rules import Block, Cap, Column, Fading, Rectangle, Values, arrange, take_requests

ROUNDS = 16
"""Maximum number of rounds, run only for requests that fall short of an attainable rule."""
_STEP = 1 / 12
"""Size of the first step, as a share of the range of the request's utilities."""
_FIRST_ROUNDS = 2
"""Number of rounds before the first look at the slates; most requests that can be met are met by then."""
_SEARCHED = 1 << 19
"""Maximum number of candidates in the rounds of a look, unless one round has more."""

Prices = npt.NDArray[np.float64]


def find_better(
    block: Block, placed: Rectangle, *, length: int, choose: Callable[[Block], Rectangle]
) -> tuple[Column, Rectangle]:
    """Search for candidates that meet more rules.

    Returns
    -------
    The requests with a better slate, and its candidates, shape [requests, most candidates].

    Parameters
    ----------
    placed : candidates on the greedy slates.
    length : number of slots.
    choose : fills the slates of a block whose candidates are sorted best first; returns those placed. A
        block has the requests once for each round.

    Examples
    --------
    Two candidates of one kind are required, and the best candidate is of another kind.

    >>> from tasks.ranking.rules import Minimum
    >>> block = Block(
    ...     valid=np.ones((1, 3), dtype=bool),
    ...     utility=np.array([[3.0, 2.0, 1.0]]),
    ...     minimums=(Minimum(np.array([[False, True, True]]), least=2),),
    ... )
    >>> def two_best(block):
    ...     return np.tile([True, True, False], (len(block.valid), 1))
    >>> rows, chosen = find_better(block, np.array([[True, True, False]]), length=2, choose=two_best)
    >>> rows.tolist(), chosen.tolist()
    ([0], [[False, True, True]])
    """
    rows = np.flatnonzero(count_shortfalls(block, placed, length).any(axis=0))
    if len(rows):
        rows = rows[_attainable(take_requests(block, rows), placed[rows], length)]
    if not len(rows):
        return rows, placed[rows]
    plain = replace(take_requests(block, rows), penalty=None, fading=None, draws=None)
    search, chosen = _Search(plain, placed[rows], length), placed[rows].copy()
    before, short = search.lacking.sum(axis=0), np.arange(len(rows))
    lacking, done, rounds = before.copy(), 0, _FIRST_ROUNDS
    while done < ROUNDS and len(short):
        rounds = min(rounds, ROUNDS - done, max(1, _SEARCHED // search.chosen.size))
        search.look(choose, [_STEP * (1 + step) for step in range(done, done + rounds)])
        chosen[short], lacking[short] = search.chosen, search.lacking.sum(axis=0)
        kept = np.flatnonzero(lacking[short])
        short = short[kept]
        search.keep(kept)
        done, rounds = done + rounds, ROUNDS
    found = np.flatnonzero(lacking < before)
    return rows[found], chosen[found]


def count_shortfalls(block: Block, placed: Rectangle, length: int) -> Column:
    """Count missing slots of requirements, minimums and length, shape [rules, requests].

    Examples
    --------
    >>> block = Block(valid=np.ones((1, 3), dtype=bool), utility=np.zeros((1, 3)))
    >>> count_shortfalls(block, np.array([[True, False, False]]), length=3).tolist()
    [[2]]
    """
    short = [np.maximum(length - placed.sum(axis=1), 0)]
    short += [np.maximum(one.least - (one.marked & placed).sum(axis=1), 0) for one in block.minimums]
    if block.required is not None:
        short.append((block.required & ~placed).sum(axis=1))
    return np.stack(short)


def _attainable(block: Block, placed: Rectangle, length: int) -> Column:
    """Return the requests in which caps, one by one, allow more slots for an unmet rule."""
    marks = [(block.valid, length), *((one.marked, one.least) for one in block.minimums)]
    marks += [] if block.required is None else [(block.required, length)]
    gain = np.zeros(len(placed), dtype=np.bool_)
    for marked, wanted in marks:
        most = np.minimum(marked.sum(axis=1), wanted)
        for cap in block.caps:
            most = np.minimum(most, _room(cap, marked))
        gain |= most > (marked & placed).sum(axis=1)
    return np.flatnonzero(gain)


def _room(cap: Cap, marked: Rectangle) -> Column:
    """Count the marked candidates that a cap alone allows, shape [requests]."""
    uncounted = np.iinfo(np.int32).max
    counted = marked & (cap.values >= 0)
    values = np.sort(np.where(counted, cap.values, uncounted), axis=1)
    first = np.full(values.shape, cap.limit > 0)
    behind = max(values.shape[1] - cap.limit, 0)  # a cap may exceed the number of candidates
    first[:, cap.limit :] = values[:, cap.limit :] != values[:, :behind]
    return (marked & ~counted).sum(axis=1) + ((values != uncounted) & first & (cap.limit > 0)).sum(axis=1)


@dataclass
class _Search:
    """Prices and the best slates so far, each of shape [requests, most candidates]."""

    block: Block
    chosen: Rectangle
    length: int
    prices: list[Prices] = field(init=False)
    bonuses: list[Prices] = field(init=False)
    lacking: Column = field(init=False)
    worth: Prices = field(init=False)
    span: Prices = field(init=False)

    def __post_init__(self) -> None:
        valid = self.block.valid
        self.worth = _worth(self.block)
        self.prices = [np.zeros(valid.shape) for _ in self.block.caps]
        self.bonuses = [np.zeros((len(valid), 1)) for _ in self.block.minimums]
        self.lacking = count_shortfalls(self.block, self.chosen, self.length)
        self.span = _span(self.worth, valid)

    def look(self, choose: Callable[[Block], Rectangle], steps: Sequence[float]) -> None:
        """Update the prices in rounds, fill the slates by those of each round, and keep better slates."""
        orders, prices = [], []
        for step in steps:
            prices.append(self._priced())
            orders.append(np.argsort(-prices[-1], axis=1, kind="stable"))
            self._move(orders[-1][:, : self.length], step * self.span)
        count, order = len(self.chosen), np.concatenate(orders)
        every = take_requests(self.block, np.tile(np.arange(count), len(steps)))
        filled = choose(arrange(replace(every, utility=np.concatenate(prices), tier=None), order))
        chosen = np.zeros_like(filled)
        np.put_along_axis(chosen, order, filled, axis=1)
        lacking = count_shortfalls(every, chosen, self.length)
        for first in range(0, len(order), count):
            one, now = chosen[first : first + count], lacking[:, first : first + count]
            better = (now <= self.lacking).all(axis=0) & (now < self.lacking).any(axis=0)
            self.chosen[better], self.lacking[:, better] = one[better], now[:, better]

    def keep(self, rows: Column) -> None:
        """Continue with some of the requests."""
        self.block = take_requests(self.block, rows)
        self.chosen, self.lacking = self.chosen[rows], self.lacking[:, rows]
        self.prices, self.bonuses = ([one[rows] for one in many] for many in (self.prices, self.bonuses))
        self.worth, self.span = self.worth[rows], self.span[rows]

    def _priced(self) -> Prices:
        priced = self.worth.copy()
        for price in self.prices:
            priced -= price
        for minimum, bonus in zip(self.block.minimums, self.bonuses, strict=True):
            priced += bonus * minimum.marked
        if self.block.required is not None:
            priced += 10 * self.span * self.block.required
        return np.where(self.block.valid, priced, -np.inf)

    def _move(self, best: Column, step: Prices) -> None:
        """Raise the prices of values that the best candidates overfill, and lower the others."""
        taken = np.zeros_like(self.chosen)
        np.put_along_axis(taken, best, np.take_along_axis(self.block.valid, best, axis=1), axis=1)
        for cap, price in zip(self.block.caps, self.prices, strict=True):
            values = np.take_along_axis(np.where(taken, cap.values, -1), best, axis=1)
            count = np.zeros(price.shape)
            for place in range(values.shape[1]):
                count += cap.values == values[:, place, None]
            np.maximum(price + step * (count - cap.limit), 0.0, out=price)
            price[cap.values < 0] = 0.0
        for minimum, bonus in zip(self.block.minimums, self.bonuses, strict=True):
            count = (minimum.marked & taken).sum(axis=1, keepdims=True)
            np.maximum(bonus + step * (minimum.least - count), 0.0, out=bonus)


def _worth(block: Block) -> Prices:
    """Return utilities in the order of tiers: each tier of a request is a whole range below the previous one.

    Candidates are sorted best tier first, so tiers are numbered along them, separately in each request.
    """
    if block.tier is None:
        return block.utility
    lower = np.diff(block.tier, axis=1, prepend=block.tier[:, :1]) > 0
    return block.utility - np.cumsum(lower & block.valid, axis=1) * _span(block.utility, block.valid)


def _span(utility: Prices, valid: Rectangle) -> Prices:
    """Return the range of each request's utilities, 1 if all are equal, shape [requests, 1]."""
    highest = np.where(valid, utility, -np.inf).max(axis=1, keepdims=True)
    span = highest - np.where(valid, utility, np.inf).min(axis=1, keepdims=True)
    return np.where(span > 0, span, 1.0)


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

    >>> from tasks.ranking.rules import Cap, Minimum
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
    np.copyto(gain, -np.inf, where=~_allowed(block, inside, outside) | (met < 0))
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
        leaves, comes = inside.take(marked), outside.take(marked)
        met += ((comes & short[:, None])[:, :, None] & ~leaves[:, None, :]).view(np.int8)
        worse |= ~comes[:, :, None] & (leaves & tight[:, None])[:, None, :]
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
        others = _same(inside, inside, block.penalty.values).sum(axis=2, dtype=np.int16) - inside.there
        more = others[:, None, :] - joins.sum(axis=2, dtype=np.int16)[:, :, None]
        more += joins
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
