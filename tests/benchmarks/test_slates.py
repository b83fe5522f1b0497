"""The plain loop of the benchmark makes the kernel's slates, or worse ones where rules contend."""

import numpy as np
import pytest

from benchmarks.slates import SLOTS, candidates, compare, fill_in_blocks, loop
from tasks.ranking.slate import fill_slates


@pytest.mark.parametrize("decays", [False, True])
def test_both_make_the_same_slates_unless_swaps_gain(decays: bool) -> None:
    block = candidates(40, decays=decays, seed=3)
    slots = fill_slates(block, SLOTS).slots
    same, gain = compare(block, loop(block), slots)
    assert same >= 0.7
    assert gain > 0
    np.testing.assert_array_equal(fill_in_blocks(block), slots)
    assert (slots.max(axis=1) == SLOTS).all()
