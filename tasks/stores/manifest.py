"""The manifest of a release: its components, pinned by exact version and sha256.

::

    manifest.json
    ├── surface, as_of, backfilled          identity of the release
    ├── snapshot, contracts, test           the labels and contracts that it was built from
    ├── parts[]                             registered models: name, version, sha256, newest training row
    ├── files{path: sha256}                 all other files of the release folder
    └── code{path: sha256}                  all code files that run when it scores

It contains neither a time nor a run id, so equal inputs give equal bytes and its digest identifies the
release. Loading verifies every listed byte (``tasks/release/model.py``).

The ``sha256`` of a registered component (`Part`) is computed over the sorted lines ``<relative path> <sha256
of the file>``. It does not cover the files that MLflow and Python leave in a folder on loading; these are
removed from every copy.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, ConfigDict, TypeAdapter

from tasks.errors import StoreError
from tasks.evaluation.documents import CLOSED, first_problem
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

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
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


FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
RELEASE: Final = "release"
"""Artifact of the registered model with the release's own files."""
ROOT: Final = f"artifacts/{RELEASE}"

Instant = Annotated[datetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


class Role(StrEnum):
    """Role of a component in a release."""

    TASK = "task"
    CALIBRATOR = "calibrator"
    TRUNK = "trunk"
    UTILITY_POLICY = "utility_policy"
    SLATE_POLICY = "slate_policy"
    EXAMINATION = "examination"
    TESTED = "tested"
    """The release whose models replace this one's in replays."""


@dataclass(frozen=True)
class PinnedPart(Part):
    """A component of a release, with its role.

    ``slices`` contains the first and last day of ``train``, ``calibrate`` and ``test`` for a fitted
    component. ``newest_training_row`` is the last day of its training data.
    """

    role: Role
    task: str | None = None
    newest_training_row: date | None = None
    slices: Mapping[str, tuple[date, date]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        part: Part,
        role: Role,
        *,
        newest_training_row: date | None = None,
        slices: Mapping[str, tuple[date, date]] | None = None,
    ) -> Self:
        """Pin a registered model version."""
        return cls(part.name, part.version, part.sha256, role, None, newest_training_row, slices or {})

    def trained_until(self) -> date:
        """Return the last day of the component's training data."""
        if self.newest_training_row is None:
            raise StoreError(f"{self} lacks the last day of its training data. Train it again.")
        return self.newest_training_row


@dataclass(frozen=True)
class PinnedSnapshot:
    """The label snapshot; its id follows from contract digest, as-of and content digest."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    id: str
    contract_digest: str
    content_digest: str
    as_of: Instant


@dataclass(frozen=True)
class Manifest:
    """Contents of a release; equal inputs give byte-equal manifests."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    surface: str
    as_of: Instant
    snapshot: PinnedSnapshot
    contracts: Mapping[str, str]
    test: tuple[date, date]
    parts: tuple[PinnedPart, ...]
    files: Mapping[str, str]
    code: Mapping[str, str]
    backfilled: bool = False

    @property
    def pins(self) -> dict[str, int]:
        """Exact version by registered model name; for a trunk in two versions the newer one."""
        return {part.name: part.version for part in self.parts}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks for which the release has a head."""
        return tuple(str(part.task) for part in self.parts if part.role is Role.TASK)

    def part(self, role: Role, task: str | None = None) -> PinnedPart:
        """Return the component with a role (for a task)."""
        found = self.find(role, task)
        if found is not None:
            return found
        raise StoreError(
            f"The manifest of a release of {self.surface} pins no {role.value}"
            f"{f' for {task}' if task else ''}. Pinned: {', '.join(self.pins) or 'nothing'}."
        )

    def find(self, role: Role, task: str | None = None) -> PinnedPart | None:
        """Return the component with a role (for a task), or None."""
        return next((part for part in self.parts if part.role is role and part.task == task), None)

    def age(self, part: PinnedPart) -> timedelta | None:
        """Age of a component's newest training day, from the end of that day to the as-of."""
        if part.newest_training_row is None:
            return None
        return self.as_of - datetime.combine(part.newest_training_row, time(), UTC) - timedelta(days=1)

    def ages(self) -> dict[str, timedelta]:
        """Age of each fitted component; for a trunk in two versions, of the newer one."""
        return {part.name: age for part in self.parts if (age := self.age(part)) is not None}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, with days and instants in ISO 8601 and ages in whole days."""
        ages = {name: age.days for name, age in self.ages().items()}
        plain = _MANIFEST.dump_python(self, mode="json")
        return {"format": FORMAT, **plain, "newest_training_row_age_days": ages}

    def to_bytes(self) -> bytes:
        """Return the canonical form: sorted keys, indented, UTF-8, final newline."""
        text = json.dumps(self.to_json(), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()

    @property
    def digest(self) -> str:
        """sha256 of the canonical bytes, as hex digits."""
        return sha256(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Parse a manifest."""
        try:
            plain = json.loads(data)
            if plain.pop("format") != FORMAT:
                raise StoreError(
                    f"This {MANIFEST} is not of format {FORMAT}; read it with the code that wrote it."
                )
            del plain["newest_training_row_age_days"]
            manifest = _MANIFEST.validate_python(plain)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{MANIFEST} cannot be read: {first_problem(error)}. Fetch the release again."
            ) from error
        for path in (*manifest.files, *manifest.code):
            _refuse_outside(path)
        return manifest


_MANIFEST: Final = TypeAdapter(Manifest)


def _refuse_outside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise StoreError(
            f"{MANIFEST} lists '{path}', which lies outside the release. Fetch the release again."
        )
