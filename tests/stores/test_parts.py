"""The files of a part: digests that depend on content alone."""

from datetime import UTC, datetime
from pathlib import Path

import lightgbm as lgb
import mlflow.lightgbm
import numpy as np
import pytest
import yaml

from tasks.stores.boosters import booster_files
from tasks.stores.files import write_files
from tasks.stores.parts import drop_caches, files_sha256, folder_sha256

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    features = np.random.default_rng(0).random((200, 2))
    data = lgb.Dataset(features, features[:, 0] > 0.5, feature_name=["price", "age"])
    return lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True}, data, 3
    )


def test_a_booster_is_saved_as_the_same_bytes_every_time(booster: lgb.Booster) -> None:
    assert booster_files(booster, AS_OF) == booster_files(booster, AS_OF)


def test_nothing_in_it_is_in_the_order_of_a_set(booster: lgb.Booster) -> None:
    """Another process has its sets in another order, and would save other bytes."""
    described = yaml.safe_load(booster_files(booster, AS_OF)["MLmodel"])
    listed = described["flavors"]["lightgbm"]["skops_trusted_types"]
    assert listed == sorted(listed)


def test_a_saved_booster_loads_as_mlflows_own(booster: lgb.Booster, tmp_path: Path) -> None:
    write_files(tmp_path / "model", booster_files(booster, AS_OF))
    loaded = mlflow.lightgbm.load_model(str(tmp_path / "model"))
    rows = np.array([[0.2, 0.3], [0.9, 0.1]])
    np.testing.assert_array_equal(loaded.predict(rows), booster.predict(rows))


def test_a_folder_has_the_digest_of_its_files_and_what_loading_leaves_does_not_count(tmp_path: Path) -> None:
    files = {"a.json": b"{}", "code/b.py": b"x = 1"}
    write_files(tmp_path, files)
    write_files(tmp_path, {"code/__pycache__/b.pyc": b"cache", "registered_model_meta": b"name"})
    assert folder_sha256(tmp_path) == files_sha256(files)
    drop_caches(tmp_path)
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == set(files)


@pytest.mark.parametrize("other", [{"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}])
def test_another_byte_name_or_file_is_another_digest(other: dict[str, bytes]) -> None:
    assert files_sha256(other) != files_sha256({"a": b"1"})
