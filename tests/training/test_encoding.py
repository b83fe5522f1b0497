"""What training reads from Arrow is what scoring reads from a frame, whatever type a feature comes in."""

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.contracts.surface import Features
from tasks.errors import DataError
from tasks.training.encoding import encode, encode_dictionaries, fit_encoder

CATEGORIES = {
    "text": pa.array(["tea", None, "jam", "tea"]),
    "integers": pa.array([1, None, 2, 1]),
    "floats": pa.array([1.0, None, 2.5, 1.0]),
    "single": pa.array([0.1, None, 2.0, 0.1], pa.float32()),
    "bools": pa.array([True, None, False, True]),
    "decimals": pa.array([Decimal("1.5"), None, Decimal("2.0"), Decimal("1.5")]),
    "days": pa.array([date(2026, 1, 1), None, date(2026, 1, 2), date(2026, 1, 1)]),
    "instants": pa.array([0, None, 10**15, 0], pa.timestamp("us", tz="UTC")),
    "coded": pa.array(["tea", None, "jam", "tea"]).dictionary_encode(),
    "hashes": pa.array([2**62 + 1, None, -(2**62) - 1, 2**62 + 1]),
    "nothing": pa.nulls(4),
}


def table(**columns: object) -> pa.Table:
    return pa.table(columns)


def codes(encoded: pa.Table, name: str) -> np.ndarray:
    return encoded.column(name).to_pandas().to_numpy(dtype=np.float64)


@pytest.mark.parametrize("kind", CATEGORIES)
def test_a_category_has_one_code_in_training_and_in_scoring(kind: Any) -> None:
    rows = table(price=[1.0, 2.0, 3.0, 4.0], kind=CATEGORIES[kind])
    encoder = fit_encoder(rows, Features(numeric=("price",), categorical=("kind",)))
    trained = encode(encoder, encode_dictionaries(rows, ["kind"]))
    scored = encoder.matrix(rows.to_pandas())
    np.testing.assert_array_equal(codes(trained, "kind"), scored[:, 1])
    assert np.isnan(scored[1, 1])
    assert kind == "nothing" or scored[0, 1] == scored[3, 1] != scored[2, 1]


@pytest.mark.parametrize("told", [pa.array([1, 2]), pa.array([1.0, 2.0]), pa.array(["1", "2"])])
def test_a_number_and_its_text_are_one_category(told: Any) -> None:
    encoder = fit_encoder(table(aisle=[1, 2, 3]), Features(categorical=("aisle",)))
    assert codes(encode(encoder, table(aisle=told)), "aisle").tolist() == [0.0, 1.0]


def test_neighbours_that_are_one_category_are_told(caplog: pytest.LogCaptureFixture) -> None:
    alike, apart = pa.array([2**53, 2**53 + 1, None, 7]), pa.array([2**53, 2**53 + 2, None, 7])
    fit_encoder(table(seller=apart), Features(categorical=("seller",)))
    assert not caplog.messages
    fit_encoder(table(seller=alike), Features(categorical=("seller",)))
    (message,) = caplog.messages
    assert message.startswith("train: 'seller' holds 3 whole numbers, and next to a null only 2 are distinct")


def test_a_hash_of_64_bits_is_one_category_with_and_without_nulls_beside_it() -> None:
    sellers = [2**62 + 1, 2**63 - 1]
    encoder = fit_encoder(table(seller=[None, *sellers]), Features(categorical=("seller",)))
    assert encoder.matrix(table(seller=sellers).to_pandas())[:, 0].tolist() == [0.0, 1.0]


def test_a_category_never_seen_is_missing() -> None:
    encoder = fit_encoder(table(aisle=["tea"]), Features(categorical=("aisle",)))
    np.testing.assert_array_equal(codes(encode(encoder, table(aisle=["rye", "tea"])), "aisle"), [np.nan, 0.0])


def test_ten_thousand_categories_have_as_many_codes() -> None:
    names = [f"c{number:05}" for number in range(10_000)]
    encoder = fit_encoder(table(aisle=names), Features(categorical=("aisle",)))
    np.testing.assert_array_equal(codes(encode(encoder, table(aisle=names)), "aisle"), np.arange(10_000))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None]),
        pa.array([True, None]),
        pa.array([1.0, None], pa.float32()),
        pa.array([Decimal(1), None]),
    ],
)
def test_whatever_counts_is_a_number_and_null_is_missing(values: Any) -> None:
    encoder = fit_encoder(table(price=values), Features(numeric=("price",)))
    np.testing.assert_array_equal(codes(encode(encoder, table(price=values)), "price"), [1.0, np.nan])
    np.testing.assert_array_equal(encoder.matrix(table(price=values).to_pandas())[:, 0], [1.0, np.nan])


@pytest.mark.parametrize("values", [["dear"], [date(2026, 1, 1)], [[1.0]], [{"euro": 1}]])
def test_what_is_no_number_is_refused_with_its_type(
    values: list[Any] | list[dict[str, Any]] | list[list[float]] | list[str],
) -> None:
    encoder = fit_encoder(table(price=[1.0]), Features(numeric=("price",)))
    with pytest.raises(DataError, match=r"Feature 'price' holds .*, and trees need numbers"):
        encode(encoder, table(price=pa.array(values)))


@pytest.mark.parametrize("values", [[[1.0]], [{"euro": 1}]])
def test_what_cannot_be_compared_is_no_category(values: list[dict[str, Any]] | list[list[float]]) -> None:
    with pytest.raises(DataError, match="Column 'aisle' holds values that cannot be compared"):
        fit_encoder(table(aisle=pa.array(values)), Features(categorical=("aisle",)))


def test_an_infinite_number_is_counted_and_its_first_row_named() -> None:
    encoder = fit_encoder(table(price=[1.0]), Features(numeric=("price",)))
    rows = table(request_id=["r1", "r2"], item_id=["a", "b"], price=[1.0, -np.inf])
    with pytest.raises(
        DataError, match="'price' is infinite in 1 of 2 rows, first in request_id r2, item_id b"
    ):
        encode(encoder, rows)


def test_no_row_has_no_code() -> None:
    encoder = fit_encoder(
        table(price=[1.0], aisle=["tea"]), Features(numeric=("price",), categorical=("aisle",))
    )
    assert encode(
        encoder, table(price=pa.array([], pa.float64()), aisle=pa.array([], pa.string()))
    ).shape == (0, 2)
