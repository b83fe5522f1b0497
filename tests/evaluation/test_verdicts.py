"""A bound is judged by the whole interval."""

import json
import math

import numpy as np
import pytest
from pydantic import TypeAdapter

from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Segment, Threshold
from tasks.evaluation.verdicts import (
    UNKNOWN_ESTIMATE,
    Estimate,
    Growth,
    Outcome,
    Verdict,
    evaluate_interval,
    plan_days,
)
from tests.verdicts import bound, subject


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.9, 1.1, Outcome.PASS),  # closed at both ends
        (0.89, 1.0, Outcome.INCONCLUSIVE),
        (1.1, 1.2, Outcome.INCONCLUSIVE),
        (1.11, 1.2, Outcome.BLOCK),
        (0.5, 0.89, Outcome.BLOCK),
    ],
)
def test_inside_passes_outside_blocks_and_across_inconclusive(
    low: float, high: float, outcome: Outcome
) -> None:
    assert evaluate_interval(Estimate((low + high) / 2, low, high, 9), low=0.9, high=1.1) is outcome


def test_an_open_side_allows_everything_and_two_are_no_rule() -> None:
    assert evaluate_interval(Estimate(9.0, 8.0, 10.0, 9), low=0.9) is Outcome.PASS
    assert evaluate_interval(Estimate(9.0, 8.0, 10.0, 9)) is Outcome.NO_RULE


def test_what_cannot_be_measured_never_passes() -> None:
    assert evaluate_interval(UNKNOWN_ESTIMATE, low=0.0) is Outcome.INCONCLUSIVE
    assert evaluate_interval(None, low=0.0) is Outcome.METRIC_MISSING


def test_a_bound_may_warn() -> None:
    assert evaluate_interval(Estimate(2.0, 1.9, 2.1, 9), high=1.0, action="warn") is Outcome.WARN


def test_a_verdict_is_plain_json_without_nan() -> None:
    verdict = Verdict(
        "calibration",
        subject("click.ratio"),
        ALL,
        Outcome.BLOCK,
        bound("0.9 to 1.1"),
        Estimate(2.0, math.nan, math.nan, 1),
    )
    plain = verdict.to_json()
    assert plain["outcome"] == "block"
    assert plain["observed"] == {"value": 2.0, "low": None, "high": None, "n": 1}
    assert verdict.of == "click.ratio"


@pytest.mark.parametrize(
    ("segment", "outcome", "harms"),
    [
        (Segment("source", "ads"), Outcome.BLOCK, True),
        (Segment("source", "ads"), Outcome.WARN, True),
        (Segment("source", "ads"), Outcome.INCONCLUSIVE, False),
        (ALL, Outcome.BLOCK, False),
    ],
)
def test_a_segment_is_harmed_where_its_own_bound_is_broken(
    segment: Segment, outcome: Outcome, harms: bool
) -> None:
    assert Verdict("decision", subject("hide_rate"), segment, outcome, bound(""), None).harms_segment is harms


@pytest.mark.parametrize("allowed", [Threshold(high=0.1), Threshold(0.9, 1.1, "days"), NO_THRESHOLD])
def test_a_verdict_comes_back_from_a_document_with_its_open_ends(allowed: Threshold) -> None:
    named = subject("click.auc_drop vs four promotions ago")
    verdict = Verdict("decision", named, ALL, Outcome.PASS, allowed, None)
    plain = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert TypeAdapter(Verdict).validate_python(plain) == verdict


def test_the_variances_of_one_day_and_of_all_are_those_of_the_windows() -> None:
    """Two users on two days, by hand: z is [[.3, .1], [-.2, -.2]]."""
    influence, users, days = np.array([0.3, 0.1, -0.2, -0.2]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    growth = Growth.of(influence, users, days)
    assert growth is not None
    one_day = 2 * (0.09 + 0.01 + 0.04 + 0.04)  # the mean of both days, each with twice the influence
    assert growth.by_day / 1 + growth.shared == pytest.approx(one_day)
    assert growth.by_day / 2 + growth.shared == pytest.approx(0.4**2 + 0.4**2)


def test_users_who_never_return_share_nothing_and_a_habit_is_all_shared() -> None:
    rng = np.random.default_rng(0)
    away = rng.standard_normal(4000)
    growth = Growth.of(away - away.mean(), np.arange(4000), np.arange(4000) % 7)
    assert growth is not None
    assert growth.shared == pytest.approx(0.0, abs=1e-9)
    habit = np.repeat(rng.standard_normal(500), 7)
    growth = Growth.of(habit - habit.mean(), np.repeat(np.arange(500), 7), np.tile(np.arange(7), 500))
    assert growth is not None
    assert growth.by_day == pytest.approx(0.0, abs=1e-9)


def test_no_number_of_days_decides_a_bound_that_returning_users_alone_blur() -> None:
    growth = Growth(days=7, by_day=0.02, shared=0.001)
    least = 0.001**0.5 * 2.486485
    assert growth.days_needed(math.expm1(1.01 * least)) < math.inf
    assert growth.days_needed(math.expm1(0.99 * least)) == math.inf
    assert growth.days_needed(-0.05) == math.inf


def test_the_clustering_that_asks_for_more_days_decides_and_a_bound_of_zero_has_none() -> None:
    few, many = Growth(7, 0.01, 0.0), Growth(7, 0.02, 0.0001)
    assert plan_days([few, many], 0.15) == many.days_needed(0.15)
    assert math.isnan(plan_days([few, many], 0.0))
    assert math.isnan(plan_days([], 0.15))
    assert Growth.of(np.zeros(4), np.arange(4), np.zeros(4, dtype=int)) is None
