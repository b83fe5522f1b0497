"""Objectives are changes against the baseline, turned so that more is better; bounds hold with room for chance."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.utility import Bounded
from tasks.errors import DataError
from tasks.replay.guardrails import ONE_SIDED
from tasks.replay.log import PolicySlates
from tasks.replay.replay_policies import Replay
from tasks.tuning.goal import (
    Axis,
    GoalBound,
    ReplayedWeights,
    WeightGoal,
    Weights,
    blocking_bounds,
)
from tests.contracts.files import load_files, setting
from tests.known import known
from tests.replay.worlds import with_segment
from tests.tuning.weight_feeds import CLICKS, HIDES, SPACE, SmallLog, replayed, weighted

OTHER = {"click": 1.0, "hide": -4.0}


def bounded(half: ReplayedWeights, bound: Bounded, *metrics: Metric) -> ReplayedWeights:
    return replace(half, goal=WeightGoal((), (GoalBound(bound, metrics),)))


def test_the_baseline_itself_changes_nothing_and_keeps_a_bound_of_zero() -> None:
    half = replayed(1, rise=0.0)
    figures = half.figures(SPACE.current)
    assert figures.objectives == (0.0, -0.0)
    assert figures.exceeded == 0


def test_a_fall_of_what_may_not_rise_is_a_gain() -> None:
    half = replayed(1)
    clicks, fall = half.figures(OTHER).objectives
    measured = known(half.replay.measure(HIDES, half.slates(OTHER), half.baseline, ())[0].relative)
    assert fall == -measured.value > 0
    assert clicks < 0


def test_a_prediction_keeps_its_bound_with_its_one_sided_interval() -> None:
    half = replayed(1)
    change = half.changes(OTHER)[0]
    lower = change.value - ONE_SIDED * (change.value - change.low)
    for slack, holds in ((1e-6, True), (-1e-6, False)):
        bound = Bounded(metric="click_predicted", relative_decrease_max=-lower + slack)
        assert (bounded(half, bound, CLICKS).figures(OTHER).exceeded == 0) is holds


def test_an_absolute_bound_is_exceeded_by_a_share_of_itself() -> None:
    half = replayed(1)
    level = known(half.replay.measure(CLICKS, half.slates(OTHER), half.baseline, ())[0].policy)
    upper = level.value + ONE_SIDED * (level.high - level.value)
    bound = Bounded(metric="click_predicted", max=upper / 2)
    assert bounded(half, bound, CLICKS).figures(OTHER).excess == pytest.approx((1.0,))


def test_an_outcome_keeps_its_bound_by_its_point() -> None:
    half = replayed(1)
    rate = Metric(MetricKind.RATE, "click")
    change = known(half.replay.measure(rate, half.slates(OTHER), half.baseline, ())[0].relative)
    bound = Bounded(metric="click_rate", relative_decrease_max=-change.value + 1e-9)
    assert bounded(half, bound, rate).figures(OTHER).exceeded == 0


def test_a_bound_that_cannot_be_told_is_no_excess_and_is_named() -> None:
    bound = Bounded(metric="new_item_exposure", relative_decrease_max=0.1)
    half = bounded(replayed(1), bound, Metric(MetricKind.NEW_ITEM_EXPOSURE))
    assert half.figures(OTHER).exceeded == 0
    assert half.unmeasured(OTHER) == ("new_item_exposure: no segment is called item_age",)


def test_what_the_baseline_never_shows_exceeds_a_bound_on_its_rise_by_all_that_it_is() -> None:
    half = replayed(1)
    before, after = half.baseline, half.slates(OTHER)
    entered = (after.slot > 0) & (before.slot == 0)
    log = with_segment(half.replay.log, "source", np.where(entered, "ads", "own"))
    share = Metric(MetricKind.SHARE, "source", "ads")
    half = replace(half, replay=Replay(log, before))
    level = known(half.replay.measure(share, after, before, ())[0].policy)
    held = bounded(half, Bounded(metric=share.name, relative_increase_max=0.5), share)
    assert held.figures(OTHER).excess == (level.value,)
    assert held.figures(SPACE.current).excess == (0.0,)
    raised = replace(half, goal=WeightGoal((Axis(share, 1, None),), ()))
    with pytest.raises(DataError, match="the baseline is 0, and no change is a share of that"):
        raised.require_measurable(OTHER)


def test_an_objective_without_a_figure_is_refused_at_once() -> None:
    goal = WeightGoal((Axis(Metric(MetricKind.NEW_ITEM_EXPOSURE), 1, None),), ())
    lost = replace(replayed(1), goal=goal)
    with pytest.raises(DataError, match="Weights cannot be tuned by new_item_exposure: no segment"):
        lost.require_measurable(SPACE.current)
    assert lost.figures(SPACE.current).objectives == (-1.0,)
    assert math.isnan(lost.changes(SPACE.current)[0].value)


def test_a_cost_brings_half_its_bound_on_what_is_predicted_also_given_its_parent(tmp_path: Path) -> None:
    """The rate given its parent alone held weights to nothing where outcomes were too few to be told."""
    rails = [
        {"metric": "return_rate", "relative_increase_max": 0.2},
        {"metric": "return_given_buy_rate", "relative_increase_max": 0.1},
        {"metric": "happy_given_click_rate", "relative_decrease_max": 0.1},
        {"metric": "return_given_buy_rate", "max": 0.5},
    ]
    contracts = load_files(tmp_path, setting("utility.guardrails", rails))
    bounds = [
        (one.bounded.metric, one.bounded.relative_increase_max, [metric.name for metric in one.metrics])
        for one in blocking_bounds(contracts, {})
    ]
    assert bounds == [
        ("return_rate", 0.2, ["return_rate"]),
        ("return_predicted", 0.1, ["return_predicted"]),
        ("return_given_buy_rate", 0.1, ["return_given_buy_rate"]),
        ("return_given_buy_predicted", 0.05, ["return_predicted", "buy_predicted"]),
        ("happy_given_click_rate", None, ["happy_given_click_rate"]),
        ("return_given_buy_rate", None, ["return_given_buy_rate"]),
    ]
    spec = contracts.tasks.tasks["return"].model_copy(update={"train": False})
    tasks = contracts.tasks.model_copy(update={"tasks": {**contracts.tasks.tasks, "return": spec}})
    untrained = blocking_bounds(replace(contracts, tasks=tasks), {})
    assert [one.bounded.metric for one in untrained] == [
        name for name, _, _ in bounds if not name.endswith("_predicted")
    ]


def test_what_is_predicted_given_a_parent_is_held_for_each_of_the_parent() -> None:
    weights = {"click": 1.0, "hide": -0.01}
    bound = Bounded(metric="hide_given_click_predicted", relative_increase_max=0.01)
    half = bounded(replayed(1), bound, HIDES, CLICKS)
    baseline, policy = half.baseline, half.slates(weights)
    hides, clicks = (
        policy.predictions[task][policy.slot > 0].mean()
        / baseline.predictions[task][baseline.slot > 0].mean()
        for task in ("hide", "click")
    )
    assert hides > clicks > 1
    assert half.figures(weights).excess == pytest.approx((hides / clicks - 1.01,))
    assert half.unmeasured(weights) == ()


def test_what_nobody_predicts_given_a_parent_is_no_excess_and_is_named() -> None:
    bound = Bounded(metric="hide_given_click_predicted", relative_increase_max=0.01)
    half = bounded(replayed(1), bound, HIDES, CLICKS)
    baseline, policy = (replace(each, predictions={}) for each in (half.baseline, half.slates(OTHER)))
    half = replace(half, baseline=baseline, slates=lambda weights: policy)
    assert half.figures(OTHER).excess == (0.0,)
    assert half.unmeasured(OTHER) == ("hide_given_click_predicted: other gives no figure for it",)


CURRENT = {"click": 1.0, "hide": -0.1}
CLICKED = {"click": 1.0, "hide": 0.2}
SPARED = {"click": 0.01, "hide": -1.0}
AT_ODDS = {"hide": 0.3, "click": 0.1}


def by_outcomes(small: SmallLog, *, doubled: bool = False) -> ReplayedWeights:
    """Replay weights, each worth what it says, for what outcomes are worth; a baseline may see more hides."""

    def slates(weights: Weights) -> PolicySlates:
        worth = {task: np.full(len(small.click), weight) for task, weight in weights.items()}
        return replace(small.slates(weighted(small, weights), "weights"), worth=worth)

    reference = slates(CURRENT)
    seen = {"click": small.click, "hide": (1 + doubled) * small.hide}
    baseline = replace(reference, name="baseline", predictions=seen)
    goal = WeightGoal((Axis(Metric(MetricKind.OBSERVED_UTILITY), 1, None),), ())
    return ReplayedWeights(Replay(small.log, reference), baseline, goal, slates)


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
