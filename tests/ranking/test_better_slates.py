"""Slates that meet more of the rules are found where the greedy one falls short, and only there.

Where a minimum and a cap contend, swaps meet the minimum at nearly the least loss that is possible.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tasks.arrays import Flags
from tasks.ranking.better_slates import count_shortfalls, find_better, swap_candidates
from tasks.ranking.rules import Block, Cap, Fading, Minimum, Penalty, take_requests
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
    rows, _ = find_better(one_creator, marks(1, 0, 0), length=2, choose=refuse)
    assert len(rows) == 0
    rows, _ = find_better(block_of(3), marks(1, 1, 0), length=2, choose=refuse)
    assert len(rows) == 0


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


LENGTH = 4


def draw_block(seed: int, *, requests: int = 1, decays: bool = False, required: bool = False) -> Block:
    """Draw nine candidates a request under three caps, two minimums and diversity."""
    random, shape = np.random.default_rng(seed), (requests, 9)
    creator, aisle = (random.integers(0, 4, shape).astype(np.int32) for _ in range(2))
    return Block(
        valid=np.ones(shape, dtype=bool),
        utility=-np.sort(-random.lognormal(-1, 0.6, shape), axis=1),
        caps=(Cap(creator, 2), Cap(aisle, 2), Cap(np.where(random.random(shape) < 0.4, 0, -1).astype(np.int32), 1)),
        minimums=tuple(Minimum(random.random(shape) < 0.3, least) for least in (1, 2)),
        required=random.random(shape) < 0.15 if required else None,
        penalty=Penalty(aisle, 0.02),
        fading=Fading(creator, 0.5, 0.25) if decays else None,
    )  # fmt: skip


def worth(block: Block, places: tuple[int, ...]) -> float:
    """Count a request's utility in plain Python, the better ranked first."""
    total, seen, held = 0.0, dict[int, int](), dict[int, int]()
    for at in places:
        value = float(block.utility[0, at])
        if block.fading is not None:
            creator = int(block.fading.values[0, at])
            value *= 0.75 * 0.5 ** seen.get(creator, 0) + 0.25
            seen[creator] = seen.get(creator, 0) + 1
        if block.penalty is not None:
            aisle = int(block.penalty.values[0, at])
            value -= block.penalty.strength * held.get(aisle, 0)
            held[aisle] = held.get(aisle, 0) + 1
        total += value
    return total


def keeps_caps(block: Block, places: tuple[int, ...]) -> bool:
    each = [[int(v) for v in cap.values[0, list(places)] if v >= 0] for cap in block.caps]
    return all(
        values.count(v) <= cap.limit for cap, values in zip(block.caps, each, strict=True) for v in values
    )


def meets_all(block: Block, places: tuple[int, ...]) -> bool:
    enough = all(one.marked[0, list(places)].sum() >= one.least for one in block.minimums)
    required = set() if block.required is None else set(np.flatnonzero(block.required[0]).tolist())
    return enough and required <= set(places) and keeps_caps(block, places)


def filled(block: Block) -> tuple[int, ...]:
    return tuple(np.flatnonzero(fill_slates(block, LENGTH).slots[0]).tolist())


@pytest.mark.parametrize(("decays", "required"), [(False, False), (True, False), (False, True)])
def test_slates_lie_less_than_one_per_cent_below_the_best_of_all_that_meet_the_rules(
    *, decays: bool, required: bool
) -> None:
    gaps = []
    for seed in range(150):
        block = draw_block(seed, decays=decays, required=required)
        meeting = [places for places in combinations(range(9), LENGTH) if meets_all(block, places)]
        if meeting:
            best, ours = max(worth(block, one) for one in meeting), filled(block)
            assert meets_all(block, ours)
            gaps.append(1 - worth(block, ours) / best)
    assert len(gaps) > 40
    assert np.mean(gaps) < 0.01


def test_a_swapped_slate_is_one_that_no_swap_betters() -> None:
    for seed in range(60):
        block = draw_block(seed)
        ours = filled(block)
        if len(ours) < LENGTH or not meets_all(block, ours):
            continue
        plain = fill_slates(replace(block, minimums=()), LENGTH).slots[0] > 0
        if meets_all(block, tuple(np.flatnonzero(plain).tolist())):
            continue
        others = [
            tuple(sorted({*ours} - {out} | {into})) for out in ours for into in range(9) if into not in ours
        ]
        gains = [worth(block, one) - worth(block, ours) for one in others if meets_all(block, one)]
        assert max(gains, default=0.0) <= 1e-9


def test_a_slate_that_falls_short_of_nothing_is_that_of_its_caps_alone() -> None:
    block = draw_block(1, requests=300)
    caps = fill_slates(replace(block, minimums=()), LENGTH).slots
    got = [(one.marked & (caps > 0)).sum(axis=1) >= one.least for one in block.minimums]
    whole = np.all(got, axis=0) & ((caps > 0).sum(axis=1) == LENGTH)
    assert 20 < whole.sum() < 280
    np.testing.assert_array_equal(fill_slates(block, LENGTH).slots[whole], caps[whole])


@pytest.mark.parametrize("width", [9, 40])
def test_a_request_is_swapped_alone_as_among_others(width: int) -> None:
    block = draw_block(2, requests=60, decays=True, required=True)

    def widen(cells: np.ndarray, filler: float) -> np.ndarray:
        return np.pad(cells, ((0, 0), (0, width - 9)), constant_values=filler)

    assert block.required is not None
    assert block.penalty is not None
    assert block.fading is not None
    wide = Block(
        valid=widen(block.valid, filler=False),
        utility=widen(block.utility, filler=0.5),
        caps=tuple(Cap(widen(one.values, filler=0), one.limit) for one in block.caps),
        minimums=tuple(Minimum(widen(one.marked, filler=False), one.least) for one in block.minimums),
        required=widen(block.required, filler=False),
        penalty=replace(block.penalty, values=widen(block.penalty.values, filler=0)),
        fading=replace(block.fading, values=widen(block.fading.values, filler=0)),
    )
    together = fill_slates(wide, LENGTH).slots
    assert not together[:, 9:].any()
    for row in range(60):
        alone = fill_slates(take_requests(block, np.array([row])), LENGTH).slots
        np.testing.assert_array_equal(together[row, :9], alone[0])


def test_rounds_that_are_searched_at_once_find_what_single_rounds_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    block = replace(
        draw_block(3, requests=300, required=True), tier=np.repeat([[0] * 5 + [1] * 4], 300, axis=0)
    )
    together = fill_slates(block, LENGTH).slots
    monkeypatch.setattr("tasks.ranking.better_slates._SEARCHED", 1)
    np.testing.assert_array_equal(fill_slates(block, LENGTH).slots, together)


def test_of_swaps_that_gain_as_much_the_better_ranked_takes_the_place_of_the_worse_ranked() -> None:
    marked: Flags = np.array([[False, False, False, True, True]])
    block = Block(np.ones((1, 5), dtype=bool), np.full((1, 5), 1.0), minimums=(Minimum(marked, 1),))
    start = np.array([[True, True, True, False, False]])
    assert swap_candidates(block, start, 3).tolist() == [[True, True, False, True, False]]
    none = np.zeros((1, 5), dtype=bool)
    assert swap_candidates(block, none, 0).tolist() == none.tolist()
