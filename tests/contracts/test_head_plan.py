"""What a head is follows from the contracts, and stays with its model."""

from typing import Any

import pytest

from tasks.contracts import Contracts
from tasks.contracts.chains import head_parent, learns_joint_event, position_correction
from tasks.contracts.head_plan import head_plan
from tests.training.surfaces import binary, surface

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


def contracts(**training: dict[str, Any]) -> Contracts:
    return surface(TASKS, training=training, examination={"by_position": [1.0, 0.5]}, reference_position=2)


def test_without_a_word_a_head_is_what_its_task_is() -> None:
    assert head_plan(contracts(), "back") == {
        "task": "back", "kind": "binary", "level": "impression", "parent": "buy",
    }  # fmt: skip


def test_the_joint_event_has_no_parent() -> None:
    entire = contracts(back={"space": "entire"})
    assert head_parent(entire, "back") is None
    assert learns_joint_event(entire, "back")
    assert not learns_joint_event(contracts(default={"space": "entire"}), "buy")


def test_a_feature_is_held_at_the_reference_position_and_weights_move_by_examination() -> None:
    said = contracts(default={"position": "feature"}, buy={"position": "weight"})
    assert head_plan(said, "click")["held"] == {"position": 2}
    assert head_plan(said, "buy")["examined"] is True
    assert "held" not in head_plan(said, "buy")


@pytest.mark.parametrize("task", ["back", "happy"])
@pytest.mark.parametrize("position", ["feature", "weight"])
def test_what_is_learned_where_something_happened_was_looked_at(task: str, position: str) -> None:
    assert position_correction(contracts(default={"position": position}), task) == "none"


def test_the_joint_event_is_no_such_thing() -> None:
    said = contracts(back={"space": "entire", "position": "weight"})
    assert position_correction(said, "back") == "weight"


def test_weights_are_those_of_log_loss() -> None:
    said = contracts(default={"position": "weight"})
    assert (position_correction(said, "click"), position_correction(said, "spend")) == ("weight", "none")
    assert position_correction(contracts(spend={"position": "feature"}), "spend") == "feature"
