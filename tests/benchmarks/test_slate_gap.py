"""The exact solver behind the gaps finds what trying all slates finds, and the kernel's lie near it."""

from itertools import combinations

import numpy as np
import pytest

from benchmarks.slating.instances import Instance, draw_instance
from benchmarks.slating.optimum import best_by_highs, measure_gaps, program_of
from benchmarks.slating.swaps import swap_pairs
from tasks.ranking.rules import Block, Cap, Fading, Minimum, Penalty


def small_instance(seed: int) -> Instance:
    """Return four slots for nine candidates, which all slates can be tried of."""
    random = np.random.default_rng(seed)
    shape = (1, 9)
    by, kind = (random.integers(0, 4, shape).astype(np.int32) for _ in range(2))
    return Instance(
        Block(
            valid=np.ones(shape, dtype=np.bool_),
            utility=-np.sort(-random.random(shape), axis=1),
            caps=(Cap(by, 2), Cap(np.where(kind == 0, 0, -1).astype(np.int32), 1)),
            minimums=(Minimum(random.random(shape) < 0.3, 2),),
            required=random.random(shape) < 0.1,
            penalty=Penalty(kind, 0.1) if seed % 2 else None,
            fading=Fading(by, 0.5, 0.25) if seed % 3 else None,
        ),
        length=4,
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_solver_finds_the_best_of_all_slates(seed: int) -> None:
    instance = small_instance(seed)
    slates = [list(places) for places in combinations(range(9), 4)]
    worths = [instance.worth(slate) for slate in slates if instance.meets_all(slate)]
    best = best_by_highs(program_of(instance))
    assert (best is None) == (not worths)
    if best is not None:
        assert best == pytest.approx(max(worths), rel=1e-9)


def test_slates_lie_within_half_a_percent_of_the_best_and_miss_none() -> None:
    filled, _ = measure_gaps(range(60), contended=False)
    assert filled.solvable > 50
    assert filled.missed == 0
    assert (filled.gaps > -1e-9).all()
    assert filled.gaps.mean() < 0.005


def test_no_slate_is_missed_where_rules_contend() -> None:
    filled, _ = measure_gaps(range(60), contended=True)
    assert filled.solvable > 40
    assert filled.missed == 0


def test_swaps_never_worsen_a_slate_and_keep_its_rules() -> None:
    for seed in range(20):
        instance = draw_instance(seed, contended=True)
        slate = instance.fill()
        swapped = swap_pairs(instance, slate)
        assert instance.keeps_caps(swapped)
        assert instance.shortfall(swapped) <= instance.shortfall(slate)
        if instance.meets_all(slate):
            assert instance.worth(swapped) >= instance.worth(slate) - 1e-12
