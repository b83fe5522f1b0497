"""The manifest of a release: what it was made of, pinned by exact version and sha256.

::

    manifest.json
    ├── surface, as_of, backfilled          which release this is
    ├── snapshot, contracts, test           the labels and contracts that it was made from
    ├── parts[]                             registered models: name, version, sha256, newest training row
    ├── files{path: sha256}                 every other file of the release folder
    └── code{path: sha256}                  every file that runs when it scores

It holds no time of writing and no run id: the same inputs give the same bytes, so its digest is the
release's identity. Loading checks every byte that it lists (``tasks/release/model.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final, Self

from tasks.errors import StoreError
from tasks.stores.files import sha256
from tasks.stores.parts import Part

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
RELEASE: Final = "release"
"""The artifact of the registered model that holds the release's own files."""
ROOT: Final = f"artifacts/{RELEASE}"


class Role(StrEnum):
    """What a part does in a release."""

    TASK = "task"
    CALIBRATOR = "calibrator"
    TRUNK = "trunk"
    UTILITY_POLICY = "utility_policy"
    SLATE_POLICY = "slate_policy"
    EXAMINATION = "examination"
    TESTED = "tested"
    """The release whose models stand in for this one's where the decision is replayed."""


@dataclass(frozen=True)
class PinnedPart(Part):
    """A part that a release is made of, and what it does there.

    ``slices`` holds first and last day of ``train``, ``calibrate`` and ``test`` where the part was
    fitted on data; ``newest_training_row`` is the last day it learned from.
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
        """Pin a registered part."""
        return cls(part.name, part.version, part.sha256, role, None, newest_training_row, slices or {})

    def trained_until(self) -> date:
        """Return the last day that the part learned from."""
        if self.newest_training_row is None:
            raise StoreError(f"{self} does not say up to which day it learned. Train it anew.")
        return self.newest_training_row


@dataclass(frozen=True)
class PinnedSnapshot:
    """The label snapshot: contract digest, as-of and content digest make its id."""

    id: str
    contract_digest: str
    content_digest: str
    as_of: datetime


@dataclass(frozen=True)
class Manifest:
    """A release's contents; equal inputs make equal manifests, byte for byte."""

    surface: str
    as_of: datetime
    snapshot: PinnedSnapshot
    contracts: Mapping[str, str]
    test: tuple[date, date]
    parts: tuple[PinnedPart, ...]
    files: Mapping[str, str]
    code: Mapping[str, str]
    backfilled: bool = False

    @property
    def pins(self) -> dict[str, int]:
        """Exact version by registered model name; of a trunk in two versions the newer."""
        return {part.name: part.version for part in self.parts}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the release has a head for."""
        return tuple(str(part.task) for part in self.parts if part.role is Role.TASK)

    def part(self, role: Role, task: str | None = None) -> PinnedPart:
        """Return the part that plays a role (for a task)."""
        found = self.find(role, task)
        if found is not None:
            return found
        raise StoreError(
            f"The manifest of a release of {self.surface} pins no {role.value}"
            f"{f' for {task}' if task else ''}. Pinned: {', '.join(self.pins) or 'nothing'}."
        )

    def find(self, role: Role, task: str | None = None) -> PinnedPart | None:
        """Return the part that plays a role (for a task), None where the release has none."""
        return next((part for part in self.parts if part.role is role and part.task == task), None)

    def age(self, part: PinnedPart) -> timedelta | None:
        """Age of a fitted part's newest training day, from that day's end to the as-of."""
        if part.newest_training_row is None:
            return None
        return self.as_of - datetime.combine(part.newest_training_row, time(), UTC) - timedelta(days=1)

    def ages(self) -> dict[str, timedelta]:
        """Age of each fitted part, of a trunk in two versions the age of the newer."""
        return {part.name: age for part in self.parts if (age := self.age(part)) is not None}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; days and instants become ISO 8601, ages whole days."""
        plain: dict[str, Any] = _plain(asdict(self))
        ages = {name: age.days for name, age in self.ages().items()}
        return {"format": FORMAT, **plain, "newest_training_row_age_days": ages}

    def to_bytes(self) -> bytes:
        """Return the one canonical form: sorted keys, indented, UTF-8, final newline."""
        text = json.dumps(self.to_json(), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()

    @property
    def digest(self) -> str:
        """Sha256 of the canonical bytes, in hex."""
        return sha256(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a manifest."""
        try:
            plain = json.loads(data)
            if plain.pop("format") != FORMAT:
                raise StoreError(
                    f"This {MANIFEST} is not of format {FORMAT}; read it with the code that wrote it."
                )
            del plain["newest_training_row_age_days"]
            manifest = cls(**_parse(plain))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{MANIFEST} cannot be read: {error!r}. Fetch the release again.") from error
        for path in (*manifest.files, *manifest.code):
            _refuse_outside(path)
        return manifest


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else value


def _days(pair: list[str]) -> tuple[date, date]:
    first, last = pair
    return date.fromisoformat(first), date.fromisoformat(last)


def _parse(plain: dict[str, Any]) -> dict[str, Any]:
    snapshot = plain["snapshot"]
    return {
        **plain,
        "as_of": datetime.fromisoformat(plain["as_of"]),
        "snapshot": PinnedSnapshot(**{**snapshot, "as_of": datetime.fromisoformat(snapshot["as_of"])}),
        "test": _days(plain["test"]),
        "parts": tuple(_parse_part(part) for part in plain["parts"]),
    }


def _parse_part(plain: dict[str, Any]) -> PinnedPart:
    newest = plain["newest_training_row"]
    return PinnedPart(
        **{
            **plain,
            "role": Role(plain["role"]),
            "newest_training_row": date.fromisoformat(newest) if newest else None,
            "slices": {name: _days(pair) for name, pair in plain["slices"].items()},
        }
    )


def _refuse_outside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise StoreError(
            f"{MANIFEST} lists '{path}', which lies outside the release. Fetch the release again."
        )
