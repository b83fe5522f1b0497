"""A slate policy as data."""

import pytest
from pydantic import ValidationError

from tasks.contracts.slate import SlateSpec

SHORT = {"policy": "s", "version": 1, "length": 3}


def test_what_is_left_out_asks_for_nothing() -> None:
    slate = SlateSpec.model_validate(SHORT)
    assert (slate.max_per, slate.required_first, slate.diversity) == ({}, None, None)


def test_nothing_may_be_forbidden_by_a_maximum_of_0_and_a_minimum_is_at_least_1() -> None:
    assert SlateSpec.model_validate({**SHORT, "max_where": {"ad": 0}}).max_where == {"ad": 0}
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        SlateSpec.model_validate({**SHORT, "min_where_if_available": {"new": 0}})


def test_diversity_subtracts_something() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        SlateSpec.model_validate({**SHORT, "diversity": {"by": "creator", "strength": 0}})
