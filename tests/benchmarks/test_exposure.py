"""No order brings more utility than the linear program, and feedback brings nearly as much."""

import numpy as np
import pytest

from benchmarks.exposure import LEAST, SLATE, run, solve


def test_feedback_reaches_its_target_for_nearly_the_least_cost() -> None:
    ratios, day, slate = run(days=30, requests=60, seed=1)
    plain, served = day.serve(SLATE), day.serve(slate)
    assert ratios[0] < 0.65
    assert np.mean(ratios[15:]) == pytest.approx(LEAST, abs=0.04)
    best = solve(day, day.ratio(served))
    assert 0.995 * best <= day.value(served) <= best <= day.value(plain) + 1e-9
    assert solve(day, day.ratio(plain)) == pytest.approx(day.value(plain))
