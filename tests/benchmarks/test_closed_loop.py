"""What exploration finds on the feed's own log: slots by hand, and items that would never be shown."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.closed_loop import EXPECTED, Found, fill, item_numbers, run, value_of
from tasks.datasets.world.entities import SHELVES


def test_the_best_candidates_fill_the_slots_in_order() -> None:
    slots = fill(np.array([[0.1, 0.4, 0.3]]), 2)
    assert slots.tolist() == [[0, 1, 2]]
    assert value_of(np.array([[0.1, 0.5, 0.25]]), slots) == pytest.approx(0.5 + 0.92 * 0.25)


def test_items_are_found_by_their_names() -> None:
    names = pd.DataFrame({"item_id": ["i00007-2", "i00001-0", "i00007-2"]})
    assert item_numbers(names).tolist() == [2 * SHELVES + 7, 1, 2 * SHELVES + 7]


@pytest.fixture(scope="module")
def runs() -> dict[str, Found]:
    return {name: run(name, seed=1, requests=20, prior=200) for name in EXPECTED}


def test_exploration_shows_good_items_that_nobody_would_see(runs: dict[str, Found]) -> None:
    assert runs["none"].unexposed > 0.1
    assert runs["uniform"].unexposed < runs["none"].unexposed
    assert runs["unseen first"].unexposed < runs["none"].unexposed


def test_what_is_not_shown_is_predicted_too_high(runs: dict[str, Found]) -> None:
    assert runs["none"].unshown > runs["none"].shown
    assert all(0.4 < one.value < 1 for one in runs.values())
