"""Artifacts on this machine are read as MLflow itself would hand them over."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.stores.artifacts import copy_artifacts, read_artifact, read_artifacts

FILES = {"evidence.json": b"{}\r\n", "of a task/ü.png": b"\x89PNG", "of a task/deep/empty": b""}


@pytest.fixture
def repository(tmp_path: Path) -> ArtifactRepository:
    for path, data in FILES.items():
        file = tmp_path / "kept here" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return get_artifact_repository((tmp_path / "kept here").as_uri())


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_every_byte_of_a_file_is_read(repository: ArtifactRepository) -> None:
    assert {path: read_artifact(repository, path) for path in FILES} == FILES
    assert read_artifacts(repository) == FILES


def test_a_copy_is_that_of_mlflow(repository: ArtifactRepository, tmp_path: Path) -> None:
    copy_artifacts(repository, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    repository.download_artifacts("", str(tmp_path / "theirs"))
    assert files_of(tmp_path / "ours") == files_of(tmp_path / "theirs") == FILES


def test_what_cannot_be_written_to_is_copied_so_that_it_can(
    repository: ArtifactRepository, tmp_path: Path
) -> None:
    (tmp_path / "kept here" / "evidence.json").chmod(0o400)
    (tmp_path / "kept here" / "of a task").chmod(0o500)
    copy_artifacts(repository, tmp_path / "ours")
    assert (tmp_path / "ours" / "of a task").stat().st_mode & 0o200
    assert (tmp_path / "ours" / "evidence.json").stat().st_mode & 0o200


@pytest.mark.parametrize(
    "read",
    [
        lambda repository, into: read_artifact(repository, "evidence.json"),
        copy_artifacts,
        lambda repository, into: read_artifacts(repository),
    ],
)
def test_what_is_gone_is_an_error(read: Callable[[ArtifactRepository, Path], object], tmp_path: Path) -> None:
    gone = get_artifact_repository((tmp_path / "gone").as_uri())
    with pytest.raises((MlflowException, OSError)):
        read(gone, tmp_path / "into")


def test_no_file_outside_is_read(repository: ArtifactRepository, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    with pytest.raises((MlflowException, OSError)):
        read_artifact(repository, "../secret")
