"""Isotonic blocks: increasing, supported, complete."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.calibration.blocks import fit_isotonic_blocks


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_blocks_increase_and_each_is_supported(seed: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=500), 2)
    y, w = (rng.random(500) < 1 / (1 + np.exp(-x))).astype(float), rng.uniform(0.5, 2, 500)
    found = fit_isotonic_blocks(x, y, w, required=(y == 1, y == 0), least=least)
    assert (np.diff(found.centres) > 0).all()
    assert (np.diff(found.means) > 0).all()
    assert found.support.min() >= least
    assert found.support.sum() == y.sum()
    assert (found.first, found.last) == (x.min(), x.max())


def test_two_neighbours_that_disagree_become_one_block() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 5.0, 1.0, 9.0])
    found = fit_isotonic_blocks(x, y, np.ones(4), required=(np.ones(4, bool),), least=1)
    assert found.means == pytest.approx([0, 3, 9])
    assert found.centres == pytest.approx([1, 2.5, 4])


def test_what_is_left_too_thin_joins_its_neighbour() -> None:
    x, y = np.arange(5.0), np.arange(5.0)
    found = fit_isotonic_blocks(x, y, np.ones(5), required=(np.ones(5, bool),), least=2)
    assert found.support.tolist() == [2, 3]


def test_tied_scores_share_a_block() -> None:
    found = fit_isotonic_blocks(
        np.zeros(4), np.array([0.0, 1, 0, 1]), np.ones(4), required=(np.ones(4, bool),), least=1
    )
    assert found.means.tolist() == [0.5]
