"""What runs and models wrote, read from where MLflow keeps it.

::

    read_artifact(repository, "evidence.json")     the bytes of a file
    read_artifacts(repository)                     the bytes of every file, by path
    copy_artifacts(repository, folder)             every file, below a folder of our own

MLflow downloads with a pool of threads; a folder of this machine is read as it is.
"""

import os
import shutil
import tempfile
from pathlib import Path

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository


def read_artifact(repository: ArtifactRepository, path: str) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    MlflowException, OSError
        There is no such file, or it cannot be read.
    """
    if isinstance(repository, LocalArtifactRepository):
        return Path(repository.download_artifacts(path)).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        return Path(repository.download_artifacts(path, folder)).read_bytes()


def read_artifacts(repository: ArtifactRepository) -> dict[str, bytes]:
    """Return the bytes of every file, by path.

    Raises
    ------
    MlflowException, OSError
        There is nothing, or it cannot be read.
    """
    if isinstance(repository, LocalArtifactRepository):
        return _read_below(Path(repository.artifact_dir))
    with tempfile.TemporaryDirectory(prefix="equipoise-part-") as folder:
        repository.download_artifacts("", folder)
        return _read_below(Path(folder))


def copy_artifacts(repository: ArtifactRepository, into: Path) -> None:
    """Copy every file below a folder, without permissions.

    Raises
    ------
    MlflowException, OSError
        There is nothing, or it cannot be read.
    """
    if not isinstance(repository, LocalArtifactRepository):
        repository.download_artifacts("", str(into))
        return
    for place, _, names in os.walk(repository.artifact_dir, onerror=_refuse):
        folder = into / Path(place).relative_to(repository.artifact_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(Path(place, name), folder / name)


def _read_below(folder: Path) -> dict[str, bytes]:
    files = (Path(place, name) for place, _, names in os.walk(folder, onerror=_refuse) for name in names)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def _refuse(error: OSError) -> None:
    raise error
