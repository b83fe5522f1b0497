"""A product along a chain gets a map only where it is miscalibrated for certain."""

import numpy as np
import numpy.typing as npt
import pytest

from tasks.calibration.joint import fit_joint
from tasks.evaluation.binary import calibration_ratio

Floats = npt.NDArray[np.float64]


def _chain(dependence: float) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Product of two factors, outcomes of the joint, users; the joint is that much more likely."""
    rng = np.random.default_rng(3)
    product = rng.beta(2, 20, 40_000) * rng.beta(2, 4, 40_000)
    return product, (rng.random(40_000) < product * dependence).astype(float), rng.integers(2000, size=40_000)


def test_a_product_that_holds_is_left_alone() -> None:
    product, outcomes, users = _chain(1.0)
    assert fit_joint(product, outcomes, users) is None


def test_a_product_that_does_not_hold_gets_a_map() -> None:
    product, outcomes, users = _chain(1.5)
    found = fit_joint(product, outcomes, users)
    assert found is not None
    assert calibration_ratio(outcomes, found.apply(product)) == pytest.approx(1.0)


def test_too_little_to_tell_gives_no_map() -> None:
    product, outcomes, users = _chain(1.0)
    assert fit_joint(product, np.zeros_like(outcomes), users) is None
    assert fit_joint(product[:50], outcomes[:50], users[:50]) is None
    assert fit_joint([0.1, 0.1], [1.0, 1.0], ["u", "v"]) is None
