"""One operation reads a release once: what is changed meanwhile is found by the next one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import ContractError, StoreError
from tasks.release.reader import ReleaseReader
from tasks.release.step import ReleaseResult
from tasks.stores import releases
from tasks.stores.manifest import Role
from tasks.stores.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(labelled_feed: tuple[Workspace, str]) -> Workspace:
    return labelled_feed[0]


@pytest.fixture
def manifest_file(workspace: Workspace, released: ReleaseResult, tmp_path: Path) -> Iterator[Path]:
    """The release's manifest in the artifact store; put back after the test."""
    registry = workspace.store.registry
    model_id = registry.model_id(registry.part(released.release, released.version))
    folder = Path(registry.client.get_logged_model(model_id).artifact_location.removeprefix("file://"))
    file = folder / "artifacts/release/manifest.json"
    shutil.copy(file, tmp_path / "before")
    yield file
    shutil.copy(tmp_path / "before", file)


def test_it_reads_what_the_registry_holds(workspace: Workspace, released: ReleaseResult) -> None:
    reader, version = ReleaseReader(workspace), released.version
    assert reader.manifest(version) == releases.release_manifest(workspace, version)
    assert reader.tested(version) == releases.tested_manifest(workspace, version)
    assert (reader.verified(version).problems, reader.verified(version).pins) == ([], len(released.pins))
    model = reader.manifest(version).part(Role.TASK, "click_1d")
    assert reader.tags(model) == workspace.store.registry.tags(model)


def test_a_byte_that_changes_after_the_look_is_found_by_the_next_operation(
    workspace: Workspace, released: ReleaseResult, manifest_file: Path
) -> None:
    reader, version = ReleaseReader(workspace), released.version
    before = reader.manifest(version), reader.verified(version)
    manifest_file.write_bytes(
        manifest_file.read_bytes().replace(b'"backfilled": false', b'"backfilled": true ')
    )
    assert (reader.manifest(version), reader.verified(version)) == before
    later = ReleaseReader(workspace)
    assert any("manifest.json" in problem for problem in later.verified(version).problems)
    with pytest.raises(StoreError, match="holds other bytes than were registered"):
        later.manifest(version)


def test_what_it_refused_once_it_looks_at_again(
    workspace: Workspace, released: ReleaseResult, manifest_file: Path
) -> None:
    """Nothing wrong is remembered as read: a store that did not answer may do so the next time."""
    reader, data = ReleaseReader(workspace), manifest_file.read_bytes()
    manifest_file.write_bytes(data[:-1])
    with pytest.raises(StoreError, match="holds other bytes"):
        reader.manifest(released.version)
    manifest_file.write_bytes(data)
    assert (
        reader.manifest(released.version).digest
        == releases.release_manifest(workspace, released.version).digest
    )


def test_a_version_that_does_not_exist_is_named(workspace: Workspace, released: ReleaseResult) -> None:
    with pytest.raises(ContractError, match="Unknown version '17'"):
        ReleaseReader(workspace).manifest(17)
