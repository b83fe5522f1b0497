"""A policy beside its baseline: by segment, with intervals of the change, and mixes that are no ratios."""

import math

import pytest

from tests.replay.worlds import LOGGED, metric, page, replay, slates, value, whole


def test_entropy_and_gini_tell_an_even_mix_from_a_single_source() -> None:
    assert value("source_entropy", [1, 0, 0, 1, 0, 0]) == pytest.approx(math.log(2))
    assert value("source_entropy", [1, 0, 0, 0, 1, 0]) == pytest.approx(0.0, abs=1e-12)
    assert value("source_gini", [1, 0, 0, 1, 0, 0]) == pytest.approx(0.0, abs=1e-12)


def test_coverage_counts_distinct_items_over_those_available() -> None:
    assert value("coverage", [1, 0, 0, 1, 0, 0]) == pytest.approx(1 / 4)


def test_the_naive_ndcg_is_printed_beside_under_a_name_that_gates_nothing() -> None:
    measured = replay(page()).measure(metric("ndcg_click"), slates("p", LOGGED), slates("b", LOGGED), ())
    naive = {m.metric: m.policy.value for m in measured if m.policy}["ndcg_click (naive)"]
    assert naive == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_a_segment_is_measured_on_its_own_rows() -> None:
    policy = slates("p", LOGGED)
    measured = replay(page()).measure(metric("click_rate"), policy, policy, ("source",))
    rates = {m.segment: m.policy.value for m in measured if m.policy}
    assert rates == {"all": pytest.approx(2 / 6), "source=ads": 0.0, "source=feed": pytest.approx(2 / 4)}


def test_a_policy_equal_to_its_baseline_has_a_relative_change_of_exactly_zero() -> None:
    measured = whole("click_rate", page(), slates("p", LOGGED), slates("b", LOGGED))
    assert measured.relative is not None
    assert (measured.relative.low, measured.relative.value, measured.relative.high) == (0.0, 0.0, 0.0)
