"""Every estimator as sums over rows: what is divided by what, and that weights have a mean of 1.

Expected rewards: never of a row's own fold, and what brought models are taken for.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.arrays import Floats
from tasks.ope.estimators import (
    BROUGHT,
    FOLDS,
    OF_SLATES,
    OF_SLOTS,
    PRIOR,
    EstimatorSums,
    LoggedSlots,
    dr_terms,
    expect_rewards,
    ips_terms,
    shrunk_weights,
    slate_terms,
    slot_terms,
    switched_weights,
    tune_shrinkage,
    tune_switch,
)
from tasks.ope.log_rows import LogRows, read_log, read_target
from tests.ope import bandit
from tests.ope.open_bandit_example import PUBLISHED, relative_errors
from tests.ope.oracle import slot_oracle
from tests.shared_data import needs_open_bandit


def pages(count: int = 400) -> tuple[LogRows, pd.DataFrame]:
    """Pages of two slots, each with two items of its own; every third is of one slot."""
    rng = np.random.default_rng(0)
    shown = rng.integers(2, size=(count, 2))
    log = pd.DataFrame(
        {
            "request_id": np.repeat(np.arange(count), 2),
            "item_id": (shown + np.array([0, 2])).ravel(),
            "position": np.tile([1, 2], count),
            "propensity": 0.5,
            "click": rng.binomial(1, 0.2 + 0.3 * shown.ravel()),
            "behavior": np.repeat(np.array(["independent", "cascade", "standard"])[np.arange(count) % 3], 2),
        }
    )
    target = pd.DataFrame({"item_id": range(4), "position": [1, 1, 2, 2], "probability": [0.3, 0.7] * 2})
    log = log[(log.request_id % 3 > 0) | (log.position == 1)]
    return read_log(log, reward="click"), target


def of_slates() -> tuple[LogRows, dict[str, EstimatorSums]]:
    log, frame = pages()
    target = read_target(frame, log)
    weight = target.of_logged(target.probability) / log.propensity
    return log, {terms.name: terms for terms in slate_terms(log, weight, expect_rewards(log, target))}


def test_slots_are_means_over_rows_and_snips_over_weights() -> None:
    log = read_log(bandit.log(), reward="click")
    target = read_target(bandit.target(), log)
    weight = target.of_logged(target.probability) / log.propensity
    every = {terms.name: terms for terms in slot_terms(log, weight, expect_rewards(log, target))}
    assert tuple(every) == OF_SLOTS
    for name, terms in every.items():
        assert terms.below.sum() == pytest.approx(weight.sum() if name == "snips" else 400)


def test_slates_are_means_over_requests() -> None:
    log, every = of_slates()
    assert tuple(every) == OF_SLATES
    for terms in every.values():
        assert terms.below.sum() == log.request_count == 400
        assert not terms.above[log.positions > 1].any()


@pytest.mark.parametrize("name", OF_SLATES)
def test_weights_have_a_mean_of_1_over_the_rows_that_are_counted(name: str) -> None:
    _, every = of_slates()
    terms = every[name]
    error = terms.importance[terms.counted > 0].std() / np.sqrt(terms.counted.sum())
    assert terms.importance.sum() / terms.counted.sum() == pytest.approx(1, abs=4 * error)


def test_a_slot_that_is_not_there_earns_nothing() -> None:
    """Requests of one slot are worth what their only slot is, whoever estimates."""
    log, every = of_slates()
    alone = (log.lengths == 1)[log.requests] & (log.positions == 1)
    ips = every["iips"].weight * log.reward
    for name in ("sips", "iips", "rips", "adaptive_ips"):
        assert every[name].above[alone].tolist() == ips[alone].tolist()


def test_the_model_saves_cascade_dr_noise() -> None:
    _, every = of_slates()
    first = every["rips"].below > 0
    assert every["cascade_dr"].above[first].std() < every["rips"].above[first].std()


def rows(huge: float) -> LoggedSlots:
    rng = np.random.default_rng(0)
    q = np.full(500, 0.5)
    return LoggedSlots(rng.binomial(1, 0.5, 500).astype(float), np.r_[np.ones(499), huge], q, q)


def test_even_weights_are_left_alone() -> None:
    even = rows(huge=1.0)
    weight, limit = tune_switch(even)
    assert (weight.tolist(), limit) == (even.weight.tolist(), np.inf)


def test_one_huge_weight_is_limited_and_the_limit_is_the_one_that_was_used() -> None:
    odd = rows(huge=1e5)
    (switched, threshold), (shrunk, strength) = tune_switch(odd), tune_shrinkage(odd)
    assert threshold < 1e5
    assert switched.tolist() == switched_weights(odd.weight, threshold).tolist()
    assert shrunk.max() < 1e5
    assert shrunk.tolist() == shrunk_weights(odd.weight, strength).tolist()


weights = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 100))


def made(weight: Floats, reward: float = 1.0, q: float = 0.5) -> LoggedSlots:
    return LoggedSlots(np.full(len(weight), reward), weight, np.full(len(weight), q), np.full(len(weight), q))


@pytest.mark.parametrize("name", ["ips", "snips", "dm", "dr", "switch_dr", "dros"])
def test_an_estimate_is_that_of_the_open_bandit_pipeline(name: str) -> None:
    oracle = slot_oracle()
    rows = oracle.rows
    terms = {
        "ips": ips_terms(rows),
        "snips": ips_terms(rows) / rows.weight.mean(),
        "dm": rows.expected,
        "dr": dr_terms(rows),
        "switch_dr": dr_terms(rows, switched_weights(rows.weight, oracle.tau)),
        "dros": dr_terms(rows, shrunk_weights(rows.weight, oracle.shrinkage)),
    }[name]
    assert terms.mean() == pytest.approx(oracle.estimates[name], abs=1e-10)


@needs_open_bandit
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_errors_of_the_pipelines_example_are_reproduced(name: str) -> None:
    """To every digit where no model is fitted, else as near as its README's model is to its optimum."""
    errors, (mean, deviation) = relative_errors()[name], PUBLISHED[name]
    tolerance = 5e-7 if name in {"ipw", "snipw"} else 2e-5
    assert errors.mean() == pytest.approx(mean, abs=tolerance)
    assert errors.std(ddof=1) == pytest.approx(deviation, abs=tolerance)


