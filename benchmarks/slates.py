"""Slates filled a second, and against a plain loop: ``python -m benchmarks.slates``.

100 candidates a request go to 20 slots: at most 2 of a creator, 6 of a category and 2 sponsored, at least one
fresh one if there is any, and less utility for each slot that the category already holds; once more where
the k-th of a creator also decays. The kernel fills blocks of requests, as ``decide`` cuts them. The loop
fills one request after the other: for each slot it looks through the ranked candidates for the best that no
cap closes, and holds a place for the best fresh one. The kernel's slates must be the same, but where the
fresh one and a cap contend: there they are worth more on average. Without the loop follow requests in which
one to three minimums ask for one to three of few candidates. Seconds are processor time of one core; the best
of several runs counts.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.slating.instances import Instance
from tasks.ranking.decide import BLOCK_CELLS
from tasks.ranking.rules import Block, Cap, Fading, Minimum, Penalty
from tasks.ranking.slate import fill_slates

WANTED = 20_000
"""Slates a second on one core."""
CANDIDATES, SLOTS = 100, 20
CREATORS, CATEGORIES = 40, 8

Slots = npt.NDArray[np.int16]


def main() -> None:
    """Print slates a second and the ratio to the loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--looped", type=int, default=200, help="requests that the plain loop fills")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    print(f"slates: {asked.requests:,} requests, {CANDIDATES} candidates to {SLOTS} slots, one core")
    for name, decays in (("caps, minimum, diversity", False), ("the same with decay", True)):
        block = candidates(asked.requests, decays=decays)
        seconds = min(timed(partial(fill_in_blocks, block)) for _ in range(asked.runs))
        few = rows_of(block, slice(0, asked.looped))
        slow = min(timed(partial(loop, few)) for _ in range(asked.runs))
        rate, looped = asked.requests / seconds, asked.looped / slow
        same, more = compare(few, loop(few), fill_slates(few, SLOTS).slots)
        print(f"  {name}")
        print(f"    kernel      {rate:9,.0f} slates a second (wanted {WANTED:,})")
        print(f"    plain loop  {looped:9,.0f} slates a second")
        print(f"    ratio       {rate / looped:9.1f}")
        print(f"    the same    {same:9.1%} of the slates; the kernel's others are worth {more:+.2%}")
    for wanted in ((2,), (1, 2), (1, 2, 3)):
        block = scarce(asked.requests, wanted)
        rate = asked.requests / min(timed(partial(fill_in_blocks, block)) for _ in range(asked.runs))
        print(f"  caps, diversity, and minimums for {' and '.join(map(str, wanted))} of few")
        print(f"    kernel      {rate:9,.0f} slates a second, {rate / WANTED:.2f} of the {WANTED:,} wanted")


def candidates(requests: int, *, decays: bool, seed: int = 0) -> Block:
    """Return requests whose candidates stand best first."""
    random = np.random.default_rng(seed)
    shape = (requests, CANDIDATES)
    creator = random.integers(0, CREATORS, shape).astype(np.int32)
    category = random.integers(0, CATEGORIES, shape).astype(np.int32)
    sponsored = np.where(random.random(shape) < 0.15, 0, -1).astype(np.int32)
    return Block(
        valid=np.ones(shape, dtype=np.bool_),
        utility=-np.sort(-random.lognormal(-2.0, 0.5, shape), axis=1),
        caps=(Cap(category, 6), Cap(creator, 2), Cap(sponsored, 2)),
        minimums=(Minimum(random.random(shape) < 0.05, 1),),
        penalty=Penalty(category, 0.01),
        fading=Fading(creator, 0.5, 0.25) if decays else None,
    )


