"""Values that training never saw are counted by feature, over the heads that all of them are strange to."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head
from tasks.release.strange_inputs import find_strange_inputs

_PARAMETERS = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 1, "num_leaves": 3, "num_threads": 1}


def head(devices: list[str], prices: tuple[float, float], *, held: dict[str, float] | None = None) -> Head:
    """Learn a head from 60 rows of these devices and of prices in this range."""
    rows = pd.DataFrame(
        {"device": [devices[n % len(devices)] for n in range(60)], "price": np.linspace(*prices, 60)}
    )
    encoder = FeatureEncoder.fit(rows, numeric=["price"], categorical=["device"])
    data = lgb.Dataset(encoder.matrix(rows), label=np.arange(60) % 2, categorical_feature=[1])
    return Head("click", "binary", lgb.train(_PARAMETERS, data, 3), encoder, None, held=held or {})


def candidates(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"device": ["phone"] * 4, "price": [2.0] * 4} | columns)


PHONES = head(["phone", "desk"], (1.0, 5.0))


def test_what_training_saw_is_nothing_strange() -> None:
    assert find_strange_inputs([PHONES], candidates(price=[1.0, 5.0, 3.3, None])) == {}


@pytest.mark.parametrize(
    ("columns", "strange"),
    [
        ({"device": ["fridge"] * 4}, {"device": 1.0}),
        ({"device": ["fridge", "phone", "PHONE", "phone"]}, {"device": 0.5}),
        ({"device": [None, None, "phone", "desk"]}, {}),
        ({"price": [0.99, 5.01, 5.0, 1.0]}, {"price": 0.5}),
        ({"price": [1e9] * 4, "device": ["fridge", "a", "b", "phone"]}, {"device": 0.75, "price": 1.0}),
    ],
)
def test_unseen_categories_and_values_out_of_range_are_counted(
    columns: dict[str, list[object]], strange: dict[str, float]
) -> None:
    assert find_strange_inputs([PHONES], candidates(**columns)) == strange


def test_a_value_that_one_head_knows_is_not_strange() -> None:
    other = head(["fridge"], (0.0, 2.0))
    found = find_strange_inputs(
        [PHONES, other], candidates(device=["fridge"] * 4, price=[0.5, 6.0, 2.0, 1.5])
    )
    assert found == {"price": 0.25}


def test_a_held_feature_is_not_read_from_the_candidates() -> None:
    held = head(["phone"], (1.0, 5.0), held={"price": 3.0})
    assert find_strange_inputs([held], candidates(price=[9.0] * 4)) == {}
    assert find_strange_inputs([held], candidates().drop(columns="price")) == {}


def test_no_candidate_is_nothing_strange() -> None:
    assert find_strange_inputs([PHONES], candidates().head(0)) == {}
