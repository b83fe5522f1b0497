"""What every contract model shares: closed, frozen, strict."""

import hashlib

import pytest
from pydantic import ValidationError

from tasks.contracts.base import (
    Closed,
    EventNames,
    Identifiers,
    Number,
    Scalar,
    Scalars,
    canonical,
    canonical_json,
    digest,
)
from tasks.contracts.slate import SlateSpec


class Example(Closed):
    number: Number = 1.0
    names: Identifiers = ()
    events: EventNames = ("click",)
    value: Scalar = "home"
    values: Scalars = ("home",)


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


def test_a_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(ValidationError, match="more digits than a number may have"):
        Example.model_validate({"number": 10**400})


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 2**63, -(10**30)])
def test_what_no_value_of_a_column_equals_is_refused(value: float) -> None:
    for field, content in (("value", value), ("values", [value])):
        with pytest.raises(ValidationError, match="no value of a column equals it"):
            Example.model_validate({field: content})


def test_values_to_compare_with_are_of_one_kind_and_there_is_one() -> None:
    assert Example.model_validate({"values": [1, 2.5]}).values == (1, 2.5)
    for mixed in (["a", 1], [True, 1], [False, "no"]):
        with pytest.raises(ValidationError, match=r"mixes .* and a column holds one of them"):
            Example.model_validate({"values": mixed})
    with pytest.raises(ValidationError, match="at least 1 item"):
        Example.model_validate({"values": []})


def test_canonical_json_sorts_keys_and_leaves_out_spaces() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


def test_what_is_not_a_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"weight": float("nan")})


def test_a_default_that_is_written_changes_no_digest() -> None:
    short = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 3})
    long = SlateSpec.model_validate({"length": 3, "policy": "s", "version": 1, "max_per": {}})
    assert digest(canonical(short)) == digest(canonical(long))
