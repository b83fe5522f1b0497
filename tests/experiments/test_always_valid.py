"""The ratio of two arms is that of its formula, no day's rate moves it, and its bound holds at every look."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.errors import DataError
from tasks.experiments.always_valid import (
    LogRatio,
    Stage,
    first_alarm,
    log_e_values,
    planned_information,
    sequential_bound,
    sequential_interval,
    stratified_log_ratio,
)

Rows = list[tuple[int, int, bool, int, int]]
"""Users, days, whether treated, examined impressions and events."""

ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans(), st.integers(1, 9), st.integers(0, 4)),
    min_size=2,
    max_size=30,
)


def ratio_of(rows: Rows) -> LogRatio:
    users, days, treated, examined, events = (np.array(column) for column in zip(*rows, strict=True))
    return stratified_log_ratio(users, days, treated, examined.astype(float), events.astype(float))


def by_loops(rows: Rows) -> tuple[float, float]:
    """Return the estimate and its error by the formula, one sum after the other."""
    shown = {
        (d, arm): sum(r[3] for r in rows if (r[1], r[2]) == (d, arm)) for d in range(4) for arm in (0, 1)
    }
    seen = {(d, arm): sum(r[4] for r in rows if (r[1], r[2]) == (d, arm)) for d in range(4) for arm in (0, 1)}
    weight = {key: shown[key[0], 1 - key[1]] / max(1, shown[key[0], 0] + shown[key[0], 1]) for key in shown}
    sums = [sum(seen[d, arm] * weight[d, arm] for d in range(4)) for arm in (0, 1)]
    if not all(sums):
        return math.nan, math.inf
    squares = 0.0
    for user in {row[0] for row in rows}:
        influence = 0.0
        for _, day, arm, x, y in (row for row in rows if row[0] == user):
            rest = weight[day, arm] * (y - x * seen[day, arm] / shown[day, arm]) / sums[arm]
            influence += rest if arm else -rest
        squares += influence**2
    return math.log(sums[1] / sums[0]), math.sqrt(squares)


@given(ROWS)
def test_it_equals_its_formula_in_plain_loops(rows: Rows) -> None:
    ratio = ratio_of(rows)
    assert (ratio.estimate, ratio.error) == pytest.approx(by_loops(rows), nan_ok=True, abs=1e-12)


@given(ROWS)
def test_exchanged_arms_reverse_the_ratio_and_a_divided_row_changes_nothing(rows: Rows) -> None:
    ratio = ratio_of(rows)
    exchanged = ratio_of([(user, day, not arm, x, y) for user, day, arm, x, y in rows]).reversed()
    assert exchanged.estimate == pytest.approx(ratio.estimate, nan_ok=True, abs=1e-12)
    assert exchanged.error == pytest.approx(ratio.error)
    (user, day, arm, x, y), *others = rows
    divided = ratio_of([(user, day, arm, x, 0), (user, day, arm, 0, y), *others])
    assert divided.estimate == pytest.approx(ratio.estimate, nan_ok=True, abs=1e-12)
    assert divided.error == pytest.approx(ratio.error, abs=1e-12)


@given(
    rates=st.lists(st.integers(1, 50), min_size=2, max_size=5),
    shares=st.lists(st.integers(1, 50), min_size=5, max_size=5),
    rise=st.integers(1, 4),
)
def test_neither_rates_nor_shares_that_change_by_day_move_it(
    rates: list[int], shares: list[int], rise: int
) -> None:
    """Pooled over days, a rate and a share that rise together read as a rise of the treated."""
    rows: Rows = []
    for day, rate in enumerate(rates):
        rows.append((2 * day, day, True, 1000 * shares[day], rise * rate * shares[day]))
        rows.append((2 * day + 1, day, False, 1000 * (100 - shares[day]), rate * (100 - shares[day])))
    assert ratio_of(rows).estimate == pytest.approx(math.log(rise), abs=1e-12)


def test_a_day_on_which_one_arm_did_not_serve_counts_for_nothing() -> None:
    both: Rows = [
        (0, 0, True, 100, 30),
        (1, 0, True, 100, 10),
        (2, 0, False, 100, 10),
        (3, 0, False, 100, 20),
    ]
    assert ratio_of([*both, (4, 1, True, 100, 90)]) == ratio_of(both)
    assert ratio_of([(0, 0, True, 9, 3), (1, 1, False, 9, 3)]).error == math.inf


def test_too_few_events_raise_no_alarm_and_no_event_bounds_nothing() -> None:
    assert LogRatio(3.0, 0.3, 20, 20).exceeds(0.1, planned=90, alpha=0.05)
    assert not LogRatio(3.0, 0.3, 19, 200).exceeds(0.1, planned=90, alpha=0.05)
    assert not LogRatio(3.0, 0.3, 200, 19).exceeds(0.1, planned=90, alpha=0.05)
    assert ratio_of([(0, 0, True, 9, 0), (1, 0, False, 9, 3)]).upper(planned=90, alpha=0.05) == math.inf


@given(st.floats(0.01, 1), st.floats(1, 1000), st.floats(0.001, 0.2))
def test_a_rarer_alarm_needs_a_wider_bound_that_is_wider_than_a_single_look(
    error: float, planned: float, alpha: float
) -> None:
    wide = sequential_bound(error, planned=planned, alpha=alpha)
    assert wide < sequential_bound(error, planned=planned, alpha=alpha / 2)
    low, high = sequential_interval(0.0, error, planned=planned, alpha=2 * alpha)
    assert (-low, high) == (wide, wide)
    if alpha <= 0.05:
        assert wide > 1.645 * error


def test_the_bound_is_narrowest_near_half_of_the_planned_information() -> None:
    planned = planned_information(0.3)
    wide = {
        part: sequential_bound((part * planned) ** -0.5, planned=planned, alpha=0.05)
        for part in (0.05, 0.5, 8)
    }
    looks = {part: bound * math.sqrt(part * planned) for part, bound in wide.items()}
    assert looks[0.5] < min(looks[0.05], looks[8])


@pytest.mark.parametrize("alpha", [0.05, 0.0167])
def test_no_more_than_alpha_of_random_walks_ever_cross_it(alpha: float) -> None:
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.standard_normal((4000, 200)), axis=1)
    information = np.arange(1, 201)
    bound = [i * sequential_bound(i**-0.5, planned=100, alpha=alpha) for i in information]
    crossed = float((walks > np.array(bound)).any(axis=1).mean())
    assert 0 < crossed <= alpha


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
