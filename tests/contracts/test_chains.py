"""A joint outcome is known where the chain decides it, and unknown is never a negative."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import Contracts, TasksSpec
from tasks.contracts.tasks import join_outcomes
from tests.training.surfaces import binary, surface

NAN = float("nan")
TASKS: dict[str, dict[str, Any]] = {
    "click": binary("click", "PT30M"),
    "buy": binary("buy", "P7D"),
    "back": binary("back", "P30D", after="buy"),
    "happy": binary("survey", "P14D", observed_when={"event": "survey"}),
    "spend": {
        "family": "conversion",
        "kind": "value",
        "value": {"event": "buy", "within": "P7D", "aggregate": "sum"},
    },
}


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
    assert a_spec().chain("return_30d") == ("click_30m", "buy_7d", "return_30d")
    assert a_spec().chain("click_30m") == ("click_30m",)


def test_a_task_observed_on_another_s_positives_hangs_on_it() -> None:
    assert a_spec().parent("stars_7d") == "buy_7d"
    assert a_spec().parent("click_30m") is None


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


def contracts(**training: dict[str, Any]) -> Contracts:
    return surface(TASKS, training=training, examination={"by_position": [1.0, 0.5]}, reference_position=2)


def test_without_a_word_a_head_is_what_its_task_is() -> None:
    assert contracts().head_plan("back") == {
        "task": "back", "kind": "binary", "level": "impression", "parent": "buy",
    }  # fmt: skip


def test_the_joint_event_has_no_parent() -> None:
    entire = contracts(back={"space": "entire"})
    assert entire.head_parent("back") is None
    assert entire.learns_joint_event("back")
    assert not contracts(default={"space": "entire"}).learns_joint_event("buy")


def test_a_feature_is_held_at_the_reference_position_and_weights_move_by_examination() -> None:
    said = contracts(default={"position": "feature"}, buy={"position": "weight"})
    assert said.head_plan("click")["held"] == {"position": 2}
    assert said.head_plan("buy")["examined"] is True
    assert "held" not in said.head_plan("buy")


@pytest.mark.parametrize("task", ["back", "happy"])
@pytest.mark.parametrize("position", ["feature", "weight"])
def test_what_is_learned_where_something_happened_was_looked_at(task: str, position: str) -> None:
    assert contracts(default={"position": position}).position_correction(task) == "none"


def test_the_joint_event_is_no_such_thing() -> None:
    said = contracts(back={"space": "entire", "position": "weight"})
    assert said.position_correction("back") == "weight"


def test_weights_are_those_of_log_loss() -> None:
    said = contracts(default={"position": "weight"})
    assert (said.position_correction("click"), said.position_correction("spend")) == ("weight", "none")
    assert contracts(spend={"position": "feature"}).position_correction("spend") == "feature"
