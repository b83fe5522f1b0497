"""A joint outcome is known where the chain decides it, and unknown is never a negative."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import TasksSpec
from tasks.contracts.chains import chain, join_outcomes, parent

NAN = float("nan")


def a_spec() -> TasksSpec:
    return TasksSpec.model_validate(
        {
            "contract": "toy",
            "version": 1,
            "tasks": {
                "click_30m": {"family": "engagement", "positive": {"event": "click", "within": "PT30M"}},
                "buy_7d": {
                    "family": "conversion",
                    "positive": {"event": "buy", "within": "P7D", "after": "click_30m"},
                },
                "return_30d": {
                    "family": "negative",
                    "positive": {"event": "return", "within": "P30D", "after": "buy_7d"},
                },
                "stars_7d": {
                    "family": "satisfaction",
                    "kind": "value",
                    "value": {"event": "stars", "within": "P7D", "aggregate": "first"},
                    "observed_when": {"task": "buy_7d"},
                },
            },
        }
    )


def test_a_chain_runs_from_its_root() -> None:
    assert chain(a_spec(), "return_30d") == ("click_30m", "buy_7d", "return_30d")
    assert chain(a_spec(), "click_30m") == ("click_30m",)


def test_a_task_observed_on_another_s_positives_hangs_on_it() -> None:
    assert parent(a_spec(), "stars_7d") == "buy_7d"
    assert parent(a_spec(), "click_30m") is None


def test_a_root_knows_what_was_observed() -> None:
    np.testing.assert_array_equal(join_outcomes({"a": np.array([1.0, 0.0, NAN])}, ["a"]), [1, 0, NAN])


def test_a_negative_anywhere_decides_the_rest_of_the_chain() -> None:
    labels = {
        "a": np.array([0.0, 1.0, 1.0, 1.0, NAN]),
        "b": np.array([NAN, 0.0, 1.0, NAN, NAN]),
        "c": np.array([NAN, NAN, 1.0, NAN, NAN]),
    }
    np.testing.assert_array_equal(join_outcomes(labels, ["a", "b", "c"]), [0, 0, 1, NAN, NAN])


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, NAN])] * 2), min_size=1))
def test_a_positive_needs_the_whole_chain_and_a_zero_needs_one_link(rows: list[tuple[float, float]]) -> None:
    parent_label, child_label = np.array(rows).T
    child_label = np.where(parent_label == 1.0, child_label, NAN)
    known = join_outcomes({"p": parent_label, "c": child_label}, ["p", "c"])
    np.testing.assert_array_equal(known == 1.0, (parent_label == 1.0) & (child_label == 1.0))
    np.testing.assert_array_equal(known == 0.0, (parent_label == 0.0) | (child_label == 0.0))
