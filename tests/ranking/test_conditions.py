from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.base import Scalar
from tasks.contracts.slate import Condition
from tasks.errors import DataError
from tasks.ranking.conditions import encode_groups, evaluate_condition, read_flag


def answers(values: Any, **test: Any) -> list[bool | None]:
    frame = pd.DataFrame({"x": values})
    held, known = evaluate_condition(frame, Condition(column="x", **test), "the test")
    return [None if not k else bool(h) for h, k in zip(held, known, strict=True)]


@pytest.mark.parametrize(
    ("values", "operands", "expected"),
    [
        (["tea", None, "jam"], ("tea", "rye"), [True, None, False]),
        (pd.Series(["tea", None, "jam"], dtype="category"), ("tea",), [True, None, False]),
        (pd.Series(["tea", None, "jam"], dtype=object), ("tea",), [True, None, False]),
        ([True, None, False], (True,), [True, None, False]),
        (pd.array([True, None, False], dtype="boolean"), (False,), [False, None, True]),
        (np.array([True, False]), (True,), [True, False]),
        ([1, 0, None], (True,), [True, False, None]),
        (np.array([1, 0], dtype=np.int8), (False,), [False, True]),
        ([True, False], (1,), [True, False]),
        ([1, 2, None], (2, 2.5), [False, True, None]),
        ([2**60, 2**60 + 1], (2**60 + 1,), [False, True]),
        ([None, None], ("tea",), [None, None]),
        ([np.nan, np.nan], ("tea",), [None, None]),
    ],
)
def test_one_of_answers_yes_no_or_not_known(
    values: Any, operands: tuple[Scalar, ...], expected: list[bool | None]
) -> None:
    assert answers(values, one_of=operands) == expected


def test_bounds_are_strict_and_nulls_unknown() -> None:
    assert answers([1.0, 2.0, 3.0, None], above=2.0) == [False, False, True, None]
    assert answers([1, 2, 3], below=2.0) == [True, False, False]


@pytest.mark.parametrize(
    ("values", "operand", "found"),
    [
        (["true", "false"], True, "text"),
        ([1, 2], True, "numbers"),
        ([True, False], "true", "booleans"),
        ([True, False], 2, "booleans"),
        (["1", "2"], 1, "text"),
        ([1, 2], "1", "numbers"),
        ([True, "no"], True, "mixed or other values"),
    ],
)
def test_a_comparison_across_kinds_refuses_the_batch(
    values: list[Scalar], operand: Scalar, found: str
) -> None:
    with pytest.raises(DataError, match=f"Column 'x' holds {found}, and the test compares it with"):
        answers(values, equals=operand)


def test_a_bound_on_text_refuses_the_batch() -> None:
    with pytest.raises(DataError, match="'x' holds str and the test needs numbers"):
        answers(["1"], above=0.0)


def test_a_missing_column_refuses_the_batch() -> None:
    with pytest.raises(
        DataError, match=r"Unknown column 'permited'.*Did you mean 'permitted'.*the test needs it"
    ):
        read_flag(pd.DataFrame({"permitted": [True]}), "permited", "the test")


def test_unknown_values_are_one_group() -> None:
    codes = encode_groups(pd.DataFrame({"x": ["a", None, "b", None]}), "x", "the test")
    assert len(set(codes)) == 3
    assert codes[1] == codes[3]
    assert (codes >= 0).all()
