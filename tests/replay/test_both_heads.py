"""Two heads judge together: neither's own slates look better than they are, and a head without knowledge counts for nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from benchmarks.both_heads import Setting, judged
from tasks.arrays import Floats
from tasks.replay.both_heads import by_both
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.read_log import LogReading, candidate_log

ROWS = 6000
RNG = np.random.default_rng(1)
ODDS: Floats = RNG.normal(-2.0, 1.0, ROWS)


def chances(odds: Floats) -> Floats:
    return np.asarray(expit(odds), dtype=np.float64)


FIRST, SECOND = chances(ODDS + RNG.normal(0, 0.5, ROWS)), chances(ODDS + RNG.normal(0, 0.5, ROWS))
CLICKED = (RNG.random(ROWS) < chances(ODDS)).astype(float)


def log(clicked: Floats = CLICKED) -> CandidateLog:
    frame = pd.DataFrame(
        {
            "request_id": (np.arange(ROWS) // 10).astype(str),
            "user_id": (np.arange(ROWS) // 10).astype(str),
            "item_id": np.arange(ROWS).astype(str),
            "shown_at": pd.Timestamp("2026-03-01T09:00:00Z"),
            "position": np.arange(ROWS) % 10 + 1.0,
            "click": clicked,
        }
    )
    return candidate_log(
        frame, LogReading({"click": ("click",)}, segments={}, examination=None, complete=True)
    )


def release(name: str, head: Floats) -> PolicySlates:
    return PolicySlates(name, np.ones(ROWS, dtype=np.int64), predictions={"click": head})


def both(first: Floats, second: Floats, of: CandidateLog | None = None) -> PolicySlates | None:
    return by_both(of or log(), release("release 2", first), release("release 1", second), "click")


def test_together_they_are_the_logistic_regression_on_both() -> None:
    design = np.column_stack([logit(FIRST), logit(SECOND)])
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(design, CLICKED)
    found = both(FIRST, SECOND)
    assert found is not None
    assert found.name == "release 2 and release 1"
    assert found.predictions["click"] == pytest.approx(oracle.predict_proba(design)[:, 1], rel=0.02)


def test_a_head_that_knows_nothing_counts_for_nothing() -> None:
    guessed = RNG.permutation(FIRST)
    found = both(guessed, SECOND)
    assert found is not None
    assert np.corrcoef(logit(found.predictions["click"]), logit(SECOND))[0, 1] > 0.995


@pytest.mark.parametrize("known", [19, ROWS - 19])
def test_of_few_outcomes_each_judges_by_itself(known: int) -> None:
    assert both(FIRST, SECOND, log((np.arange(ROWS) < known).astype(float))) is None


def test_one_head_in_both_releases_and_amounts_are_not_joined() -> None:
    assert both(FIRST, FIRST.copy()) is None
    assert both(FIRST, SECOND, log(CLICKED * 2.5)) is None
    unnamed = replace(release("release 1", SECOND), predictions={})
    assert by_both(log(), release("release 2", FIRST), unnamed, "click") is None


def test_what_is_no_chance_is_the_mean_of_both() -> None:
    first, second = FIRST.copy(), SECOND.copy()
    first[0], second[1] = 0.0, np.nan
    found = both(first, second)
    assert found is not None
    assert found.predictions["click"][0] == pytest.approx(second[0] / 2)
    assert np.isnan(found.predictions["click"][1])


def test_of_equal_heads_neither_judge_is_right_alone() -> None:
    true, release, baseline, together = np.mean([judged(seed, Setting()) for seed in range(2)], axis=0)
    assert true == pytest.approx(0, abs=0.02)
    assert release < -0.08
    assert baseline > 0.08
    assert together == pytest.approx(true, abs=0.08)