def scarce(requests: int, wanted: tuple[int, ...], seed: int = 0) -> Block:
    """Return requests in which minimums of few candidates contend with caps."""
    random = np.random.default_rng(seed)
    shape = (requests, CANDIDATES)
    creator = random.integers(0, SLOTS // 2 + 2, shape).astype(np.int32)
    category = random.integers(0, 6, shape).astype(np.int32)
    sponsored = np.where(random.random(shape) < 0.4, 0, -1).astype(np.int32)
    return Block(
        valid=np.ones(shape, dtype=np.bool_),
        utility=-np.sort(-random.lognormal(-2.0, 0.6, shape), axis=1),
        caps=(Cap(category, 5), Cap(creator, 2), Cap(sponsored, 2)),
        minimums=tuple(Minimum(random.random(shape) < 0.08, least) for least in wanted),
        penalty=Penalty(category, 0.005),
    )


def compare(block: Block, looped: Slots, filled: Slots) -> tuple[float, float]:
    """Return the share of equal slates, and how much more than the loop's the kernel's others are worth."""
    others = np.flatnonzero((looped != filled).any(axis=1))
    ours, theirs = 0.0, 0.0
    for row in others:
        request = Instance(rows_of(block, slice(row, row + 1)), SLOTS)
        ours += request.worth(np.flatnonzero(filled[row]).tolist())
        theirs += request.worth(np.flatnonzero(looped[row]).tolist())
    return 1 - len(others) / len(looped), ours / theirs - 1 if len(others) else 0.0


def rows_of(block: Block, rows: slice) -> Block:
    """Return some of a block's requests."""
    return replace(
        block,
        valid=block.valid[rows],
        utility=block.utility[rows],
        caps=tuple(Cap(cap.values[rows], cap.limit) for cap in block.caps),
        minimums=tuple(Minimum(one.marked[rows], one.least) for one in block.minimums),
        penalty=block.penalty and replace(block.penalty, values=block.penalty.values[rows]),
        fading=block.fading and replace(block.fading, values=block.fading.values[rows]),
    )


def fill_in_blocks(block: Block) -> Slots:
    """Fill all requests, as many at a time as ``decide`` takes."""
    many = max(1, BLOCK_CELLS // CANDIDATES)
    return np.concatenate(
        [
            fill_slates(rows_of(block, slice(at, at + many)), SLOTS).slots
            for at in range(0, len(block.valid), many)
        ]
    )


def loop(block: Block) -> Slots:
    """Fill one request after the other, candidate by candidate."""
    slots = np.zeros(block.valid.shape, dtype=np.int16)
    for row in range(len(slots)):
        for slot, at in enumerate(_Greedy(block, row).places(), start=1):
            slots[row, at] = slot
    return slots


class _Greedy:
    """One request of a block, filled slot by slot; its one minimum asks for one candidate."""

    def __init__(self, block: Block, row: int) -> None:
        self.block = block
        self.utility = block.utility[row].tolist()
        self.caps = [(cap.values[row].tolist(), cap.limit, Counter[int]()) for cap in block.caps]
        self.fresh = block.minimums[0].marked[row].tolist()
        self.spread = block.penalty.values[row].tolist() if block.penalty else None
        self.faded = block.fading.values[row].tolist() if block.fading else None
        self.repeats, self.again, self.placed = Counter[int](), Counter[int](), set[int]()
        places = range(len(self.utility))
        self.reserved = next((at for at in places if self.fresh[at] and self.is_open(at)), None)

    def places(self) -> Iterator[int]:
        """Yield the candidate of each slot."""
        if self.reserved is not None:
            self.hold(self.reserved, 1)
        for slot in range(1, SLOTS + 1):
            at = self.best(last=slot == SLOTS)
            if at is None:
                return
            self.place(at)
            yield at

    def best(self, *, last: bool) -> int | None:
        """Return the best candidate that may stand next; in the last slot the reserved one, if there is."""
        if last and self.reserved is not None:
            return self.reserved
        best, most = None, -math.inf
        for at in range(len(self.utility)):
            if at not in self.placed and (at == self.reserved or self.is_open(at)) and self.worth(at) > most:
                best, most = at, self.worth(at)
        return best

    def place(self, at: int) -> None:
        """Give a candidate the next slot, and the reservation back where it meets the minimum."""
        self.placed.add(at)
        if at != self.reserved:
            self.hold(at, 1)
        if self.reserved is not None and self.fresh[at]:
            if at != self.reserved:
                self.hold(self.reserved, -1)
            self.reserved = None
        if self.spread is not None:
            self.repeats[self.spread[at]] += 1
        if self.faded is not None:
            self.again[self.faded[at]] += 1

    def hold(self, at: int, change: int) -> None:
        """Count a candidate under every cap."""
        for values, _, held in self.caps:
            if values[at] >= 0:
                held[values[at]] += change

    def is_open(self, at: int) -> bool:
        """Whether no cap closes a candidate."""
        return all(values[at] < 0 or held[values[at]] < limit for values, limit, held in self.caps)

    def worth(self, at: int) -> float:
        """Return what decay and diversity leave of a candidate's utility."""
        value: float = self.utility[at]
        if self.block.fading is not None and self.faded is not None:
            share = (1 - self.block.fading.floor) * self.block.fading.factor ** self.again[self.faded[at]]
            value *= share + self.block.fading.floor
        if self.block.penalty is not None and self.spread is not None:
            value -= self.block.penalty.strength * self.repeats[self.spread[at]]
        return value


def timed(act: Callable[[], object]) -> float:
    """Return the seconds of processor time."""
    began = time.process_time()
    act()
    return time.process_time() - began


if __name__ == "__main__":
    main()
