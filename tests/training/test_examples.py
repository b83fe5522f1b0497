"""The rows of one head: of one length, with labels and weights that can be learned from."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError
from tasks.training.examples import Examples
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
