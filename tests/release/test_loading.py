"""A release in a folder is loaded with its own code, beside others, and speaks with our errors."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks import errors
from tasks.release.loading import load_release

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
