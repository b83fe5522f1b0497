"""The rows of one head: of one length, with labels and weights that can be learned from."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError, StoreError
from tasks.training.examples import Examples, StoredFeatures
from tests.known import known

FOLD = np.array([True, True, False, False])


def examples(**changed: Any) -> Examples:
    columns = {
        "features": np.arange(8.0).reshape(4, 2),
        "labels": np.array([1.0, 0.0, 1.0, 0.0]),
        "fold": FOLD,
    }
    return Examples(**{**columns, "names": ("price", "aisle"), "categorical": ("aisle",), **changed})


def test_numeric_features_are_those_without_codes() -> None:
    assert examples().numeric == ("price",)


def test_the_fold_is_held_out_where_both_sides_have_both_outcomes() -> None:
    assert examples().held_out.tolist() == FOLD.tolist()
    assert not examples(labels=np.array([1.0, 1.0, 1.0, 0.0])).held_out.any()
    assert not examples().without_fold().held_out.any()


def test_every_column_follows_the_rows() -> None:
    rows = np.array([True, False, False, True])
    some = examples(weights=np.arange(1.0, 5), offsets=np.arange(4.0), groups=np.arange(4)).where(rows)
    assert (len(some), some.labels.tolist(), known(some.weights).tolist()) == (2, [1.0, 0.0], [1.0, 4.0])
    table = pa.table({"price": [1.0, 2.0, 3.0, 4.0], "aisle": [0, 1, 0, 1]})
    features = examples(features=table).where(rows).features
    assert isinstance(features, pa.Table)
    assert features.to_pydict() == {"price": [1.0, 4.0], "aisle": [0, 1]}


def test_stored_rows_are_read_in_any_order(tmp_path: Path) -> None:
    table = pa.table({"price": [1.5, None, 3.0, 4.0], "aisle": pa.array([0, 1, 0, 1], pa.float32())})
    stored = StoredFeatures.write([table[:3], table[3:]], tmp_path, width=2)
    some = examples(features=stored.take(np.array([3, 0, 2, 1]))).where(np.array([True, True, False, True]))
    assert isinstance(some.features, StoredFeatures)
    np.testing.assert_array_equal(some.features[:], [[4.0, 1.0], [1.5, 0.0], [np.nan, 1.0]])
    assert [some.features[1].tolist(), len(some.features), some.features[3:].shape] == [[1.5, 0.0], 3, (0, 2)]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "held"),
    [
        ([pa.array([1], pa.int8()), pa.array([0.5], pa.float32())], np.float32),
        ([pa.array([True]), pa.array([None], pa.int16())], np.float32),
        ([pa.array([2**31 - 1], pa.int32()), pa.array([0.5], pa.float32())], np.float64),
        ([pa.array([2**60 + 1]), pa.array([None], pa.float64())], np.float64),
    ],
)
def test_stored_rows_take_the_least_floats_that_hold_them(
    values: list[pa.Array], held: type, tmp_path: Path
) -> None:
    written = StoredFeatures.write([pa.table(values, names=["a", "b"])], tmp_path, width=2)
    stored = written[:]
    wanted = [np.nan if one[0].as_py() is None else float(one[0].as_py()) for one in values]
    assert stored.dtype == held
    assert written[0].dtype == np.float64, "as LightGBM samples rows"
    np.testing.assert_array_equal(stored, [wanted])


def test_rows_that_find_no_room_are_refused(tmp_path: Path) -> None:
    def full() -> Iterator[pa.Table]:
        yield pa.table({"price": [1.0]})
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match=r"cannot be written to .*No space left on device"):
        StoredFeatures.write(full(), tmp_path, width=1)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"labels": np.ones(3)}, "other columns have 4 rows"),
        ({"names": ("price",)}, "for 1 names"),
        ({"labels": np.array([1.0, 0.0, np.nan, 0.0])}, "1 labels have no value"),
        ({"weights": np.array([1.0, 0.0, 1.0, 1.0])}, "weight is not above 0"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_refused(change: dict[str, Any], hint: str) -> None:
    with pytest.raises(DataError, match=hint):
        examples(**change)
