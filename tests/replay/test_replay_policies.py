import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.metrics import Metric, parse_metric
from tasks.contracts.utility import Guardrail
from tasks.errors import DataError
from tasks.evaluation.resampling import Resampler
from tasks.evaluation.verdicts import Outcome
from tasks.replay.guardrails import judge_guardrail
from tasks.replay.log import CandidateLog, Slates, column_slates, logged_slates, order_slots
from tasks.replay.replay_policies import Measured, Replay
from tests.replay.worlds import page, replay, slates

LOGGED = [1, 2, 3, 1, 2, 3]
SWAPPED = [2, 1, 3, 2, 1, 3]


def _metric(name: str) -> Metric:
    metric = parse_metric(name, tasks=["click"], columns=["source"])
    assert metric is not None
    return metric


def _whole(name: str, log: CandidateLog, policy: Slates, baseline: Slates) -> Measured:
    return replay(log).measure(_metric(name), policy, baseline, ())[0]


def _value(
    name: str, slot: list[int], *, log: CandidateLog | None = None, **predictions: list[float]
) -> float:
    policy = slates("policy", slot, predictions)
    measured = _whole(name, log or page(), policy, policy)
    assert measured.policy is not None
    return measured.policy.value


def test_the_logged_order_replays_to_the_rate_that_was_seen() -> None:
    assert _value("click_rate", LOGGED) == pytest.approx(2 / 6)


def test_a_click_moved_to_a_better_slot_counts_for_the_looks_it_will_get() -> None:
    # request b's click moves from position 2 to slot 1: 1 x 1.0 / 0.5 = 2; request a's from 1 to 2: 0.5
    assert _value("click_rate", SWAPPED) == pytest.approx((0.5 + 2.0) / 6)


def test_only_slots_are_counted() -> None:
    assert _value("click_rate", [1, 0, 0, 1, 0, 0]) == pytest.approx(1 / 2)


def test_a_row_without_a_label_is_left_out_of_both_sums() -> None:
    log = page(labels=[1, None, 0, 0, 1, 0])
    assert _value("click_rate", LOGGED, log=log) == pytest.approx(2 / 5)


def test_predicted_weighs_each_slot_by_its_looks() -> None:
    p = [0.4, 0.2, 0.1, 0.4, 0.2, 0.1]
    at_reference = replace(slates("policy", LOGGED, {"click": p}), where_shown={"click": np.array(p)})
    measured = _whole("click_predicted", page(), at_reference, at_reference).policy
    assert measured is not None
    assert measured.value == pytest.approx((0.4 + 0.1 + 0.025) * 2 / 6)


def test_what_is_said_of_the_places_where_items_stood_is_not_multiplied_by_their_looks_twice() -> None:
    """On the logged page itself a prediction that is right on average adds up to itself."""
    assert _value("click_predicted", LOGGED, click=[0.3] * 6) == pytest.approx(0.3)
    looks = (1.0 + 0.5 + 0.25) / 3
    assert _value("click_predicted", [1, 0, 0, 1, 0, 0], click=[0.3] * 6) == pytest.approx(0.3 / looks)


