"""A digest depends on content alone."""

import hashlib

import pytest

from tasks.contracts.digest import canonical, canonical_json, digest
from tasks.contracts.slate import SlateSpec


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
