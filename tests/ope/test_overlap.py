"""When a log says too little of a target, and that a good one is not complained of."""

import numpy as np
import pandas as pd
import pytest

from tasks.ope.estimate import estimate_off_policy
from tasks.ope.overlap import measure_overlap
from tests.ope import bandit


def reasons(log: pd.DataFrame, target: pd.DataFrame) -> str:
    report = estimate_off_policy(log, target, reward="click")
    assert report.verdict == "inconclusive"
    assert not report.passed
    return "\n".join(report.reasons)


def test_what_the_log_never_shows_is_counted() -> None:
    with_new = pd.concat(
        [bandit.target().assign(probability=[0.4, 0.5]), pd.DataFrame({"item_id": ["new"], "position": 1, "probability": 0.1})]
    )  # fmt: skip
    assert "10.0% of the target's probability is on items never logged at that position" in reasons(
        bandit.log(), with_new
    )
    assert "(at most 5%): new at 1" in reasons(bandit.log(), with_new)
    little = with_new.assign(probability=[0.45, 0.51, 0.04])
    report = estimate_off_policy(bandit.log(), little, reward="click")
    assert report.unsupported_share == pytest.approx(0.04)
    assert report.verdict == "no_rule"


def test_few_users_are_told() -> None:
    assert "the weights count like" in reasons(
        bandit.log(400).assign(user_id=np.arange(400) % 15), bandit.target()
    )


def test_few_outcomes_are_told() -> None:
    few = bandit.log().assign(click=np.r_[np.ones(9), np.zeros(391)])
    assert "rows have a reward and a weight (at least 10)" in reasons(few, bandit.target(0.5))


def test_propensities_of_another_policy_are_told() -> None:
    assert "the weights have a mean of 2" in reasons(bandit.log().assign(propensity=0.25), bandit.target())


def test_a_user_who_holds_the_weight_is_told() -> None:
    log = bandit.log()
    log.loc[0, "propensity"] = 0.005
    log.loc[0, "item_id"] = "liked"
    assert "of all weight belongs to one of the users" in reasons(log, bandit.target())


def test_even_weights_are_no_reason_to_doubt() -> None:
    found = [estimate_off_policy(bandit.log(seed=n), bandit.target(), reward="click") for n in range(40)]
    assert sum(report.verdict == "inconclusive" for report in found) <= 1


@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200, 3e300])
def test_effective_rows_do_not_depend_on_the_size_of_the_weights(size: float) -> None:
    weight = size * np.array([1.0, 1.0, 2.0, 0.0])
    assert measure_overlap(weight, np.arange(4)).ess == pytest.approx(8 / 3)


def test_one_row_of_a_tiny_propensity_is_all_that_counts() -> None:
    log = bandit.log()
    log.loc[0, "propensity"] = 1e-300
    report = estimate_off_policy(log, bandit.target(), reward="click")
    assert report.verdict == "inconclusive"
    assert report.ess == pytest.approx(1.0)
