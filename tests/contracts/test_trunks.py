"""A shared trunk as declared: closed, with interactions of its own ids."""

import pytest
from pydantic import ValidationError

from tasks.contracts.trunks import Trunk

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
