"""Tasks that pull apart are found by their predictions and by what happened."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tasks.evaluation.task_pairs import ConflictEvidence, measure_conflicts

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
def found() -> ConflictEvidence:
    return measure_conflicts(PREDICTIONS, OUTCOMES, USERS, costs=["hide"])


def test_correlations_of_predictions_are_scipys(found: ConflictEvidence) -> None:
    expected = np.asarray(stats.spearmanr(np.column_stack(list(PREDICTIONS.values()))).statistic)
    found_predictions = [pair.predictions for pair in found.pairs]
    np.testing.assert_allclose(found_predictions, expected[np.triu_indices(4, 1)], atol=1e-12)
    assert found.tasks == tuple(PREDICTIONS)


def test_correlations_of_outcomes_are_pandas_over_the_rows_where_both_are_known(
    found: ConflictEvidence,
) -> None:
    frame = pd.DataFrame(OUTCOMES)
    expected = frame.corr("spearman").to_numpy()[np.triu_indices(4, 1)]
    np.testing.assert_allclose([pair.outcomes for pair in found.pairs], expected, atol=1e-12)
    both = frame["click"].notna() & frame["hide"].notna()
    assert [pair.rows for pair in found.pairs if pair.tasks == ("click", "hide")] == [both.sum()]


def test_what_is_clicked_most_is_hidden_most_and_the_share_says_so(found: ConflictEvidence) -> None:
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
    report = measure_conflicts(predictions, outcomes, np.arange(30), costs=[])
    [pair] = report.pairs
    assert np.isnan([pair.predictions, pair.outcomes]).all()
    assert pair.rows == 0


def test_no_rows_at_all_tell_nothing() -> None:
    nothing = {"a": np.array([]), "hide": np.array([])}
    report = measure_conflicts(nothing, nothing, [], costs=["hide"])
    assert np.isnan(report.pairs[0].predictions)
    assert report.at_top == ()
