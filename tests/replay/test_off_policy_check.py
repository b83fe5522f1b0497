"""What propensities alone say beside the replay: near the truth of simulated feeds, and off it where it errs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.arrays import Floats
from tasks.contracts import Contracts, UtilitySpec
from tasks.replay.evaluate import OfflineEvaluation
from tasks.replay.evidence import OffPolicyCheck
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.off_policy_check import check_off_policy, disagreements
from tests.replay.worlds import LOOKS, Feed, feed
from tests.training.surfaces import binary, surface

World = tuple[Feed, PolicySlates, PolicySlates]
"""A feed, a release and a champion."""
RATE = {"metric": "click_rate", "relative_increase_max": 0.1, "max": 0.5}
FEEDS = 12


def contracts(*guardrails: dict[str, Any]) -> Contracts:
    made = surface({"click": binary("click", "PT30M")})
    plain = made.utility.model_dump(mode="json") | {"guardrails": list(guardrails)}
    return replace(made, utility=UtilitySpec.model_validate(plain))


def release_and_champion(world: Feed) -> tuple[PolicySlates, PolicySlates]:
    """Two rankers that know part of what people like; the first with its predictions."""
    noise = [0.5 * world.rng.normal(size=world.signal.shape) for _ in range(2)]
    chance = 1 / (1 + np.exp(-(-2.2 + world.signal + noise[0])))
    release = world.ranked("release", chance, predicts=True)
    worth = {"click": np.ones(world.signal.size)}
    return replace(release, worth=worth), replace(world.ranked("champion", noise[1]), worth=worth)


def short(slates: PolicySlates, slots: int) -> PolicySlates:
    """Return slates of which only the first slots are filled."""
    return replace(slates, slot=np.where(slates.slot <= slots, slates.slot, 0))


def checked(
    log: CandidateLog, policy: PolicySlates, baseline: PolicySlates, *guardrails: dict[str, Any]
) -> list[OffPolicyCheck]:
    return list(
        check_off_policy(OfflineEvaluation(contracts(*(guardrails or (RATE,))), log, policy, baseline))
    )


def figure(checks: list[OffPolicyCheck], metric: str, bound: str) -> OffPolicyCheck:
    (one,) = [check for check in checks if (check.subject.name, check.bound) == (metric, bound)]
    return one


@pytest.fixture(scope="module")
def feeds() -> list[World]:
    worlds = [feed(seed) for seed in range(FEEDS)]
    return [(world, *release_and_champion(world)) for world in worlds]


@pytest.mark.parametrize(("slots", "estimator"), [(6, "place_dr"), (1, "cascade_dr")])
def test_over_feeds_the_estimate_is_the_truth_and_its_interval_holds_it(
    feeds: list[World], slots: int, estimator: str
) -> None:
    """A slate of six is never drawn by chance from the top; of one slot the first estimator has support."""
    errors, plain_errors, covered, agreed = [], [], 0, 0
    for world, release, champion in feeds:
        ours, theirs = short(release, slots), short(champion, slots)
        checks = checked(world.log, ours, theirs)
        level, change = (figure(checks, "click_rate", bound) for bound in ("level", "change"))
        assert (level.estimator, level.against) == (estimator, "champion")
        true = world.truth(ours)
        errors.append(level.off_policy.value / true - 1)
        plain_errors.append(level.without_model.value / true - 1)
        covered += level.off_policy.low <= true <= level.off_policy.high
        true_change = true / world.truth(theirs) - 1
        covered += change.off_policy.low <= true_change <= change.off_policy.high
        agreed += (level.verdict == "agrees") + (change.verdict == "agrees")
    assert abs(np.mean(errors)) < 0.04
    assert abs(np.mean(plain_errors)) < 0.06
    assert covered >= 2 * FEEDS - 4
    assert agreed >= 2 * FEEDS - 4


def test_the_primary_is_checked_too_and_is_the_rate_at_a_worth_of_one(feeds: list[World]) -> None:
    world, release, champion = feeds[0]
    checks = checked(world.log, release, champion)
    rate, primary = (figure(checks, name, "change") for name in ("click_rate", "observed_utility"))
    assert primary.off_policy.value == pytest.approx(rate.off_policy.value)
    assert primary.difference.high == pytest.approx(rate.difference.high)


def test_a_curve_that_is_wrong_is_found_by_the_difference(feeds: list[World]) -> None:
    """Read as if the last place were seldom looked at, a click there says too much of every other place."""
    found = 0
    for world, release, champion in feeds:
        steep = replace(world.log, examination=np.array([1.0, 0.6, 0.4, 0.25, 0.15, 0.1]))
        level = figure(checked(steep, release, champion), "click_rate", "level")
        found += level.verdict == "disagrees"
        assert level.difference.value == pytest.approx(level.off_policy.value - level.replayed.value)
    assert found >= FEEDS - 2


def test_the_logged_order_needs_no_weights(feeds: list[World]) -> None:
    world, release, _ = feeds[0]
    change = figure(checked(world.log, release, world.logged()), "click_rate", "change")
    assert change.against == "logged order"
    assert change.off_policy.known
    same = figure(checked(world.log, release, release), "click_rate", "change")
    assert (same.off_policy.value, same.difference.value, same.verdict) == (0.0, 0.0, "agrees")


def test_an_anchor_is_the_baseline_of_the_guardrail_that_names_it(feeds: list[World]) -> None:
    world, release, champion = feeds[0]
    rails = contracts({**RATE, "anchor": "stable"})
    old = replace(champion, name="release 1")
    made = check_off_policy(OfflineEvaluation(rails, world.log, release, release, {"stable": old}))
    assert {one.against for one in made if str(one.subject) == "click_rate"} == {"release 1"}


def test_what_disagrees_is_said_in_a_sentence(feeds: list[World]) -> None:
    world, release, champion = feeds[0]
    level = figure(checked(world.log, release, champion), "click_rate", "level")
    (told,) = disagreements([level.model_copy(update={"verdict": "disagrees"}), level])
    assert told.startswith("click_rate: the replay and the off-policy estimate (place_dr) disagree")
    change = level.model_copy(update={"verdict": "disagrees", "bound": "change"})
    assert "the change against champion" in next(disagreements([change]))


def _with_propensities(log: CandidateLog, change: Callable[[Floats], Floats]) -> CandidateLog:
    assert log.propensity is not None
    return replace(log, propensity=change(log.propensity))


UNTOLD: dict[str, tuple[Callable[[CandidateLog], CandidateLog], str]] = {
    "only what was shown": (lambda log: replace(log, complete=False), "only what was shown is logged"),
    "inclusion": (lambda log: replace(log, propensity=None), "is of being on the page"),
    "a propensity of 0": (
        lambda log: _with_propensities(log, lambda p: np.where(log.logged_position == 1, 0.0, p)),
        "1,400 of 8,400 logged propensities are not above 0 and at most 1",
    ),
    "wrong propensities": (
        lambda log: _with_propensities(log, lambda p: np.minimum(1.0, 1.5 * p)),
        "the mean of the weights is",
    ),
    "contradicted": (
        lambda log: replace(log, inclusion=None if log.inclusion is None else 1.3 * log.inclusion),
        "propensities are wrong",
    ),
    "no curve": (lambda log: replace(log, examination=None), "no examination curve"),
}


@pytest.mark.parametrize("case", UNTOLD)
def test_what_cannot_be_told_says_why(feeds: list[World], case: str) -> None:
    world, release, champion = feeds[1]
    change, reason = UNTOLD[case]
    level = figure(checked(change(world.log), release, champion), "click_rate", "level")
    assert level.verdict == "inconclusive"
    assert reason in level.reason
    assert not level.difference.known


def test_a_log_without_propensities_is_not_asked() -> None:
    world = feed(3, propensities=False)
    assert checked(world.log, *release_and_champion(world)) == []


def test_recall_and_a_level_of_gain_have_no_estimate(feeds: list[World]) -> None:
    world, release, champion = feeds[0]
    rails = [
        {"metric": "recall_click", "relative_decrease_max": 0.1},
        {"metric": "ndcg_click", "relative_decrease_max": 0.1, "min": 0.1},
        {"metric": "coverage", "relative_decrease_max": 0.1},
    ]
    checks = checked(world.log, release, champion, *rails)
    assert "a slate holds a part" in figure(checks, "recall_click", "change").reason
    assert "no level" in figure(checks, "ndcg_click", "level").reason
    assert figure(checks, "ndcg_click", "change").off_policy.known
    assert "coverage" not in {one.subject.name for one in checks}  # it follows from the slots alone


def test_slots_that_the_log_never_fills_cannot_be_told(feeds: list[World]) -> None:
    world, release, champion = feeds[0]
    rank = (-release.predictions["click"].reshape(world.signal.shape)).argsort(axis=1).argsort(axis=1) + 1
    longer = replace(release, slot=np.where(rank <= len(LOOKS) + 1, rank, 0).ravel())
    level = figure(checked(world.log, longer, champion), "click_rate", "level")
    assert "release: the log fills 6 places, and it has slots below them" in level.reason


def test_few_users_and_few_outcomes_are_thin() -> None:
    for requests, base, reason in ((40, -2.2, "equal users"), (1400, -9.0, "outcomes have a weight")):
        world = feed(1, requests=requests, base=base)
        level = figure(checked(world.log, *release_and_champion(world)), "click_rate", "level")
        assert level.verdict == "inconclusive"
        assert reason in level.reason
        assert not level.off_policy.known
