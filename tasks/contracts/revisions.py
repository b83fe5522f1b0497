"""What changed in contracts since a revision of git, and whether each version was raised.

::

    git show SHA:surfaces/<name>/utility.yaml   ->   content without its version   compared with the file here
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from tasks.contracts.yaml_file import read_yaml
from tasks.errors import ContractError, UsageError

FILES: Final = ("surface.yaml", "tasks.yaml", "utility.yaml", "slate.yaml")


@dataclass(frozen=True)
class ContractChange:
    """A contract whose content changed.

    Attributes
    ----------
    change : whether the file is new, changed, or gone.
    keys : the top-level keys that differ.
    before, after : its version, None where it is not there or has none.
    raised : whether the version is a higher one, as a change needs; a new or removed file needs none.
    """

    surface: str
    file: str
    change: Literal["added", "changed", "removed"]
    keys: tuple[str, ...]
    before: int | None
    after: int | None
    raised: bool


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that holds a folder of surfaces."""

    root: Path
    sha: str

    @classmethod
    def find(cls, root: Path, name: str) -> "Revision":
        """Find a commit by any name that git knows.

        Raises
        ------
        UsageError
            There is no git, no repository, or no such commit.
        """
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
        """Return the names of the folders of contracts that the commit holds."""
        listed = (_git(self.root, "ls-tree", "-r", "-z", "--name-only", self.sha, "./") or b"").decode()
        paths = (Path(path) for path in listed.split("\0") if path)
        return tuple(
            dict.fromkeys(path.parts[0] for path in paths if len(path.parts) > 1 and path.name in FILES)
        )

    def read(self, surface: str, file: str) -> bytes | None:
        """Return a file's bytes; None where the commit has none."""
        return _git(self.root, "show", f"{self.sha}:./{surface}/{file}")


def find_changes(root: Path, surface: str, since: Revision) -> Iterator[ContractChange]:
    """Yield the contracts of a surface whose content differs from a revision's.

    A file that is not YAML now is left out: `check` names it.

    Raises
    ------
    ContractError
        The revision's file is not YAML.
    """
    for file in FILES:
        old, path = since.read(surface, file), root / surface / file
        before = None if old is None else _parse(old, file)
        try:
            after = read_yaml(path) if path.is_file() else None
        except ContractError:
            continue
        if before is None and after is None:
            continue
        old_version, new_version = _version(before), _version(after)
        left, right = ({**(side or {}), "version": 0} for side in (before, after))
        if left == right and before is not None and after is not None:
            continue
        keys = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
        both = before is not None and after is not None
        raised = not both or (old_version is not None and (new_version or 0) > old_version)
        change: Literal["added", "changed", "removed"] = (
            "changed" if both else "added" if before is None else "removed"
        )
        yield ContractChange(surface, file, change, tuple(keys), old_version, new_version, raised)


def _parse(content: bytes, file: str) -> dict[str, Any]:
    with TemporaryDirectory(prefix="equipoise-revision-") as folder:
        path = Path(folder) / file
        path.write_bytes(content)
        return read_yaml(path)


def _version(content: dict[str, Any] | None) -> int | None:
    version = (content or {}).get("version")
    return version if isinstance(version, int) else None


def _git(root: Path, *words: str) -> bytes | None:
    """Run git on the repository around a folder; None where it fails."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    return done.stdout if done.returncode == 0 else None
