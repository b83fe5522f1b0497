"""Searches for slates that meet more rules, where greedy slates fall short of attainable ones.

Caps and minimums have prices in utility units: the price of a value that the best candidates would overfill
rises, as does the bonus of a minimum that they would miss, and both fall where there is slack. Each round
ranks candidates by utility minus prices plus bonuses and fills the slates again; the prices are then updated
from the best ``length`` candidates of that rank (subgradients of the Lagrangian dual; Fisher, *The Lagrangian
relaxation method*, 1981, section 3). Steps grow from round to round: small steps first find slates near the
greedy one, large steps leave local optima. Each tier lies a whole range of utilities below the previous one,
so that a worse tier is used only where rules require it. A slate replaces the greedy one only if it falls
short of no rule by more and of at least one by less.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .block import Block, Cap, Column, Rectangle, arrange, take_requests

ROUNDS = 16
"""Maximum number of rounds, run only for requests that fall short of an attainable rule."""
_STEP = 1 / 12
"""Size of the first step, as a share of the range of the request's utilities."""

Prices = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Better:
    """Requests with a better slate, and its candidates, shape [requests, most candidates]."""

    rows: Column
    chosen: Rectangle


def find_better(
    block: Block, placed: Rectangle, *, length: int, choose: Callable[[Block], Rectangle]
) -> Better:
    """Search for candidates that meet more rules.

    Parameters
    ----------
    placed : candidates on the greedy slates.
    length : number of slots.
    choose : fills the slates of a block whose candidates are sorted best first; returns those placed.

    Examples
    --------
    Two candidates of one kind are required, and the best candidate is of another kind.

    >>> from tasks.ranking.block import Minimum
    >>> block = Block(
    ...     valid=np.ones((1, 3), dtype=bool),
    ...     utility=np.array([[3.0, 2.0, 1.0]]),
    ...     minimums=(Minimum(np.array([[False, True, True]]), least=2),),
    ... )
    >>> def two_best(block):
    ...     return np.array([[True, True, False]])
    >>> better = find_better(block, np.array([[True, True, False]]), length=2, choose=two_best)
    >>> better.rows.tolist(), better.chosen.tolist()
    ([0], [[False, True, True]])
    """
    rows = np.flatnonzero(count_shortfalls(block, placed, length).any(axis=0))
    if len(rows):
        rows = rows[_attainable(take_requests(block, rows), placed[rows], length)]
    if not len(rows):
        return Better(rows, placed[rows])
    plain = replace(take_requests(block, rows), penalty=None, fading=None, draws=None)
    search = _Search(plain, placed[rows].copy(), length)
    before = search.lacking.sum(axis=0)
    for step in range(ROUNDS):
        if not search.lacking.any():
            break
        search.look(choose, _STEP * (1 + step))
    found = np.flatnonzero(search.lacking.sum(axis=0) < before)
    return Better(rows[found], search.chosen[found])


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

    def look(self, choose: Callable[[Block], Rectangle], step: float) -> None:
        """Fill the slates by the prices, keep better ones, and update the prices."""
        priced = self._priced()
        order = np.argsort(-priced, axis=1, kind="stable")
        chosen = np.zeros_like(self.chosen)
        np.put_along_axis(
            chosen, order, choose(arrange(replace(self.block, utility=priced, tier=None), order)), axis=1
        )
        lacking = count_shortfalls(self.block, chosen, self.length)
        better = (lacking <= self.lacking).all(axis=0) & (lacking < self.lacking).any(axis=0)
        self.chosen[better], self.lacking[:, better] = chosen[better], lacking[:, better]
        self._move(order[:, : self.length], step * self.span)

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