@given(weights)
def test_without_a_model_dr_is_ips(weight: Floats) -> None:
    rows = made(weight, q=0.0)
    assert dr_terms(rows).tolist() == ips_terms(rows).tolist()


@given(weights)
def test_a_model_that_is_right_of_every_row_leaves_nothing_to_weigh(weight: Floats) -> None:
    rows = made(weight, reward=0.5)
    assert dr_terms(rows).tolist() == rows.expected.tolist()


@given(weights, st.floats(1e-3, 1e6))
def test_limited_weights_are_never_above_the_rows_own(weight: Floats, limit: float) -> None:
    assert (switched_weights(weight, limit) <= weight).all()
    shrunk = shrunk_weights(weight, limit)
    assert (shrunk <= weight + 1e-12).all()
    assert (shrunk <= np.sqrt(limit) / 2 * (1 + 1e-9)).all()


@given(weights)
def test_without_a_limit_weights_stay_as_they_are(weight: Floats) -> None:
    assert switched_weights(weight, np.inf).tolist() == weight.tolist()
    assert shrunk_weights(weight, np.inf).tolist() == weight.tolist()


def test_a_mean_is_that_of_the_other_folds_drawn_towards_the_positions() -> None:
    frame = bandit.log(40)
    log = read_log(frame, reward="click")
    made = expect_rewards(log, read_target(bandit.target(), log))
    fold = log.clusters.codes % FOLDS
    other = frame[fold != fold[7]]
    own = other[other.item_id == frame.item_id[7]].click
    wanted = (own.sum() + PRIOR * other.click.mean()) / (len(own) + PRIOR)
    assert made.predicted[7] == pytest.approx(wanted)


def test_a_rows_own_users_reward_moves_no_mean_of_it() -> None:
    frame = bandit.log(40)
    changed = frame.assign(click=frame.click.where(frame.user_id != "u3", 1 - frame.click))
    both = [read_log(one, reward="click") for one in (frame, changed)]
    before, after = (expect_rewards(log, read_target(bandit.target(), log)) for log in both)
    own = (frame.user_id == "u3").to_numpy()
    assert before.predicted[own].tolist() == after.predicted[own].tolist()
    assert before.predicted.tolist() != after.predicted.tolist()


def test_an_item_that_was_never_logged_is_an_average_one() -> None:
    frame = bandit.log(40)
    frame = frame[frame.item_id == "liked"].reset_index(drop=True)
    log = read_log(frame, reward="click")
    made = expect_rewards(log, read_target(bandit.target(), log))
    other = frame[log.clusters.codes % FOLDS != log.clusters.codes[0] % FOLDS].click
    assert made.expected[0] == pytest.approx(other.mean())


def test_a_model_that_is_brought_is_the_one_that_is_used() -> None:
    frame = bandit.log(20)
    log = read_log(frame, reward="click")
    made = expect_rewards(log, read_target(bandit.target(0.75).assign(q=[0.25, 0.5]), log))
    assert made.model == BROUGHT
    assert made.predicted.tolist() == np.where(frame.item_id == "liked", 0.5, 0.25).tolist()
    assert made.expected == pytest.approx(0.25 * 0.25 + 0.75 * 0.5)
    assert not made.fit_noise(log.reward, np.ones(20)).any()


def test_weights_that_show_what_the_target_shows_leave_the_means_no_say() -> None:
    """Rows in which each item stands as often as its propensity says: nothing pulls."""
    frame = bandit.log(40).assign(item_id=list(bandit.ITEMS) * 20)
    log = read_log(frame, reward="click")
    target = read_target(bandit.target(0.8), log)
    made = expect_rewards(log, target)
    weight = target.of_logged(target.probability) / log.propensity
    assert made.fit_noise(log.reward, weight) == pytest.approx(np.zeros(40))
