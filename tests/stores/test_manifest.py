"""A manifest is the release's identity: canonical, complete, readable by the code that wrote it."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import StoreError
from tasks.stores.files import sha256, tree_digest
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role

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
