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


def compared(first: Any, second: Any, test: str) -> list[bool | None]:
    frame = pd.DataFrame({"x": first, "y": second})
    held, known = evaluate_condition(frame, Condition.model_validate({"column": "x", test: "y"}), "the test")
    return [None if not k else bool(h) for h, k in zip(held, known, strict=True)]


def test_two_columns_are_compared_row_by_row_and_known_where_both_are() -> None:
    countries = pd.Series(["DE", "FR", None], dtype="category")
    assert compared(countries, ["DE", "IT", "FR"], "equals_column") == [True, False, None]
    assert compared([1, 2, 3], [1.5, 2.0, np.nan], "below_column") == [True, False, None]
    assert compared([1, 2, 3], [0.5, 2.0, np.nan], "above_column") == [True, False, None]
    assert compared([None, None], ["a", "b"], "equals_column") == [None, None]


@pytest.mark.parametrize("made", [list, tuple, np.array])
def test_a_list_has_a_value_and_a_null_one_is_unknown(made: Any) -> None:
    held = [made(["read", "sign"]), made(["read"]), made([]), None, made([None, "sign"])]
    assert answers(held, contains="sign") == [True, False, False, None, True]
    needed = pd.Series(["sign", None, "read", "read", "sign"], dtype="category")
    assert compared(needed, held, "contained_in_column") == [True, None, False, None, True]


def test_lists_of_numbers_have_numbers_only() -> None:
    assert answers([[1, 2], [3]], contains=2) == [True, False]
    assert answers([np.array([1.0, np.nan]), None], contains=1) == [True, None]
    assert compared([2, np.nan], [[1, 2], [np.nan]], "contained_in_column") == [True, None]


def test_text_is_no_list_and_members_of_another_kind_refuse_the_batch() -> None:
    with pytest.raises(DataError, match="Column 'x' holds text, and the test needs a list of values"):
        answers([["sign"], "read, sign"], contains="sign")
    with pytest.raises(DataError, match="'x' holds lists of numbers, and the test looks for text in them"):
        answers([[1, 2]], contains="1")
    with pytest.raises(DataError, match="'y' holds lists of text, and the test looks for numbers in them"):
        compared([1], [["1"]], "contained_in_column")


@pytest.mark.parametrize("zone", ["", "Z", "+02:00"])
def test_times_are_compared_as_instants_and_one_without_a_zone_is_utc(zone: str) -> None:
    ends = pd.to_datetime([f"2026-03-02T10:00:01{zone}", f"2026-03-02T09:59:59{zone}", "NaT"])
    shown = pd.to_datetime(["2026-03-02T10:00:00Z"] * 3) - pd.Timedelta(hours=2 if "+" in zone else 0)
    assert compared(ends, shown, "above_column") == [True, False, None]
    assert compared(ends.astype(object), shown, "below_column") == [False, True, None]


def test_times_are_read_from_the_text_that_a_caller_sends() -> None:
    sent = ["2026-03-02T10:00:00Z", "2026-03-02T12:00:00+02:00", None]
    assert compared(sent, ["2026-03-02T09:00:00Z"] * 3, "above_column") == [True, True, None]
    assert compared(sent, pd.to_datetime(["2026-03-02T10:00:00Z"] * 3), "equals_column") == [True, True, None]
    with pytest.raises(DataError, match="Column 'x' holds text that is no time"):
        compared(["tomorrow"], ["2026-03-02T10:00:00Z"], "below_column")


@pytest.mark.parametrize(
    ("first", "second", "test", "said"),
    [
        ([1, 2], ["1", "2"], "equals_column", "hold numbers and text"),
        ([1, 2], pd.to_datetime(["2026-03-02", "2026-03-03"]), "below_column", "hold numbers and times"),
    ],
)
def test_columns_of_different_kinds_refuse_the_batch(first: Any, second: Any, test: str, said: str) -> None:
    with pytest.raises(DataError, match=f"Columns 'x' and 'y' {said}"):
        compared(first, second, test)


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
