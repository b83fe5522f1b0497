"""Every estimator as sums over rows: what is divided by what, and that weights have a mean of 1."""

import numpy as np
import pandas as pd
import pytest

from tasks.evaluation.off_policy.estimators import OF_SLATES, OF_SLOTS, EstimatorSums, slate_terms, slot_terms
from tasks.evaluation.off_policy.log_rows import LogRows, read_log
from tasks.evaluation.off_policy.reward_model import expect_rewards
from tasks.evaluation.off_policy.target_rows import read_target
from tests.evaluation.off_policy import bandit


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
