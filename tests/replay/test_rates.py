"""Rates of what a policy would lead to: by hand on one page, and against the truth of simulated feeds.

Two heads judge together: neither's own slates look better than they are, and a head without knowledge counts for nothing.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from benchmarks.both_heads import Setting, judged
from benchmarks.covering.fading_visibility import fading_visibility
from benchmarks.covering.own_exploration import own_exploration
from tasks.arrays import Floats
from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.verdicts import Estimate
from tasks.replay.compared import BIASED
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.rates import RateEstimator, TermWorth, by_both
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay
from tests.known import known
from tests.replay.worlds import (
    AT_RANDOM,
    CURVE,
    LOGGED,
    SWAPPED,
    Feed,
    copied,
    feed,
    metric,
    page,
    slates,
    value,
)

RATE, GAIN = Metric(MetricKind.RATE, "click"), Metric(MetricKind.NDCG, "click")
LOOKS_OF_TWO_PAGES = 2 * (1.0 + 0.5 + 0.25)


def test_a_rate_is_per_look_so_the_logged_order_reads_clicks_over_looks() -> None:
    logged = PolicySlates("logged order", np.array(LOGGED), follows_log=True)
    measured = Replay(page(propensity=AT_RANDOM), logged).measure(metric("click_rate"), logged, logged, ())
    assert known(measured[0].policy).value == pytest.approx(2 / LOOKS_OF_TWO_PAGES)


def test_where_only_what_was_shown_is_logged_a_click_counts_for_the_looks_it_will_get() -> None:
    # request b's click moves from place 2 to 1: 1 x 1 / .5 = 2 clicks; request a's from 1 to 2: .5
    log = page(complete=False)
    assert value("click_rate", SWAPPED, log=log) == pytest.approx((0.5 + 2.0) / LOOKS_OF_TWO_PAGES)


def test_a_shown_item_stands_for_the_chances_that_it_had() -> None:
    """By lot over three places: w of the first is 3 a1 + a2 + a3, of the second 2 a2 + a3, of the last a3."""
    a1, a2, a3 = 1 / 1.75, 0.5 / 1.75, 0.25 / 1.75
    log = page(propensity=AT_RANDOM)
    assert known(log.inclusion)[:3] == pytest.approx([3 * a1 + a2 + a3, 2 * a2 + a3, a3])
    clicks = (3 * a1 + a2 + a3) * 1.0 * 0.5 + (2 * a2 + a3) / 0.5 * 1.0
    assert value("click_rate", SWAPPED, log=log) == pytest.approx(clicks / LOOKS_OF_TWO_PAGES)


def test_a_prediction_is_corrected_by_what_was_seen_where_something_was_seen() -> None:
    log = page(propensity=AT_RANDOM)
    q, w, examined = 0.3, known(log.inclusion)[:3], np.array([0.5, 1.0, 0.25])
    first = examined * (q + w * (np.array([1.0, 0.0, 0.0]) - q))
    second = examined * (q + w * (np.array([0.0, 1.0 / 0.5, 0.0]) - q))
    predicted = replace(slates("p", SWAPPED, {"click": [q] * 6}), where_shown={"click": np.full(6, q)})
    (measured,) = Replay(log, predicted).measure(RATE, predicted, predicted, ())
    assert known(measured.policy).value == pytest.approx((first.sum() + second.sum()) / LOOKS_OF_TWO_PAGES)


def test_the_noise_of_a_row_is_the_spread_of_its_outcome_times_its_weight() -> None:
    """Of .3 clicks a look at examination 1, .5 and .25 one sees squares of 1 + 4, and expects .3 x 2 x 7."""
    log, q = page(propensity=AT_RANDOM), 0.3
    (noise,) = [RateEstimator(log, {"click": np.full(6, q)}).rate("click", slates("p", SWAPPED)).noise]
    variance = 5 / (q * 2 * 7) * q / np.array([1.0, 0.5, 0.25]) - q**2
    assert known(noise)[:3] == pytest.approx(
        np.array([0.5, 1.0, 0.25]) * known(log.inclusion)[:3] * np.sqrt(variance)
    )


def test_intervals_of_a_rare_rate_hold_the_truth_where_one_slot_was_explored() -> None:
    """By what was seen alone 30 of 40 did: in few explored slots there is often no rare outcome."""
    found = [*own_exploration(40, rare=3.0)]
    assert sum(one.low <= one.truth <= one.high for one in found) >= 0.93 * len(found)
    assert len(found) == 40


def test_labels_that_fade_down_the_page_are_stood_for_place_by_place() -> None:
    """The truth is +31 %; with one share of known labels for all places it was read as +18 %."""
    feeds = [*fading_visibility(6)]
    estimates = [(one.low + one.high) / 2 for one in feeds]
    assert np.mean(estimates) == pytest.approx(np.mean([one.truth for one in feeds]), abs=0.06)


def test_looks_of_places_without_labels_leave_a_figure_inconclusive_and_are_counted_for_their_task_alone() -> (
    None
):
    """Of the third place no label is known, and it makes a seventh of the looks of the logged order."""
    log = copied(page(labels=[1, 0, None, 0, 1, None], complete=False), 60)
    known = candidate_log(
        pd.DataFrame(
            {
                "request_id": log.requests,
                "user_id": log.users,
                "item_id": log.items,
                "shown_at": pd.Timestamp("2026-03-01T09:00:00Z"),
                "position": log.logged_position,
                "click": log.labels["click"],
                "view": 1.0,
            }
        ),
        LogReading(
            {"click": ("click",), "view": ("view",)}, examination=CURVE, complete=True, shown_is_all=True
        ),
    )
    logged = PolicySlates("logged order", np.array(LOGGED * 60), follows_log=True)
    replay = Replay(known, logged)
    clicked, viewed = (
        replay.caveat(Metric(MetricKind.RATE, task), logged, logged) for task in ("click", "view")
    )
    assert clicked.startswith("logged order: 14% of its exposure")
    assert viewed == ""


def test_unknown_labels_are_stood_for_by_known_ones() -> None:
    log = page(labels=[1, None, 0, 0, 1, 0], complete=False)
    # five of six are known, so each stands for 6 / 5
    assert value("click_rate", LOGGED, log=log) == pytest.approx(6 / 5 * 2.0 / LOOKS_OF_TWO_PAGES)


@pytest.fixture(scope="module")
def feeds() -> list[Feed]:
    return [feed(seed) for seed in range(12)]


def _policies(world: Feed) -> dict[str, PolicySlates]:
    noise = world.rng.normal(size=world.signal.shape)
    release = 1 / (1 + np.exp(-(-2.2 + world.signal + 0.3 * noise)))
    return {
        "release": world.ranked("release", release, predicts=True),
        "champion": world.ranked("champion", world.signal + 0.3 * world.rng.normal(size=noise.shape)),
        "random": world.ranked("random", world.rng.random(noise.shape)),
        "log": world.logged(),
    }


@pytest.mark.parametrize(
    ("policy", "baseline", "within"),
    [
        ("release", "log", 0.03),
        ("random", "log", 0.03),
        ("release", "champion", 0.02),
        ("random", "champion", 0.03),
    ],
)
def test_the_mean_change_over_feeds_is_the_true_one(
    feeds: list[Feed], policy: str, baseline: str, within: float
) -> None:
    """Where slots without a shown item are left out, random order reads as nearly no change."""
    errors, covered = [], 0
    for world in feeds:
        made = _policies(world)
        ours, theirs = made[policy], made[baseline]
        (measured,) = Replay(world.log, made["release"]).measure(RATE, ours, theirs, ())
        true = world.truth(ours) / world.truth(theirs) - 1
        assert measured.relative is not None
        assert not measured.reason
        errors.append(measured.relative.value - true)
        covered += measured.relative.low <= true <= measured.relative.high
    assert abs(np.mean(errors)) < within
    assert covered >= 10


def test_the_gain_of_an_order_has_the_sign_of_the_truth(feeds: list[Feed]) -> None:
    for world in feeds:
        made = _policies(world)
        replay = Replay(world.log, made["release"])
        for policy, better in (("release", True), ("random", False)):
            gain = known(replay.measure(GAIN, made[policy], made["log"], ())[0].relative)
            assert (gain.value > 0) is better


def test_equal_policies_of_different_names_change_by_nothing(feeds: list[Feed]) -> None:
    release = _policies(feeds[0])["release"]
    (measured,) = Replay(feeds[0].log, release).measure(RATE, release, replace(release, name="other"), ())
    assert measured.relative == Estimate(0.0, 0.0, 0.0, measured.relative.n if measured.relative else 0)


def test_a_log_without_propensities_says_that_it_favours_its_ranker() -> None:
    world = feed(3, propensities=False)
    made = _policies(world)
    (measured,) = Replay(world.log, made["release"]).measure(RATE, made["random"], made["log"], ())
    assert measured.reason == BIASED
    assert measured.policy is not None


def test_propensities_that_are_not_what_they_say_are_refused() -> None:
    world = feed(4)
    wrong = replace(world.log, inclusion=known(world.log.inclusion) * 1.3)
    made = _policies(world)
    (measured,) = Replay(wrong, made["release"]).measure(RATE, made["random"], made["log"], ())
    assert "random: the logged propensities are wrong" in measured.reason


def test_a_policy_that_shows_what_the_log_never_shows_cannot_be_told() -> None:
    world = feed(5)
    made = _policies(world)
    assert world.log.inclusion is not None
    unsupported = made["random"].slot > 0
    blind = replace(world.log, inclusion=np.where(unsupported, 0.0, 1.0))
    (measured,) = Replay(blind, made["release"]).measure(RATE, made["random"], made["release"], ())
    assert measured.reason


def test_observed_utility_adds_the_worth_of_each_outcome() -> None:
    log = page(complete=False)
    worth = np.array([2.0, 1.0, 1.0, 1.0, 3.0, 1.0])
    utility = (
        RateEstimator(log).utility([TermWorth("click", {"click": worth})], slates("p", SWAPPED)).statistic
    )
    assert utility.value == pytest.approx((2.0 * 0.5 + 3.0 * 2.0) / LOOKS_OF_TWO_PAGES)


def test_a_term_of_too_few_events_enters_by_the_baselines_prediction() -> None:
    log = page(complete=False)
    worth = {"click": np.ones(6)}
    policy = replace(slates("p", SWAPPED, {"click": [0.9] * 6}), worth=worth)
    baseline = replace(slates("b", LOGGED, {"click": [0.1] * 6}), worth=worth)
    terms = Replay(log, policy).utility_terms(policy, baseline)
    assert terms.believed == {"click": 2}
    predicted = known(terms.terms[0].predictions)["click"][0]
    assert predicted == pytest.approx(0.1 / log.mean_examination("click", np.full(6, 0.1)))


def test_recall_is_the_share_of_what_all_candidates_would_lead_to_that_the_slots_hold() -> None:
    """Of one click at the first place and one at the second, 1 / .5 if looked at: 3 in all."""
    log = page(complete=False)
    assert value("recall_click", [1, 0, 0, 0, 0, 1], log=log) == pytest.approx(1 / 3)
    assert value("recall_click", [0, 0, 1, 1, 2, 0], log=log) == pytest.approx(2 / 3)
    assert value("recall_click", LOGGED, log=log) == pytest.approx(1.0)


def test_recall_of_a_feed_is_near_its_truth() -> None:
    errors = []
    for seed in range(6):
        world = feed(seed)
        policy = world.ranked("p", world.signal)
        measured = Replay(world.log, policy).measure(metric("recall_click"), policy, policy, ())[0].policy
        truth = world.chance.ravel()[policy.slot > 0].sum() / world.chance.sum()
        assert measured is not None
        assert measured.low < truth < measured.high
        errors.append(measured.value - truth)
    assert abs(np.mean(errors)) < 0.03


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
    found = known(both(FIRST, SECOND))
    assert found.name == "release 2 and release 1"
    assert found.predictions["click"] == pytest.approx(oracle.predict_proba(design)[:, 1], rel=0.02)


def test_a_head_that_knows_nothing_counts_for_nothing() -> None:
    guessed = RNG.permutation(FIRST)
    found = known(both(guessed, SECOND))
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
    found = known(both(first, second))
    assert found.predictions["click"][0] == pytest.approx(second[0] / 2)
    assert np.isnan(found.predictions["click"][1])


def test_of_equal_heads_neither_judge_is_right_alone() -> None:
    true, release, baseline, together = np.mean([judged(seed, Setting()) for seed in range(2)], axis=0)
    assert true == pytest.approx(0, abs=0.02)
    assert release < -0.08
    assert baseline > 0.08
    assert together == pytest.approx(true, abs=0.08)
