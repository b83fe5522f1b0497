"""Where a minimum and a cap contend, swaps meet the minimum at nearly the least loss that is possible."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tasks.arrays import Flags
from tasks.ranking.block import Block, Cap, Fading, Minimum, Penalty, take_requests
from tasks.ranking.slate import fill_slates
from tasks.ranking.swaps import swap_candidates

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


def test_of_swaps_that_gain_as_much_the_better_ranked_takes_the_place_of_the_worse_ranked() -> None:
    marked: Flags = np.array([[False, False, False, True, True]])
    block = Block(np.ones((1, 5), dtype=bool), np.full((1, 5), 1.0), minimums=(Minimum(marked, 1),))
    start = np.array([[True, True, True, False, False]])
    assert swap_candidates(block, start, 3).tolist() == [[True, True, False, True, False]]
    none = np.zeros((1, 5), dtype=bool)
    assert swap_candidates(block, none, 0).tolist() == none.tolist()
