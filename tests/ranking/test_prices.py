"""Slates that meet more of the rules are found where the greedy one falls short, and only there."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tasks.arrays import Flags
from tasks.ranking.block import Block, Cap, Minimum
from tasks.ranking.prices import count_shortfalls, find_better
from tasks.ranking.slate import fill_slates


def cap(*values: int, limit: int = 1) -> Cap:
    return Cap(np.array([values], dtype=np.int32), limit)


def marks(*values: int) -> Flags:
    return np.array([values], dtype=bool)


def block_of(size: int, *, caps: tuple[Cap, ...] = (), minimums: tuple[Minimum, ...] = ()) -> Block:
    """Return one request whose candidates' utilities are size, size - 1, ..., 1."""
    utility = np.arange(size, 0, -1, dtype=np.float64)[None]
    return Block(np.ones((1, size), dtype=bool), utility, caps=caps, minimums=minimums)


def test_a_full_slate_is_found_where_the_best_candidate_stands_in_the_way_of_two() -> None:
    # the first is ana's in tea; ana's other is in jam, tea's other is bo's: both, or the first alone
    block = block_of(3, caps=(cap(0, 0, 1), cap(7, 8, 7)))
    assert fill_slates(block, 2).slots.tolist() == [[0, 1, 2]]


def test_a_minimum_is_met_by_another_candidate_where_the_best_one_blocks_it() -> None:
    # the best fresh one is ana's, whose one slot the only local one needs
    minimums = (Minimum(marks(0, 1, 0, 1), 1), Minimum(marks(0, 0, 1, 0), 1))
    block = block_of(4, caps=(cap(1, 0, 0, 2),), minimums=minimums)
    assert fill_slates(block, 3).slots.tolist() == [[1, 0, 2, 3]]


def test_where_nothing_more_can_be_met_no_slate_is_filled_again() -> None:
    def refuse(priced: Block) -> Flags:
        raise AssertionError(priced)

    one_creator = block_of(3, caps=(cap(0, 0, 0),))
    found = find_better(one_creator, marks(1, 0, 0), length=2, choose=refuse)
    assert len(found.rows) == 0
    whole = find_better(block_of(3), marks(1, 1, 0), length=2, choose=refuse)
    assert len(whole.rows) == 0


@pytest.mark.parametrize("limit", range(1, 9))
@pytest.mark.parametrize("size", range(1, 5))
def test_a_cap_may_be_wider_than_the_candidates_of_a_slate_that_cannot_be_filled(
    size: int, limit: int
) -> None:
    block = block_of(size, caps=(cap(*[0] * size, limit=limit),))
    most = min(size, limit)
    assert fill_slates(block, size + 1).slots.tolist() == [[*range(1, most + 1), *[0] * (size - most)]]


def test_the_search_finds_a_slate_that_meets_all_wherever_there_is_one() -> None:
    length, missed, solvable = 4, 0, 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        values = [random.integers(0, 4, 9) for _ in range(2)]
        fresh = Minimum(random.random((1, 9)) < 0.3, 2)
        block = block_of(9, caps=(cap(*values[0], limit=1), cap(*values[1], limit=2)), minimums=(fresh,))
        if not any(_meets(block, list(places), length) for places in combinations(range(9), length)):
            continue
        solvable += 1
        placed = fill_slates(block, length).slots > 0
        missed += bool(count_shortfalls(block, placed, length).any())
    assert solvable > 50
    assert missed == 0


def test_a_search_takes_from_a_worse_tier_no_more_than_the_rules_ask_for() -> None:
    # the best safe one is ana's in tea: so are hers in jam and bo in tea, less worth
    creators, aisles = cap(0, 0, 1, 0, 1), cap(7, 8, 7, 8, 7)
    block = Block(
        valid=np.ones((1, 5), dtype=bool),
        utility=np.array([[0.3, 0.2, 0.1, 0.9, 0.8]]),
        tier=np.array([[4, 4, 4, 6, 6]], dtype=np.int32),
        caps=(creators, aisles),
    )
    assert fill_slates(block, 2).slots.tolist() == [[0, 1, 2, 0, 0]]
    fresh = replace(block, minimums=(Minimum(marks(0, 0, 0, 0, 1), 1),))
    assert fill_slates(fresh, 2).slots.tolist() == [[0, 1, 0, 0, 2]]


def test_where_slates_are_searched_their_worst_tier_is_hardly_ever_fuller_than_it_has_to_be() -> None:
    length, searched, fuller = 4, 0, 0
    for seed in range(800):
        random = np.random.default_rng(seed)
        tier = np.sort(random.integers(0, 2, (1, 9)), axis=1).astype(np.int32)
        block = Block(
            valid=np.ones((1, 9), dtype=bool),
            utility=random.random((1, 9)),
            tier=tier,
            caps=tuple(Cap(random.integers(0, 3, (1, 9)).astype(np.int32), 2) for _ in range(2)),
        )
        block = replace(block, utility=np.take_along_axis(block.utility, _best_first(block), axis=1))
        placed = np.flatnonzero(fill_slates(block, length).slots[0])
        if np.array_equal(placed, _greedy(block, length)):
            continue
        searched += 1
        same_size = combinations(range(9), len(placed))
        least = min(tier[0, list(c)].sum() for c in same_size if _keeps_caps(block, list(c)))
        fuller += int(tier[0, placed].sum() > least)
    assert searched > 10
    assert fuller <= 0.05 * searched


def _best_first(block: Block) -> np.ndarray:
    return np.lexsort((-block.utility[0], block.tier[0]))[None]  # type: ignore[index]


def _greedy(block: Block, length: int) -> list[int]:
    placed: list[int] = []
    for place in range(block.utility.shape[1]):
        if len(placed) < length and _keeps_caps(block, [*placed, place]):
            placed.append(place)
    return placed


def _keeps_caps(block: Block, places: list[int]) -> bool:
    return all(np.bincount(one.values[0, places]).max() <= one.limit for one in block.caps)


def _meets(block: Block, places: list[int], length: int) -> bool:
    placed = np.zeros((1, block.utility.shape[1]), dtype=bool)
    placed[0, places] = True
    return _keeps_caps(block, places) and not count_shortfalls(block, placed, length).any()


@pytest.mark.parametrize("width", [9, 30])
def test_what_stands_beside_a_request_does_not_move_its_search(width: int) -> None:
    random = np.random.default_rng(1)
    shape = (40, 9)
    narrow = Block(
        valid=np.ones(shape, dtype=bool),
        utility=-np.sort(-random.random(shape), axis=1),
        caps=(Cap(random.integers(0, 4, shape).astype(np.int32), 1),
              Cap(random.integers(0, 3, shape).astype(np.int32), 2)),
        minimums=(Minimum(random.random(shape) < 0.3, 2),),
    )  # fmt: skip

    def wide(cells: np.ndarray, filler: float) -> np.ndarray:
        return np.pad(cells, ((0, 0), (0, width - 9)), constant_values=filler)

    padded = Block(
        valid=wide(narrow.valid, filler=False),
        utility=wide(narrow.utility, filler=0.5),
        caps=tuple(Cap(wide(one.values, filler=0), one.limit) for one in narrow.caps),
        minimums=tuple(Minimum(wide(one.marked, filler=False), one.least) for one in narrow.minimums),
    )
    slots = fill_slates(padded, 4).slots
    np.testing.assert_array_equal(slots[:, :9], fill_slates(narrow, 4).slots)
    assert not slots[:, 9:].any()
