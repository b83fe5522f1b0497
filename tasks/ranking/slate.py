"""Fills slates from ranked candidates, greedily and with swaps where rules conflict, in batches of requests.

Candidates are in a rectangle, one request per row, best first; loops run over slots and rules.

1. Fill slot by slot with candidates that no cap excludes: the best tier first, then the greatest
   ``utility x decay - strength x slots with its value of diversity.by`` (ties: the better
   rank), where decay is (1 - floor) x factor^k + floor for the k-th item of its value of decay.by, from 0.
   This is the final slate of a request without required candidates that falls short of no rule.
2. For other requests with caps and without tiers, swap candidates (``better_slates.py``), and fill the
   slots with the result if it falls short of no rule.
3. For the remaining requests, reserve: required candidates, then for each minimum the best ones that meet it,
   as far as caps and length allow. A reserved candidate counts towards the caps from the start, so that no
   better ranked candidate can exhaust them. Then fill as before, required ones first. When as many slots are
   left as reservations, only reserved ones are placed. A reservation that has become unnecessary is
   released, worst rank first. If the slate falls short of a rule that more slots could meet, search for
   candidates that meet more (``better_slates.py``), swap those, and fill the slots with them.
4. The last slots may be drawn: once no reservation is left, each takes a random candidate among those that
   exploration selects and no cap excludes. With ``among``, these are the best ranked M at the first such
   slot, and later slots draw from the rest of them. If there is none, or reservations are left, the slot is
   filled like the others. So given the items above it, a drawn item is at its position with probability 1/n,
   where n is the number of candidates that could have been drawn; any other item with probability 1.

A cap is therefore never exceeded, and candidates excluded by a cap or the length are reported. An unknown
value counts against the candidate: unknown values of a ``max_per`` or diversity column are one value, an
unknown ``max_where`` counts as true, an unknown minimum or requirement as false.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .better_slates import count_shortfalls, find_better, swap_candidates
from .candidates import mix
from .rules import Block, Cap, Column, Counts, Draws, Rectangle, Values, arrange, take_requests

_NONE = -1
_NO_PICK = -2


@dataclass(frozen=True)
class Slates:
    """The slates of a block, each of shape [requests, most candidates].

    Attributes
    ----------
    slots : each candidate's slot from 1, 0 for those off the slate.
    drawn_from : number of candidates from which a drawn one was drawn, 0 for the others.
    drawable : the candidates from which the first drawn slot was chosen.
    """

    slots: Counts
    drawn_from: Values
    drawable: Rectangle

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Slates":
        """Return the slates of a block in which no candidate has a slot."""
        return cls(np.zeros(shape, np.int16), np.zeros(shape, np.int32), np.zeros(shape, np.bool_))

    def replace(self, rows: Column, other: "Slates") -> None:
        """Replace the slates of some requests."""
        self.slots[rows], self.drawn_from[rows] = other.slots, other.drawn_from
        self.drawable[rows] = other.drawable


def fill_slates(block: Block, length: int) -> Slates:
    """Fill the slates of a block.

    Examples
    --------
    >>> from tasks.ranking.rules import Cap
    >>> three = Block(
    ...     valid=np.ones((1, 3), dtype=bool),
    ...     utility=np.array([[3.0, 2.0, 1.0]]),
    ...     caps=(Cap(np.array([[7, 7, 8]], dtype=np.int32), limit=1),),
    ... )
    >>> fill_slates(three, length=2).slots
    array([[1, 0, 2]], dtype=int16)
    """
    if not block.has_rules:
        return _take_best(block.valid, length)
    if block.only_cap is not None:
        return _take_best(_find_within(block.only_cap, block.valid), length)
    filling = _Filling(replace(block, minimums=(), required=None), length)
    filling.fill()
    chosen = filling.held_places
    rows = np.flatnonzero(_need_more(block, chosen, filling.by_utility))
    slates = filling.finish()
    if len(rows):
        slates.replace(rows, _fill_by_rules(take_requests(block, rows), chosen[rows], length))
    return slates


def _need_more(block: Block, chosen: Rectangle, length: int) -> npt.NDArray[np.bool_]:
    """Mark the requests with required candidates, or whose candidates fall short of a rule."""
    needing = np.asarray(count_shortfalls(block, chosen, length).any(axis=0))
    return needing if block.required is None else needing | (block.required & block.valid).any(axis=1)


def _fill_by_rules(block: Block, plain: Rectangle, length: int) -> Slates:
    """Fill the slates of requests for which ``plain``, chosen by caps alone, is not enough."""
    rest, filled = np.arange(len(plain)), Slates.empty(plain.shape)
    if block.swaps:
        by_utility = block.count_undrawn(length)
        swapped = swap_candidates(block, plain, by_utility)
        lacking = count_shortfalls(block, swapped, by_utility).any(axis=0)
        met, rest = np.flatnonzero(~lacking), np.flatnonzero(lacking)
        filled.replace(met, _fill_with(take_requests(block, met), swapped[met], length))
    if len(rest):
        filled.replace(rest, _reserve_and_search(take_requests(block, rest), length))
    return filled


def _reserve_and_search(block: Block, length: int) -> Slates:
    """Fill the slates with reservations, and with a search's result if these fall short.

    In the search, remaining reservations get a slot before any is drawn, and count as placed.
    """
    filling = _Filling(block, length)
    filling.fill()

    def choose(priced: Block) -> Rectangle:
        other = _Filling(priced, length)
        other.by_utility = filling.by_utility
        other.fill()
        return other.held_places

    rows, chosen = find_better(block, filling.held_places, length=filling.by_utility, choose=choose)
    slates = filling.finish()
    if len(rows):
        few = take_requests(block, rows)
        chosen = swap_candidates(few, chosen, filling.by_utility) if block.swaps else chosen
        slates.replace(rows, _fill_with(few, chosen, length))
    return slates


def _fill_with(block: Block, chosen: Rectangle, length: int) -> Slates:
    """Fill the slates with the given candidates, which meet the caps; others can only be drawn."""
    if block.draws is not None:
        filling = _Filling(block, length, chosen)
        filling.fill()
        return filling.finish()
    order = np.argsort(~chosen, axis=1, kind="stable")[:, :length]
    few = _Filling(arrange(replace(block, valid=chosen, caps=(), minimums=()), order), length)
    few.fill()
    slates = Slates.empty(chosen.shape)
    np.put_along_axis(slates.slots, order, few.slots, axis=1)
    return slates


def _take_best(among: Rectangle, length: int) -> Slates:
    """Fill the slots with the given candidates in order of rank."""
    place, slates = np.cumsum(among, axis=1), Slates.empty(among.shape)
    np.copyto(slates.slots, place, where=among & (place <= length), casting="unsafe")
    return slates


def _find_within(cap: Cap, valid: Rectangle) -> Rectangle:
    """Mark the candidates with fewer than ``limit`` of their value ranked above: those that one cap allows.

    If it is the only rule, filling slot by slot would place the same candidates, and no set has more of them.
    """
    order = np.argsort(np.where(valid, cap.values, np.iinfo(np.int32).max), axis=1, kind="stable")
    values = np.take_along_axis(cap.values, order, axis=1)
    inside = np.ones(valid.shape, dtype=np.bool_)
    before = max(values.shape[1] - cap.limit, 0)
    inside[:, cap.limit :] = values[:, cap.limit :] != values[:, :before]
    within = np.empty_like(inside)
    np.put_along_axis(within, order, inside | (values == _NONE), axis=1)
    return within & valid


class _Filling:
    """The state of a block while its slots are filled.

    ``open``: candidates that are not placed and that no cap excludes; ``held``: per cap, slots with a
    candidate's value, reservations included; ``repeats`` and ``faded``: placed slots with its values of
    diversity and decay; ``lowered``: its utility after both. A pick changes only the cells with its values,
    and only they are updated.
    """

    def __init__(self, block: Block, length: int, among: Rectangle | None = None) -> None:
        shape = block.valid.shape
        self.block, self.length, self.among = block, length, among
        self.by_utility = block.count_undrawn(length)
        slates = Slates.empty(shape)
        self.slots, self.drawn_from, self.drawable = slates.slots, slates.drawn_from, slates.drawable
        self.held = [np.zeros(shape, dtype=np.int16) for _ in block.caps]
        self.repeats = np.zeros(shape, dtype=np.int16)
        self.faded = np.zeros(shape, dtype=np.int16)
        self.lowered = np.array(block.utility, dtype=np.float64)
        self.kept = (
            None if block.fading is None else block.fading.shares(np.arange(length + 1, dtype=np.int16))
        )
        self.reserved = np.zeros(shape, dtype=np.bool_)
        self.reserves = bool(block.minimums) or block.required is not None
        self.open = block.valid.copy() if among is None else block.valid & among
        for cap in block.caps:
            if cap.limit == 0:
                self.open &= cap.values == _NONE

    @property
    def held_places(self) -> Rectangle:
        """Candidates with a slot, or with a reservation for the remaining slots."""
        held: Rectangle = (self.slots > 0) | self.reserved
        return held

    def fill(self) -> None:
        """Fill the slots that are not drawn."""
        self.reserve()
        for slot in range(1, self.by_utility + 1):
            if not self.place(slot):
                break

    def finish(self) -> Slates:
        """Fill the slots that are drawn, and return the slates."""
        if self.among is not None:
            self.open = self.block.valid & (self.slots == 0)
            for cap, held in zip(self.block.caps, self.held, strict=True):
                self.open &= (cap.values == _NONE) | (held < cap.limit)
        for slot in range(self.by_utility + 1, self.length + 1):
            if not self.place(slot):
                break
        return Slates(self.slots, self.drawn_from, self.drawable)

    def reserve(self) -> None:
        """Reserve in rank order: required candidates, then the minimums in turn."""
        if self.block.required is not None:
            self._reserve(self.block.required, self.length)
        for minimum in self.block.minimums:
            self._reserve(minimum.marked, minimum.least)
        self._give_back(np.arange(len(self.slots)))

    def _reserve(self, marked: Rectangle, least: int) -> None:
        for _ in range(least):
            wanting = (self.reserved & marked).sum(axis=1) < least
            wanting &= self.reserved.sum(axis=1) < self.length
            pick = _first_marked(self.open & marked & ~self.reserved & wanting[:, None])
            if (pick == _NONE).all():
                return
            _mark(self.reserved, pick, value=True)
            self._hold(pick)

    def place(self, slot: int) -> bool:
        """Fill one slot of every possible request; return whether any was filled."""
        pick = self._best(self._choice(slot))
        if self.block.draws is not None and slot > self.by_utility:
            pick = self._draw(self.block.draws, slot, pick)
        rows = np.flatnonzero(pick != _NONE)
        if not len(rows):
            return False
        self.slots[rows, pick[rows]] = slot
        self.open[rows, pick[rows]] = False
        if self.block.penalty is not None:
            self._lower(self.repeats, _cells_of_same_value(self.block.penalty.values, pick))
        if self.block.fading is not None:
            self._lower(self.faded, _cells_of_same_value(self.block.fading.values, pick))
        if not self.reserves:
            self._hold(pick)
            return True
        fresh = np.where(_is_marked(self.reserved, pick), _NONE, pick)
        _mark(self.reserved, pick, value=False)
        self._hold(fresh)
        counted = [_is_marked(minimum.marked, fresh) for minimum in self.block.minimums]
        self._give_back(np.flatnonzero(np.any(counted, axis=0)))
        return True

    def _choice(self, slot: int) -> Rectangle:
        if not self.reserves:
            return self.open
        free = self.reserved.sum(axis=1, keepdims=True) <= max(self.by_utility - slot, 0)
        choice: Rectangle = self.reserved | (self.open & free)
        if self.block.required is None:
            return choice
        required = self.reserved & self.block.required
        return np.where(required.any(axis=1, keepdims=True), required, choice)

    def _draw(self, draws: Draws, slot: int, otherwise: Column) -> Column:
        """Draw a candidate for every request with drawable candidates and no reservation left."""
        choice = self.open & draws.marked & ~self.reserved.any(axis=1, keepdims=True)
        first = np.flatnonzero(~self.drawable.any(axis=1))
        self.drawable[first] = choice[first]
        if draws.among is not None:
            self.drawable[first] &= np.cumsum(choice[first], axis=1) <= draws.among
        choice &= self.drawable
        numbers = mix(draws.numbers ^ np.uint64(slot))
        drawn = np.where(choice, numbers, np.iinfo(np.uint64).max).argmin(axis=1)
        count = choice.sum(axis=1)
        rows = np.flatnonzero(count)
        self.drawn_from[rows, drawn[rows]] = count[rows]
        return np.where(count > 0, drawn, otherwise)

    def _best(self, choice: Rectangle) -> Column:
        if self.block.penalty is None and self.block.fading is None:
            return _first_marked(choice)  # columns are ordered by tier, utility, item_id
        if self.block.tier is not None:
            tier = np.where(choice, self.block.tier, np.iinfo(np.int32).max)
            choice = choice & (tier == tier.min(axis=1)[:, None])
        best = np.where(choice, self.lowered, -np.inf).argmax(axis=1)
        return np.where(choice.any(axis=1), best, _NONE)

    def _hold(self, pick: Column) -> None:
        """Count a pick towards every cap, and close the values that are full."""
        for cap, counts in zip(self.block.caps, self.held, strict=True):
            cells, held = _cells_of_same_value(cap.values, pick), counts.reshape(-1)
            held[cells] += 1
            self.open.reshape(-1)[cells[held[cells] >= cap.limit]] = False

    def _lower(self, counts: Counts, cells: Column) -> None:
        """Count one more slot for some cells' value, and update their lowered utility."""
        counts.reshape(-1)[cells] += 1
        lowered = np.take(self.block.utility, cells)
        if self.kept is not None:
            lowered = lowered * self.kept[self.faded.reshape(-1)[cells]]
        if self.block.penalty is not None:
            lowered = lowered - self.block.penalty.strength * self.repeats.reshape(-1)[cells]
        self.lowered.reshape(-1)[cells] = lowered

    def _release(self, rows: Column, pick: Column) -> None:
        """Release a reservation of each of some requests, and reopen the candidates that its caps closed."""
        self.reserved[rows, pick] = False
        opened = self.block.valid[rows] & (self.slots[rows] == 0)
        for cap, held in zip(self.block.caps, self.held, strict=True):
            held[rows] -= _mark_same_value(cap.values[rows], pick)
            opened &= (cap.values[rows] == _NONE) | (held[rows] < cap.limit)
        self.open[rows] = opened

    def _give_back(self, rows: Column) -> None:
        """Release the reservations that no minimum needs any more, worst rank first."""
        while self.block.minimums and len(rows):
            taken = self.reserved[rows] | (self.slots[rows] > 0)
            spare = self.reserved[rows]
            if self.block.required is not None:
                spare &= ~self.block.required[rows]
            for minimum in self.block.minimums:
                marked = minimum.marked[rows]
                more = (taken & marked).sum(axis=1) > minimum.least
                spare &= ~marked | more[:, None]
            backwards = _first_marked(spare[:, ::-1])
            pick = np.where(backwards == _NONE, _NONE, spare.shape[1] - 1 - backwards)
            rows, pick = rows[pick != _NONE], pick[pick != _NONE]
            self._release(rows, pick)


def _first_marked(marked: Rectangle) -> Column:
    """Return the first marked column of each row, -1 for none."""
    first = marked.argmax(axis=1)
    return np.where(marked[np.arange(len(marked)), first], first, _NONE)


def _is_marked(marked: Rectangle, pick: Column) -> npt.NDArray[np.bool_]:
    at: npt.NDArray[np.bool_] = (pick != _NONE) & marked[np.arange(len(marked)), pick]
    return at


def _mark(cells: npt.NDArray[Any], pick: Column, *, value: int | bool) -> None:
    rows = np.flatnonzero(pick != _NONE)
    cells[rows, pick[rows]] = value


def _cells_of_same_value(values: Values, pick: Column) -> Column:
    """Return the flat indices of the cells with the picked candidate's value."""
    return np.flatnonzero(_mark_same_value(values, pick))


def _mark_same_value(values: Values, pick: Column) -> Rectangle:
    """Mark the cells of each row with the picked candidate's value; uncounted values match none."""
    picked = values[np.arange(len(values)), pick]
    picked = np.where((pick == _NONE) | (picked == _NONE), _NO_PICK, picked)
    same: Rectangle = values == picked[:, None]
    return same
