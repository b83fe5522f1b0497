"""Contracts compared with a git revision: what changed, and whether the version was raised."""

import subprocess
from pathlib import Path

import pytest

from tasks.contracts.revisions import ContractChange, Revision, find_changes
from tasks.errors import UsageError
from tests.contracts.files import setting, write_surface


def git(folder: Path, *words: str) -> None:
    person = ["-c", "user.name=ana", "-c", "user.email=ana@example.org"]
    subprocess.run(["git", *person, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def surfaces(tmp_path: Path) -> Path:
    """A repository whose folder of surfaces is committed as `before`."""
    root = write_surface(tmp_path / "surfaces")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "before")
    git(tmp_path, "tag", "before")
    return root


def changes(root: Path) -> list[ContractChange]:
    return [*find_changes(root, "feed", Revision.find(root, "before"))]


def test_nothing_changed_where_only_comments_did(surfaces: Path) -> None:
    file = surfaces / "feed" / "utility.yaml"
    file.write_text("# a comment\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert changes(surfaces) == []


@pytest.mark.parametrize(("version", "raised"), [(1, False), (2, True), (0, False)])
def test_a_change_of_a_weight_needs_a_higher_version(surfaces: Path, version: int, *, raised: bool) -> None:
    write_surface(surfaces, setting("utility.weights.click", 0.5), setting("utility.version", version))
    (found,) = changes(surfaces)
    assert found == ContractChange("feed", "utility.yaml", "changed", ("weights",), 1, version, raised)


def test_a_higher_version_alone_is_no_change(surfaces: Path) -> None:
    write_surface(surfaces, setting("slate.version", 2))
    assert changes(surfaces) == []


def test_new_and_removed_files_need_no_version(surfaces: Path) -> None:
    (surfaces / "feed" / "slate.yaml").unlink()
    assert [(one.file, one.change, one.raised) for one in changes(surfaces)] == [
        ("slate.yaml", "removed", True)
    ]
    other = Revision.find(surfaces, "before")
    (surfaces / "new").mkdir()
    (surfaces / "new" / "utility.yaml").write_text("version: 1\n", encoding="utf-8")
    assert [one.change for one in find_changes(surfaces, "new", other)] == ["added"]
    assert other.surfaces() == ("feed",)


@pytest.mark.parametrize("name", ["nowhere", "", "--help", "-n1", "before; touch x", "before:surfaces"])
def test_what_is_no_commit_is_refused(surfaces: Path, name: str) -> None:
    with pytest.raises(UsageError, match="git knows no commit"):
        Revision.find(surfaces, name)


def test_a_folder_outside_of_any_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Revision.find(tmp_path / "nowhere", "before")
