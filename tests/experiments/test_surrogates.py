"""Slow outcomes follow fast ones across experiments, by changes whose truth is known."""

import math
from pathlib import Path

import numpy as np
import pytest

from tasks.cli import main
from tasks.errors import DataError
from tasks.experiments.evidence import OutcomeChanges, ReadState
from tasks.experiments.offline import find_surrogates, surrogate_slope
from tests.experiments.test_learn import open_workspace, record

CORRELATED = np.array([[1.0, 0.6], [0.6, 1.0]])
"""Covariance of the errors of two outcomes of the same users."""


def drawn(seed: int, *, slope: float, size: float = 2.5, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return experiments whose fast changes are ``size`` times their errors, and the covariance of these."""
    rng = np.random.default_rng(seed)
    fast = size * rng.standard_normal(count)
    errors = rng.multivariate_normal([0, 0], CORRELATED, count)
    return np.column_stack([fast, slope * fast]) + errors, np.tile(CORRELATED, (count, 1, 1))


@pytest.mark.parametrize("slope", [0.0, 0.5, -1.0])
def test_intervals_hold_the_slope_that_shared_errors_would_hide(slope: float) -> None:
    fits = [surrogate_slope(*drawn(seed, slope=slope))[1] for seed in range(400)]
    fits = [fit for fit in fits if not math.isnan(fit.value)]
    assert len(fits) > 300
    assert np.mean([fit.low <= slope <= fit.high for fit in fits]) > 0.9
    assert np.median([fit.value for fit in fits]) == pytest.approx(slope, abs=0.05)


def test_the_slope_is_that_of_the_formula() -> None:
    changes, errors = drawn(1, slope=0.5, size=5.0)
    signal, slope = surrogate_slope(changes, errors)
    x, y = changes.T
    assert signal == pytest.approx((x @ x) / 12)
    assert slope.value == pytest.approx((x @ y / 12 - 0.6) / (x @ x / 12 - 1))


def test_few_experiments_or_changes_that_are_errors_have_no_slope() -> None:
    few = surrogate_slope(*drawn(1, slope=0.5, size=9.0, count=7))
    weak = surrogate_slope(*drawn(1, slope=0.5, size=0.1))
    assert (math.isnan(few[1].value), math.isnan(weak[1].value)) == (True, True)
    assert few[0] > 3 > weak[0]
    assert surrogate_slope(np.zeros((0, 2)), np.zeros((0, 2, 2)))[0] == 0


def test_shapes_and_unknown_figures_are_refused() -> None:
    with pytest.raises(DataError, match="do not fit"):
        surrogate_slope(np.zeros((3, 1)), np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="not finite"):
        surrogate_slope([[0.1, math.nan]], [CORRELATED])


def test_a_surface_lists_its_proxies_with_what_experiments_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clicks moved and satisfaction moved against them; purchases moved in two experiments only."""
    workspace = open_workspace(tmp_path)
    rng = np.random.default_rng(0)
    fast = 0.03 * rng.standard_normal(10)
    for n, clicks in enumerate(fast):
        names, changes = ["satisfied_2d_rate", "click_30m_rate"], [-0.5 * clicks, clicks]
        if n < 2:
            names, changes = [*names, "purchase_2d_rate", "return_5d_rate"], [*changes, 0.01, 0.01]
        covariance = (1e-6 * np.eye(len(names))).tolist()
        outcomes = OutcomeChanges(outcomes=tuple(names), changes=tuple(changes), covariance=covariance)
        record(workspace, n, outcomes)
    record(
        workspace,
        10,
        OutcomeChanges(**{**outcomes.model_dump(), "changes": (9.0, 9.0)}),
        state=ReadState.RUNNING,
    )
    clicks, purchases = find_surrogates(workspace)
    assert (clicks.fast, clicks.slow, clicks.experiments) == ("click_30m_rate", "satisfied_2d_rate", 10)
    assert clicks.slope.value == pytest.approx(-0.5, abs=0.01)
    assert clicks.conclusion == "moves the other way"
    assert (purchases.fast, purchases.slow, purchases.experiments) == (
        "purchase_2d_rate",
        "return_5d_rate",
        2,
    )
    assert purchases.conclusion == "8 finished experiments with both outcomes are needed"
    where = [f"--{name}={getattr(workspace, name)}" for name in ("home", "surfaces")]
    assert main(["experiment", "list", workspace.surface, *where]) == 0
    printed = capsys.readouterr().out
    assert "changes of slow outcomes on those of their proxies:" in printed
    assert "moves the other way" in printed
