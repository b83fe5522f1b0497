"""A registered component: name, version and the digest of its files.

``sha256`` is computed over the sorted lines ``<relative path> <sha256 of the file>``. It does not cover the
files that MLflow and Python leave in a folder on loading; these are removed from every copy.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Final

from tasks.stores.files import sha256, tree_digest

BOOSTER: Final = "model.lgb"
ENCODER: Final = "encoder.json"
HEAD: Final = "head.json"
CALIBRATOR: Final = "calibrator.json"
CHOICE: Final = "choice.json"
"""File with the model of a calibrator fitted to a shared trunk or a blend, and the trunk's exact version."""
_CACHES: Final = frozenset({"registered_model_meta", "__pycache__"})


@dataclass(frozen=True)
class Part:
    """One version of a registered model; ``sha256`` covers all of its files."""

    name: str
    version: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def without_caches(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Remove files that the digest does not cover, so that they cannot be loaded.

    Examples
    --------
    >>> without_caches({"code/a.py": b"a", "code/__pycache__/a.pyc": b"other code"})
    {'code/a.py': b'a'}
    """
    return {path: data for path, data in files.items() if _is_content(PurePosixPath(path))}


def files_sha256(files: Mapping[str, bytes]) -> str:
    """Return the digest of files given by relative path.

    Examples
    --------
    >>> files_sha256({"b": b"2", "a/c": b"1"}) == files_sha256({"a/c": b"1", "b": b"2"})
    True
    """
    return tree_digest({path: sha256(data) for path, data in files.items()})


def folder_sha256(folder: Path) -> str:
    """Return the digest of a folder's files, without those that loading leaves."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder): path for path in paths}
    return tree_digest(
        {name.as_posix(): sha256(path.read_bytes()) for name, path in named.items() if _is_content(name)}
    )


def drop_caches(folder: Path) -> None:
    """Remove files that the digest does not cover, so that they cannot be loaded."""
    for path in [path for path in folder.rglob("*") if path.name in _CACHES]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _is_content(name: PurePath) -> bool:
    return _CACHES.isdisjoint(name.parts)
