"""Logs, slates and slices are compared value by value, to the bit."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd


def values(of: object) -> Iterator[tuple[str, Any]]:
    """Yield every array and value of a log or of slates by name."""
    for one in fields(of):  # type: ignore[arg-type]
        value = getattr(of, one.name)
        if isinstance(value, Mapping):
            yield from ((f"{one.name}.{name}", each) for name, each in value.items())
        else:
            yield one.name, value


def assert_same(ours: object, theirs: object, *, of: str = "") -> None:
    pairs = dict(values(ours)), dict(values(theirs))
    assert list(pairs[0]) == list(pairs[1])
    for name, value in pairs[0].items():
        other = pairs[1][name]
        if is_dataclass(value):
            assert_same(value, other, of=f"{of}.{name}")
        elif isinstance(value, pd.Categorical):
            assert list(value.categories) == list(other.categories), name
            np.testing.assert_array_equal(value.codes, other.codes, err_msg=name)
        else:
            np.testing.assert_array_equal(value, other, err_msg=f"{of}.{name}")
