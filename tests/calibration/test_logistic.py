"""A logistic map's level: what few positives say of it, and what the scores do."""

import numpy as np
import pytest

from tasks.calibration.logistic import fit_logistic
from tasks.ranking.maps import logit


def level(expected: float, seen: int) -> float:
    """Return the positives that the map of a head which expects so many predicts where so many are seen."""
    rows = 100_000
    fitted = fit_logistic(
        np.full(rows, logit(expected / rows)), (np.arange(rows) < seen).astype(float), np.ones(rows)
    )
    return rows * float(fitted.apply([expected / rows])[0])


def test_three_reports_where_ten_are_expected_are_mostly_luck() -> None:
    """By hand, with a prior of 16 reports: 10 exp(a) - 3 is 16 (-a) at a = -.2833, and 10 exp(a) is 7.53."""
    assert level(10, 3) == pytest.approx(7.533, abs=0.01)


def test_the_more_positives_the_less_the_scores_own_level_counts() -> None:
    kept = [(level(n, n // 2) - n / 2) / (n / 2) for n in (10, 40, 160)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.15


@pytest.mark.parametrize("expected", [0.5, 2_000.0])
def test_a_level_that_the_rows_refute_has_no_say(expected: float) -> None:
    assert level(expected, 20) == pytest.approx(20, rel=1e-6)


def test_a_level_without_chance_or_drift_is_told_better_than_by_the_rows_alone() -> None:
    rng = np.random.default_rng(0)
    seen = [int(n) for n in rng.poisson(8, 300) if n]
    errors = [(np.log(level(8, n) / 8), np.log(n / 8)) for n in seen]
    ours, rows_alone = np.sqrt(np.mean(np.square(errors), axis=0))
    assert ours < rows_alone / 2
