"""How a task is learned: its own section over the default one."""

import pytest
from pydantic import ValidationError

from tasks.contracts.training import TaskTraining, head_kind


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
