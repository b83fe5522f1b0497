"""The sample ratio: the e-value by hand, stages of a ramp, and how often equal shares alarm."""

import math

import numpy as np
import pytest
from scipy import stats

from tasks.errors import DataError
from tasks.experiments.sample_ratio import Stage, first_alarm, log_e_values

HALF = np.array([0.5, 0.5])


def test_the_e_value_is_the_ratio_of_a_dirichlet_multinomial_and_a_multinomial_likelihood() -> None:
    users, shares = np.array([[130, 61, 9]]), np.array([0.6, 0.35, 0.05])
    mixed = stats.dirichlet_multinomial(1000 * shares, np.array(200)).logpmf(users[0])
    fixed = stats.multinomial(200, shares).logpmf(users[0])
    assert log_e_values([Stage(users, shares)])[0] == pytest.approx(mixed - fixed)


def test_stages_multiply_and_a_ramp_with_the_declared_shares_does_not_alarm() -> None:
    first = Stage(np.array([[990, 10], [990, 10]]), np.array([0.99, 0.01]))
    second = Stage(np.array([[500, 500]]), HALF)
    both = log_e_values([first, second])
    assert len(both) == 3
    assert both[2] == pytest.approx(log_e_values([first])[1] + log_e_values([second])[0])
    assert first_alarm(both) is None


def test_an_arm_that_loses_a_tenth_of_its_users_alarms_and_stays_named_by_its_first_day() -> None:
    lost = log_e_values([Stage(np.array([[1000, 900]] * 4), HALF)])
    assert first_alarm(lost) == int(np.flatnonzero(lost >= math.log(100))[0])
    assert lost[3] > math.log(100)


def test_declared_shares_alarm_in_no_more_than_one_run_in_a_hundred_over_fourteen_looks() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(
        first_alarm(log_e_values([Stage(rng.multinomial(400, HALF, 14).astype(float), HALF)])) is not None
        for _ in range(1000)
    )
    assert alarms <= 10


def test_shares_that_do_not_sum_to_one_are_refused_and_no_stage_has_no_evidence() -> None:
    with pytest.raises(DataError, match="sum of 1"):
        log_e_values([Stage(np.ones((1, 2)), np.array([0.5, 0.6]))])
    assert log_e_values([]).size == 0
