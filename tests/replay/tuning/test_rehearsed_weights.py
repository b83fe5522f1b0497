"""Whichever weights are compared, outcomes count at those of the baseline."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.contracts.metrics import Metric, MetricKind
from tasks.replay.log import Slates
from tasks.replay.replay_policies import Replay
from tasks.replay.tuning.goal import Axis, GoalMeter, WeightGoal
from tasks.replay.tuning.rehearsed_weights import RehearsedWeights
from tasks.replay.tuning.space import Weights
from tests.replay.tuning.weight_feeds import SmallLog, weighted

CURRENT = {"click": 1.0, "hide": -0.1}
CLICKED = {"click": 1.0, "hide": 0.2}
SPARED = {"click": 0.01, "hide": -1.0}
AT_ODDS = {"hide": 0.3, "click": 0.1}


def by_outcomes(small: SmallLog, *, doubled: bool = False) -> RehearsedWeights:
    """Rehearse weights, each worth what it says, for what outcomes are worth; a baseline may see more hides."""

    def slates(weights: Weights) -> Slates:
        worth = {task: np.full(len(small.click), weight) for task, weight in weights.items()}
        return replace(small.slates(weighted(small, weights), "weights"), worth=worth)

    reference = slates(CURRENT)
    seen = {"click": small.click, "hide": (1 + doubled) * small.hide}
    baseline = replace(reference, name="baseline", predictions=seen)
    goal = WeightGoal((Axis(Metric(MetricKind.OBSERVED_UTILITY), 1, None),), ())
    return RehearsedWeights(GoalMeter(Replay(small.log, reference), baseline, goal), slates)


@pytest.mark.parametrize("other", [CLICKED, SPARED, AT_ODDS])
def test_a_gain_over_other_weights_is_the_gain_over_the_baseline_less_theirs(other: Weights) -> None:
    """It was counted at the other weights, at which a point of the front could be worth anything."""
    half = by_outcomes(SmallLog(3, requests=900))
    ours = {"click": 1.0, "hide": -0.3}
    over, theirs = (half.changes(each)[0].value for each in (ours, other))
    assert half.changes(ours, other)[0].value == pytest.approx((1 + over) / (1 + theirs) - 1, rel=1e-9)


def test_weights_that_lose_at_the_baselines_weights_are_dominated_whatever_they_say_of_themselves() -> None:
    half = by_outcomes(SmallLog(3, requests=900))
    assert half.changes(SPARED)[0].high < 0 < half.changes(CLICKED)[0].value + 0.2
    assert half.find_dominated([CLICKED, SPARED]).tolist() == [False, True]


def test_outcomes_too_few_to_count_enter_as_the_baseline_predicts_them() -> None:
    small = SmallLog(3, requests=40)
    half = by_outcomes(small, doubled=True)
    utility = CURRENT["click"] * small.click + 2 * CURRENT["hide"] * small.hide
    ours, theirs = (utility[half.slates(each).slot > 0].sum() for each in (CLICKED, SPARED))
    assert half.changes(CLICKED, SPARED)[0].value == pytest.approx(ours / theirs - 1, rel=1e-9)
