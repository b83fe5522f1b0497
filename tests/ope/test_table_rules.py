"""Rules of tables: one message for what breaks them."""

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ope.table_rules import read_numbers, refuse_missing, refuse_rows, require_keys


def test_a_log_of_hundreds_of_columns_is_not_listed() -> None:
    with pytest.raises(DataError) as refused:
        refuse_missing(["click"], [f"feature_{n}" for n in range(300)] + ["clicks"], table="log")
    assert str(refused.value).count("feature_") == 11
    assert "Did you mean 'clicks'?" in str(refused.value)


def test_every_missing_column_has_a_line() -> None:
    with pytest.raises(DataError) as refused:
        refuse_missing(["click", "position"], ["x"], table="log")
    assert len(str(refused.value).splitlines()) == 2


def test_booleans_and_numbers_that_may_be_null_are_numbers() -> None:
    frame = pd.DataFrame({"a": [True, False], "b": pd.array([1, 2], dtype="Int64")})
    assert read_numbers(frame, "a", table="log").tolist() == [1.0, 0.0]
    assert read_numbers(frame, "b", table="log").tolist() == [1.0, 2.0]


def test_a_missing_value_of_a_column_that_may_be_null_is_told() -> None:
    frame = pd.DataFrame({"b": pd.array([1, None], dtype="Int64")})
    with pytest.raises(DataError, match="1 of 2 rows is not"):
        read_numbers(frame, "b", table="log")


def test_whole_numbers_and_strings_are_ids_and_fractions_are_not() -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": [0.5, 1.5]})
    require_keys(frame, ["a", "b"], table="log")
    with pytest.raises(DataError, match="column c is floating"):
        require_keys(frame, ["a", "b", "c"], table="log")


def test_only_broken_rows_are_refused() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    refuse_rows(frame, np.array([False, False]), ("a", "anything"), table="log")
    with pytest.raises(DataError, match="1 of 2 rows"):
        refuse_rows(frame, np.array([False, True]), ("a", "anything"), table="log")
