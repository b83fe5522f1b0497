"""How a task is learned: its own section over the default one."""

import pytest
from pydantic import ValidationError

from tasks.contracts.training import TaskTraining, Trunk, head_kind


def test_a_section_of_its_own_replaces_what_it_names_and_keeps_the_rest() -> None:
    default = TaskTraining.model_validate({"refit": True, "position": "feature"})
    own = TaskTraining.model_validate({"position": "none"})
    learned = own.over(default)
    assert (learned.position, learned.refit) == ("none", True)


@pytest.mark.parametrize("plain", [{"quantile": 0.9}, {"objective": "l2", "tweedie_power": 1.5}])
def test_a_parameter_goes_with_its_objective(plain: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="goes with objective"):
        TaskTraining.model_validate(plain)


def test_an_objective_decides_what_the_head_predicts() -> None:
    assert head_kind("binary", None) == "binary"
    assert head_kind("value", "quantile") == "quantile"
    assert head_kind("binary", "lambdarank") == "ranking"


DECLARED = {"tasks": ["click", "buy"], "ids": {"user_id": 16, "item_id": 8}}


def test_a_trunk_without_further_keys_is_a_mixture_of_four_experts_weighed_by_hand() -> None:
    trunk = Trunk.model_validate({"tasks": ["click", "buy"]})
    assert (trunk.architecture, trunk.experts, trunk.balance.method) == ("mmoe", 4, "manual")
    assert (trunk.ids, trunk.interactions, trunk.layers) == ({}, (), (128, 64))


def test_an_interaction_is_a_pair_of_ids() -> None:
    trunk = Trunk.model_validate({**DECLARED, "interactions": [["user_id", "item_id"]]})
    assert trunk.interactions == (("user_id", "item_id"),)


@pytest.mark.parametrize("pair", [["user_id", "creator"], ["user_id", "user_id"], ["user_id"]])
def test_an_interaction_of_anything_else_is_refused(pair: list[str]) -> None:
    with pytest.raises(ValidationError, match="interactions"):
        Trunk.model_validate({**DECLARED, "interactions": [pair]})
