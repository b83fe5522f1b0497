"""Tasks that pull apart are found by their predictions and by what happened."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tasks.evaluation.conflicts import ConflictReport, conflict_report

RNG = np.random.default_rng(6)
N = 4000
USERS = RNG.integers(300, size=N)
BAIT = RNG.random(N)
PREDICTIONS = {
    "click": 0.1 + 0.3 * BAIT + 0.05 * RNG.random(N),
    "like": np.round(0.2 - 0.1 * BAIT + 0.1 * RNG.random(N), 2),  # with ties
    "hide": 0.01 + 0.05 * BAIT**2,
    "seconds": RNG.random(N) * 30,
}
OUTCOMES = {
    name: np.where(RNG.random(N) < 0.2, np.nan, (RNG.random(N) < p).astype(float))
    for name, p in PREDICTIONS.items()
}
OUTCOMES["seconds"] = np.where(RNG.random(N) < 0.5, RNG.exponential(9, N) * BAIT, 0.0)


@pytest.fixture(scope="module")
def found() -> ConflictReport:
    return conflict_report(PREDICTIONS, OUTCOMES, USERS, costs=["hide"])


def test_correlations_of_predictions_are_scipys(found: ConflictReport) -> None:
    expected = stats.spearmanr(np.column_stack(list(PREDICTIONS.values()))).statistic
    np.testing.assert_allclose(found.predictions, expected, atol=1e-12)
    assert found.tasks == tuple(PREDICTIONS)


def test_correlations_of_outcomes_are_pandas_over_the_rows_where_both_are_known(
    found: ConflictReport,
) -> None:
    frame = pd.DataFrame(OUTCOMES)
    np.testing.assert_allclose(found.outcomes, frame.corr("spearman"), atol=1e-12)
    both = frame["click"].notna() & frame["hide"].notna()
    assert found.rows[0, 2] == both.sum()
    assert found.rows[3, 3] == N


def test_what_is_clicked_most_is_hidden_most_and_the_share_says_so(found: ConflictReport) -> None:
    shares = {overlap.task: overlap for overlap in found.at_top}
    assert set(shares) == {"click", "like", "seconds"}, "a cost is not held against itself"
    click, hide = (PREDICTIONS[name] >= np.sort(PREDICTIONS[name])[-N // 10] for name in ("click", "hide"))
    assert shares["click"].share.value == pytest.approx((click & hide).sum() / click.sum())
    assert shares["click"].share.low > 0.1
    assert shares["like"].share.high < 0.1
    assert shares["seconds"].share.low < 0.1 < shares["seconds"].share.high, "by chance"
    assert shares["click"].rows == N // 10
    assert shares["click"].expected == pytest.approx(0.1)


def test_a_constant_and_an_outcome_that_nobody_knows_tell_nothing() -> None:
    predictions = {"a": np.full(30, 0.1), "b": np.arange(30.0)}
    outcomes = {"a": np.full(30, np.nan), "b": np.zeros(30)}
    report = conflict_report(predictions, outcomes, np.arange(30), costs=[])
    assert np.isnan(report.predictions[0]).all()
    assert report.predictions[1, 1] == 1
    assert np.isnan(report.outcomes).all()
    assert report.rows.tolist() == [[0, 0], [0, 30]]


def test_no_rows_at_all_tell_nothing() -> None:
    nothing = {"a": np.array([]), "hide": np.array([])}
    report = conflict_report(nothing, nothing, [], costs=["hide"])
    assert np.isnan(report.predictions).all()
    assert report.at_top == ()
