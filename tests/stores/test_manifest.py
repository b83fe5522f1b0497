"""A manifest is the release's identity: canonical, complete, readable by the code that wrote it.

The files of a part: digests that depend on content alone.
"""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import lightgbm as lgb
import mlflow.lightgbm
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import StoreError
from tasks.stores.files import sha256, tree_digest, write_files
from tasks.stores.manifest import (
    Manifest,
    PinnedPart,
    PinnedSnapshot,
    Role,
    drop_caches,
    files_sha256,
    folder_sha256,
)
from tasks.training.step import booster_files

AS_OF = datetime(2026, 5, 11, 4, tzinfo=UTC)
SHA = "a" * 64
WEEK = (date(2026, 5, 1), date(2026, 5, 7))


def a_part(task: str = "click_30m", version: int = 3, role: Role = Role.TASK) -> PinnedPart:
    return PinnedPart(
        name=f"home_feed.{role.value}.{task}",
        version=version,
        sha256=SHA,
        role=role,
        task=task,
        newest_training_row=date(2026, 5, 9),
        slices={"train": WEEK},
    )


def a_manifest() -> Manifest:
    return Manifest(
        surface="home_feed",
        as_of=AS_OF,
        snapshot=PinnedSnapshot("0123456789abcdef", SHA, SHA, AS_OF),
        contracts={"tasks": SHA, "utility": SHA},
        test=WEEK,
        parts=(a_part(), PinnedPart("home_feed.slate_policy", 1, SHA, Role.SLATE_POLICY)),
        files={"models/click_30m.txt": SHA},
        code={"model.py": SHA},
    )


def test_reading_what_was_written_gives_the_same_manifest() -> None:
    manifest = a_manifest()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_the_digest_is_that_of_the_bytes_and_ignores_the_order_of_keys() -> None:
    manifest = a_manifest()
    turned = replace(manifest, contracts=dict(reversed([*manifest.contracts.items()])))
    assert manifest.digest == turned.digest == sha256(manifest.to_bytes())


@pytest.mark.parametrize(
    "changed",
    [
        replace(a_manifest(), surface="other"),
        replace(a_manifest(), backfilled=True),
        replace(a_manifest(), as_of=AS_OF + timedelta(seconds=1)),
        replace(a_manifest(), parts=(a_part(version=4),)),
        replace(a_manifest(), files={"models/click_30m.txt": "b" * 64}),
        replace(a_manifest(), code={}),
        replace(a_manifest(), contracts={}),
        replace(a_manifest(), test=(date(2026, 5, 2), date(2026, 5, 7))),
    ],
)
def test_any_change_changes_the_digest(changed: Manifest) -> None:
    assert changed.digest != a_manifest().digest


def test_pins_name_the_exact_version_of_every_part() -> None:
    assert a_manifest().pins == {"home_feed.task.click_30m": 3, "home_feed.slate_policy": 1}


def test_a_part_is_found_by_its_role_and_task() -> None:
    assert a_manifest().part(Role.SLATE_POLICY).version == 1
    assert a_manifest().part(Role.TASK, "click_30m").version == 3
    with pytest.raises(StoreError, match="pins no calibrator for click_30m"):
        a_manifest().part(Role.CALIBRATOR, "click_30m")


def test_a_part_that_a_release_may_lack_is_found_or_not() -> None:
    assert a_manifest().find(Role.EXAMINATION) is None
    assert a_manifest().find(Role.SLATE_POLICY) == a_manifest().part(Role.SLATE_POLICY)


def test_the_age_of_a_part_runs_from_the_end_of_its_newest_training_day_to_the_as_of() -> None:
    assert a_manifest().ages() == {"home_feed.task.click_30m": timedelta(days=1, hours=4)}
    assert a_manifest().to_json()["newest_training_row_age_days"] == {"home_feed.task.click_30m": 1}


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\\b", ""])
def test_a_path_outside_the_release_is_refused(path: str) -> None:
    data = replace(a_manifest(), files={path: SHA}).to_bytes()
    with pytest.raises(StoreError, match="outside the release"):
        Manifest.from_bytes(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"format": 1}'])
def test_what_is_no_manifest_is_refused_with_the_way_out(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"manifest.json cannot be read.*Fetch the release again"):
        Manifest.from_bytes(data)


def test_a_manifest_of_another_format_is_refused() -> None:
    other = json.dumps({**a_manifest().to_json(), "format": 2}).encode()
    with pytest.raises(StoreError, match="not of format 1"):
        Manifest.from_bytes(other)


@given(st.dictionaries(st.text("ab/", min_size=1), st.text("0123456789abcdef", min_size=4, max_size=4)))
def test_a_tree_digest_depends_on_content_and_not_on_order(files: dict[str, str]) -> None:
    assert tree_digest(files) == tree_digest(dict(reversed(files.items())))
    assert tree_digest({**files, "new": "0"}) != tree_digest(files)


BOOSTER_AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    features = np.random.default_rng(0).random((200, 2))
    data = lgb.Dataset(features, features[:, 0] > 0.5, feature_name=["price", "age"])
    return lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True}, data, 3
    )


def test_a_booster_is_saved_as_the_same_bytes_every_time(booster: lgb.Booster) -> None:
    assert booster_files(booster, BOOSTER_AS_OF) == booster_files(booster, BOOSTER_AS_OF)


def test_nothing_in_it_is_in_the_order_of_a_set(booster: lgb.Booster) -> None:
    """Another process has its sets in another order, and would save other bytes."""
    described = yaml.safe_load(booster_files(booster, BOOSTER_AS_OF)["MLmodel"])
    listed = described["flavors"]["lightgbm"]["skops_trusted_types"]
    assert listed == sorted(listed)


def test_a_saved_booster_loads_as_mlflows_own(booster: lgb.Booster, tmp_path: Path) -> None:
    write_files(tmp_path / "model", booster_files(booster, BOOSTER_AS_OF))
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
