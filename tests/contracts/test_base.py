"""What every contract model shares: closed, frozen, strict."""

import pytest
from pydantic import ValidationError

from tasks.contracts.base import Closed, EventNames, Identifiers, Number


class Example(Closed):
    number: Number = 1.0
    names: Identifiers = ()
    events: EventNames = ("click",)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Example.model_validate({"colour": "red"})


def test_a_model_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example().number = 2.0


def test_a_whole_number_becomes_a_float_and_a_boolean_is_not_a_number() -> None:
    assert Example.model_validate({"number": 3}).number == 3.0
    with pytest.raises(ValidationError, match="True is not a number"):
        Example.model_validate({"number": True})


def test_one_event_may_stand_for_a_list_and_a_name_is_given_once() -> None:
    assert Example.model_validate({"events": "buy"}).events == ("buy",)
    with pytest.raises(ValidationError, match="named twice: a"):
        Example.model_validate({"names": ["a", "b", "a"]})