def test_calibration_holds_an_outcome_against_what_is_said_of_the_place_where_it_came() -> None:
    p = [0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
    there = np.array([0.8, 0.4, 0.2, 0.8, np.nan, 0.2])
    policy = replace(slates("policy", LOGGED, {"click": p}), where_shown={"click": there})
    measured = _whole("click_calibration", page(), policy, policy).policy
    assert measured is not None
    assert measured.value == pytest.approx(1 / (0.8 + 0.4 + 0.2 + 0.8 + 0.2))


def test_predicted_is_judged_by_both_releases_and_the_worse_decides() -> None:
    policy = slates("challenger", [1, 0, 0, 1, 0, 0], {"click": [0.1, 0.2, 0.1, 0.1, 0.2, 0.1]})
    baseline = slates("champion", [0, 1, 0, 0, 1, 0], {"click": [0.3, 0.1, 0.1, 0.3, 0.1, 0.1]})
    measured = replay(page()).measure(_metric("click_predicted"), policy, baseline, ())
    assert [(m.judge, m.relative and round(m.relative.value, 6)) for m in measured] == [
        ("challenger", -0.5),
        ("champion", 2.0),
    ]
    rail = Guardrail.model_validate({"metric": "click_predicted", "relative_increase_max": 0.05})
    (verdict,) = judge_guardrail(rail, measured, run="r")
    assert verdict.outcome is Outcome.BLOCK
    assert "champion" in verdict.reason


def test_calibration_is_observed_over_predicted_on_the_items_in_slots() -> None:
    p = [0.5, 0.9, 0.9, 0.5, 0.9, 0.9]
    assert _value("click_calibration", [1, 0, 0, 1, 0, 0], click=p) == pytest.approx(1 / 1.0)


def test_shares_are_shares_of_looks() -> None:
    # ads: request a slot 2 (0.5), request b slot 1 (1.0) of 2 x 1.75 looks
    assert _value("source_share:ads", LOGGED) == pytest.approx(1.5 / 3.5)


def test_new_items_are_those_of_the_lowest_age_bin() -> None:
    assert _value("new_item_exposure", LOGGED) == pytest.approx(2.0 / 3.5)


def test_entropy_and_gini_tell_an_even_mix_from_a_single_source() -> None:
    assert _value("source_entropy", [1, 0, 0, 1, 0, 0]) == pytest.approx(math.log(2))
    assert _value("source_entropy", [1, 0, 0, 0, 1, 0]) == pytest.approx(0.0, abs=1e-12)
    assert _value("source_gini", [1, 0, 0, 1, 0, 0]) == pytest.approx(0.0, abs=1e-12)


def test_coverage_counts_distinct_items_over_those_available() -> None:
    assert _value("coverage", [1, 0, 0, 1, 0, 0]) == pytest.approx(1 / 4)


def test_ndcg_is_one_where_the_positive_stands_first() -> None:
    assert _value("ndcg_click", [1, 2, 3, 2, 1, 3]) == pytest.approx(1.0)
    # b's click was at position 2, looked at half as often, and stands for 2: (1 + 2 / log2(3)) / (1 + 2)
    assert _value("ndcg_click", LOGGED) == pytest.approx((1 + 2 / math.log2(3)) / 3)


def test_the_naive_ndcg_is_printed_beside_under_a_name_that_gates_nothing() -> None:
    measured = replay(page()).measure(_metric("ndcg_click"), slates("p", LOGGED), slates("b", LOGGED), ())
    naive = {m.metric: m.policy.value for m in measured if m.policy}["ndcg_click (naive)"]
    assert naive == pytest.approx((1 + 1 / math.log2(3)) / 2)


@pytest.mark.parametrize(
    ("name", "log", "words"),
    [
        ("source_entropy", page(complete=False), "only what was shown"),
        ("coverage", page(complete=False), "only what was shown"),
        ("click_rate", page(examination=None), "no examination curve"),
        ("latency_p99_ms", page(), "no serving latency"),
    ],
)
def test_what_the_log_cannot_tell_is_said_and_not_computed(name: str, log: CandidateLog, words: str) -> None:
    measured = _whole(name, log, slates("p", LOGGED), slates("b", LOGGED))
    assert measured.policy is None
    assert words in measured.reason
    rail = Guardrail.model_validate({"metric": name, "relative_increase_max": 0.5})
    assert judge_guardrail(rail, [measured], run="r")[0].outcome is Outcome.CANNOT_TELL


def test_no_ranking_moves_an_outcome_of_the_whole_request() -> None:
    log = page()
    world = Replay(log, Resampler(log.user_count, seed=0, replicates=50), frozenset({"click"}))
    measured = world.measure(_metric("click_rate"), slates("p", LOGGED), slates("b", LOGGED), ())
    assert "whole request" in measured[0].reason


def test_a_segment_is_measured_on_its_own_rows() -> None:
    policy = slates("p", LOGGED)
    measured = replay(page()).measure(_metric("click_rate"), policy, policy, ("source",))
    rates = {m.segment: m.policy.value for m in measured if m.policy}
    assert rates == {"all": pytest.approx(2 / 6), "source=ads": 0.0, "source=feed": pytest.approx(2 / 4)}


def test_a_policy_equal_to_its_baseline_has_a_relative_change_of_exactly_zero() -> None:
    measured = _whole("click_rate", page(), slates("p", LOGGED), slates("b", LOGGED))
    assert measured.relative is not None
    assert (measured.relative.low, measured.relative.value, measured.relative.high) == (0.0, 0.0, 0.0)


def test_a_rate_of_zero_in_the_baseline_cannot_tell_a_relative_change() -> None:
    measured = _whole(
        "click_rate", page(labels=[0, 1, 0, 0, 0, 1]), slates("p", LOGGED), slates("b", [1, 0, 0, 1, 0, 0])
    )
    rail = Guardrail.model_validate({"metric": "click_rate", "relative_increase_max": 0.05})
    assert judge_guardrail(rail, [measured], run="r")[0].outcome is Outcome.CANNOT_TELL


def test_not_one_outcome_seen_is_no_proof_of_a_low_rate() -> None:
    measured = _whole("click_rate", page(labels=[0.0] * 6), slates("p", LOGGED), slates("b", LOGGED))
    rail = Guardrail.model_validate({"metric": "click_rate", "max": 0.1})
    assert judge_guardrail(rail, [measured], run="r")[0].outcome is Outcome.CANNOT_TELL


def test_the_logged_order_needs_positions() -> None:
    with pytest.raises(DataError, match="no logged order"):
        logged_slates(page(positions=[None] * 6), length=3)


def test_the_logged_order_is_cut_at_the_length_of_the_slate() -> None:
    assert logged_slates(page(), length=2).slot.tolist() == [1, 2, 0, 1, 2, 0]


def test_a_column_is_ordered_downwards_with_nulls_off_the_slate() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0, 6.0])
    assert column_slates(page(), values, column="x", length=2).slot.tolist() == [2, 1, 0, 0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), min_size=1, max_size=30), st.integers(1, 5))
def test_slots_are_the_first_places_of_each_request(rows: list[tuple[int, float]], length: int) -> None:
    requests = np.array([r for r, _ in rows])
    key = np.array([k for _, k in rows])
    slot = order_slots(requests, key, length=length)
    for request in set(requests.tolist()):
        inside = slot[requests == request]
        taken = sorted(s for s in inside.tolist() if s)
        assert taken == list(range(1, min(length, len(inside)) + 1))
        chosen = key[requests == request][inside > 0]
        left = key[requests == request][inside == 0]
        assert not len(left) or chosen.max() <= left.min()
