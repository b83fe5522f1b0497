"""Changes of contracts since a git revision, and whether each changed file raised its version.

::

    git show SHA:surfaces/<name>/utility.yaml   ->   content without its version   compared with the file here
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.contracts.load import CONTRACT_FILES, parse_yaml, read_yaml
from tasks.errors import ContractError, UsageError

_Content = dict[str, Any]
_Change = Literal["added", "changed", "removed"]


@dataclass(frozen=True)
class ContractChange:
    """A contract whose content changed.

    Attributes
    ----------
    change : whether the file is new, changed or removed.
    keys : top-level keys that differ.
    before, after : version, None if the file is missing or has none.
    raised : whether the version increased as a change requires; new and removed files need no increase.
    """

    surface: str
    file: str
    change: _Change
    keys: tuple[str, ...]
    before: int | None
    after: int | None
    raised: bool


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that contains a folder of surfaces."""

    root: Path
    sha: str

    @classmethod
    def find(cls, root: Path, name: str) -> "Revision":
        """Find a commit by any name that git resolves."""
        try:
            sha = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except FileNotFoundError:
            raise UsageError(f"{root} is no folder, or git is not installed. Name another one") from None
        if not sha:
            raise UsageError(
                f"git knows no commit '{name}' in {root}. Name a branch, tag or commit of the surfaces' "
                "repository; in CI fetch it first"
            )
        return cls(root, sha.decode().strip())

    def surfaces(self) -> tuple[str, ...]:
        """Return the names of the contract folders in the commit."""
        listed = (_git(self.root, "ls-tree", "-r", "-z", "--name-only", self.sha, "./") or b"").decode()
        paths = (Path(path) for path in listed.split("\0") if path)
        return tuple(
            dict.fromkeys(
                path.parts[0] for path in paths if len(path.parts) > 1 and path.name in CONTRACT_FILES
            )
        )

    def read(self, surface: str, file: str) -> bytes | None:
        """Return a file's bytes; None if the commit does not contain it."""
        return _git(self.root, "show", f"{self.sha}:./{surface}/{file}")


def find_changes(root: Path, surface: str, since: Revision) -> Iterator[ContractChange]:
    """Yield the contracts of a surface whose content differs from the revision.

    A file that is not valid YAML is skipped; `check` reports it.
    """
    for file in CONTRACT_FILES:
        old, path = since.read(surface, file), root / surface / file
        before = None if old is None else parse_yaml(old, file)
        try:
            after = read_yaml(path) if path.is_file() else None
        except ContractError:
            continue
        if (before is None) != (after is None) or _differing_keys(before, after):
            yield _describe(surface, file, before, after)


def _describe(surface: str, file: str, before: _Content | None, after: _Content | None) -> ContractChange:
    old, new = _version(before), _version(after)
    change: _Change = "added" if before is None else "removed" if after is None else "changed"
    raised = change != "changed" or (old is not None and new is not None and new > old)
    return ContractChange(surface, file, change, _differing_keys(before, after), old, new, raised)


def _differing_keys(before: _Content | None, after: _Content | None) -> tuple[str, ...]:
    """Return the top-level keys that differ, except the version, in alphabetical order."""
    old, new = before or {}, after or {}
    keys = {*old, *new} - {"version"}
    return tuple(sorted(key for key in keys if old.get(key) != new.get(key)))


def _version(content: _Content | None) -> int | None:
    version = (content or {}).get("version")
    return version if isinstance(version, int) else None


def _git(root: Path, *words: str) -> bytes | None:
    """Run git in the repository that contains a folder; None if it fails."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    return done.stdout if done.returncode == 0 else None
