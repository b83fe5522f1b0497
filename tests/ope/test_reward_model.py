"""Expected rewards: never of a row's own fold, and what brought models are taken for."""

import numpy as np
import pytest

from tasks.ope.log_rows import read_log
from tasks.ope.reward_model import BROUGHT, FOLDS, PRIOR, expect_rewards
from tasks.ope.target_rows import read_target
from tests.ope import bandit


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
