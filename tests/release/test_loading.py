"""A release in a folder is loaded with its own code, beside others, and speaks with our errors."""

import sys
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from tasks import errors
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head
from tasks.release.loading import find_strange_inputs, load_release

Make = Callable[..., Path]
FRAME = pd.DataFrame({"request_id": ["r", "s"], "x": [1.0, 2.0]})


def test_a_release_scores_with_its_own_code_and_artifacts(make_release: Make) -> None:
    loaded = load_release(make_release("one", factor=3, weight=2.0))
    np.testing.assert_array_equal(loaded.score(FRAME)["utility"], [6.0, 12.0])
    assert list(loaded.explain(FRAME, "s")["x"]) == [2.0]


def test_two_releases_with_different_code_live_in_one_process(make_release: Make) -> None:
    one, two = load_release(make_release("one", factor=1)), load_release(make_release("two", factor=10))
    np.testing.assert_array_equal(one.score(FRAME)["utility"], [1.0, 2.0])
    np.testing.assert_array_equal(two.score(FRAME)["utility"], [10.0, 20.0])
    np.testing.assert_array_equal(one.score(FRAME)["utility"], [1.0, 2.0])


def test_equal_code_with_other_artifacts_is_shared_and_scores_differently(make_release: Make) -> None:
    one, two = load_release(make_release("one", weight=1.0)), load_release(make_release("two", weight=5.0))
    np.testing.assert_array_equal(one.score(FRAME)["utility"], [1.0, 2.0])
    np.testing.assert_array_equal(two.score(FRAME)["utility"], [5.0, 10.0])


def test_an_error_of_the_release_reaches_the_caller_as_ours(make_release: Make) -> None:
    loaded = load_release(make_release("one"))
    with pytest.raises(errors.DataError, match="no x"):
        loaded.score(FRAME.drop(columns="x"))


def test_loading_leaves_nothing_behind(make_release: Make) -> None:
    release = make_release("one")
    before, path = sorted(release.rglob("*")), list(sys.path)
    load_release(release).score(FRAME)
    assert sorted(release.rglob("*")) == before
    assert sys.path == path


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreError, match="cannot be loaded"):
        load_release(tmp_path)


def test_an_error_that_is_none_of_ours_reaches_the_caller_as_it_is(make_release: Make) -> None:
    loaded = load_release(make_release("one"))
    with pytest.raises(TypeError):
        loaded.score(FRAME.assign(x="a"))


def test_it_carries_the_manifest_that_it_was_checked_against(make_release: Make) -> None:
    loaded = load_release(make_release("one"))
    assert loaded.manifest.surface == "toy"
    assert "weight.json" in loaded.manifest.files


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
