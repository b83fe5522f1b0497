"""The plain loop of the benchmark makes the kernel's slates, so that their times may be compared."""

import numpy as np
import pytest

from benchmarks.slates import SLOTS, candidates, fill_in_blocks, loop
from tasks.ranking.slate import fill_slates


@pytest.mark.parametrize("decays", [False, True])
def test_both_make_the_same_slates(decays: bool) -> None:
    block = candidates(40, decays=decays, seed=3)
    slots = fill_slates(block, SLOTS).slots
    np.testing.assert_array_equal(loop(block), slots)
    np.testing.assert_array_equal(fill_in_blocks(block), slots)
    assert (slots.max(axis=1) == SLOTS).all()
