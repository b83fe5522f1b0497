import json
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.ranking.features import FeatureEncoder

NAN = np.nan
SHOWN = pd.DataFrame(
    {
        "request_id": ["r", "r", "s"],
        "item_id": ["a", "b", "a"],
        "price": [1.5, None, 3.0],
        "age": [3, 1, 2],
        "visible": [True, False, True],
        "aisle": ["tea", "jam", None],
        "store": [30, 4, 30],
    }
)
ENCODER = FeatureEncoder.fit(SHOWN, numeric=["price", "age", "visible"], categorical=["store", "aisle"])


def test_columns_come_in_declared_order_numeric_first() -> None:
    assert ENCODER.names == ("price", "age", "visible", "store", "aisle")
    assert ENCODER.categorical == ("store", "aisle")
    np.testing.assert_array_equal(
        ENCODER.matrix(SHOWN), [[1.5, 3, 1, 0, 1], [NAN, 1, 0, 1, 0], [3, 2, 1, 0, NAN]]
    )


def test_categories_are_ordered_by_code_point() -> None:
    assert ENCODER.categories == {"store": ("30", "4"), "aisle": ("jam", "tea")}


def test_what_training_never_saw_is_missing() -> None:
    fresh = SHOWN.assign(aisle=["rye", "tea", "jam"], store=[4, 5, 30])
    np.testing.assert_array_equal(ENCODER.matrix(fresh)[:, 3:], [[1, NAN], [NAN, 1], [0, 0]])


@pytest.mark.parametrize("kind", ["object", "str", "category", "string"])
def test_text_is_the_same_in_every_type(kind: Literal["object", "str", "category", "string"]) -> None:
    typed = SHOWN.assign(aisle=SHOWN["aisle"].astype(kind))
    np.testing.assert_array_equal(ENCODER.matrix(typed), ENCODER.matrix(SHOWN))
    assert FeatureEncoder.fit(typed, [], ["aisle"]).categories == {"aisle": ("jam", "tea")}


@pytest.mark.parametrize("kind", ["int8", "float64", "Int64", "object", "category", "str"])
def test_a_number_is_the_same_category_in_every_type(
    kind: Literal["int8", "float64", "Int64", "object", "category", "str"],
) -> None:
    typed = SHOWN.assign(store=SHOWN["store"].astype(kind))
    np.testing.assert_array_equal(ENCODER.matrix(typed), ENCODER.matrix(SHOWN))


def test_a_null_beside_a_category_does_not_change_it() -> None:
    # pandas turns integers beside a null into floats, and booleans into objects
    beside = pd.DataFrame({"store": [30, None, 4], "open": [True, None, False]})
    encoder = FeatureEncoder.fit(
        pd.DataFrame({"store": [30, 4], "open": [True, False]}), [], ["store", "open"]
    )
    np.testing.assert_array_equal(encoder.matrix(beside), [[0, 1], [NAN, NAN], [1, 0]])


@pytest.mark.parametrize("values", [[True, None, False], pd.array([True, None, False], dtype="boolean")])
def test_booleans_with_nulls_are_numbers(values: Any) -> None:
    frame = pd.DataFrame({"visible": values})
    matrix = FeatureEncoder(("visible",), {}).matrix(frame)
    np.testing.assert_array_equal(matrix[:, 0], [1, NAN, 0])


def test_categories_that_a_type_only_declares_are_not_learned() -> None:
    declared = pd.DataFrame({"aisle": pd.Categorical(["tea"], categories=["jam", "tea"])})
    assert FeatureEncoder.fit(declared, [], ["aisle"]).categories == {"aisle": ("tea",)}


def test_an_encoder_survives_json() -> None:
    again = FeatureEncoder.from_json(json.loads(json.dumps(ENCODER.to_json())))
    assert again == ENCODER
    assert again.same_as(ENCODER)


@given(st.permutations(range(3)), st.integers(1, 3))
def test_a_row_is_encoded_alike_in_any_company(order: Any, some: int) -> None:
    rows = list(order)[:some]
    np.testing.assert_array_equal(ENCODER.matrix(SHOWN.iloc[rows]), ENCODER.matrix(SHOWN)[rows])


def test_a_missing_column_names_the_nearest() -> None:
    with pytest.raises(
        DataError, match=r"'price' in the candidates.*Did you mean 'prices'.*feature encoder needs it"
    ):
        ENCODER.matrix(SHOWN.rename(columns={"price": "prices"}))


def test_infinities_are_counted() -> None:
    with pytest.raises(DataError, match="'price' is infinite in 2 of 3 rows, for example r/b, s/a"):
        ENCODER.matrix(SHOWN.assign(price=[1.0, np.inf, -np.inf]))


def test_a_column_that_is_not_numeric_is_refused() -> None:
    with pytest.raises(DataError, match="'price' holds str and the feature encoder needs numbers"):
        ENCODER.matrix(SHOWN.assign(price=["1", "2", "3"]))
    with pytest.raises(DataError, match="'price' holds datetime64"):
        ENCODER.matrix(SHOWN.assign(price=pd.to_datetime(["2026-01-01"] * 3)))


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DataError, match="more than one column 'age'"):
        ENCODER.matrix(pd.concat([SHOWN, SHOWN[["age"]]], axis=1))


def test_values_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="'aisle' holds values that cannot be compared"):
        ENCODER.matrix(SHOWN.assign(aisle=pd.Series([["tea"], ["jam"], None], dtype=object)))


@pytest.mark.parametrize("more", [0, 1, 1_000])
def test_categories_that_a_type_only_declares_change_no_code(more: int) -> None:
    known = ["tea", "jam", *(f"declared {n}" for n in range(more))]
    typed = SHOWN.assign(aisle=pd.Categorical(SHOWN["aisle"], categories=known))
    np.testing.assert_array_equal(ENCODER.matrix(typed), ENCODER.matrix(SHOWN))


@pytest.mark.parametrize("kind", ["bool", "int8", "uint64", "float32", "Int64", "object", "category"])
def test_numbers_of_one_type_are_read_as_beside_others(kind: Any) -> None:
    plain = pd.DataFrame({"age": [1.0, 0.0, 1.0], "price": [1.5, None, 3.0]})
    typed = plain.assign(age=plain["age"].astype("int64").astype(kind))
    for names in (("age",), ("age", "price"), ("price", "age")):
        expected = plain[list(names)].to_numpy()
        np.testing.assert_array_equal(FeatureEncoder(names, {}).matrix(typed), expected)
