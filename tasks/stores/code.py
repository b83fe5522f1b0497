"""The digest of the code that makes a step's evidence: a changed byte of it makes the evidence anew.

::

    a step of the room release     every source file of `tasks`, without the rooms above release
    and the versions of            lightgbm, numpy, scikit-learn

The files are those of the step's room and of every room that it may import, by the layers in pyproject.toml.
The digest covers more files than a step needs, so that no import can be forgotten.
"""

import importlib.metadata
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from tasks.stores.files import sha256

_TOP_DOWN: Final = (
    frozenset({"cli"}),
    frozenset({"pipeline", "datasets"}),
    frozenset({"promotion"}),
    frozenset({"experiments", "monitoring"}),
    frozenset({"tuning"}),
    frozenset({"replay"}),
    frozenset({"ope"}),
    frozenset({"release"}),
    frozenset({"calibration"}),
    frozenset({"training"}),
    frozenset({"trunks"}),
    frozenset({"validation"}),
    frozenset({"labels"}),
    frozenset({"logs"}),
)
"""The rooms that hold steps, and those above them; rooms on one level do not import each other."""
_LIBRARIES: Final = ("lightgbm", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Code:
    """The source files of a package, each read once."""

    package: Path

    @cached_property
    def files(self) -> dict[str, str]:
        """The sha256 of each source file by its path in the package."""
        paths = sorted(self.package.rglob("*.py"))
        return {path.relative_to(self.package).as_posix(): sha256(path.read_bytes()) for path in paths}

    def below(self, room: str, *, without: Collection[str] = ()) -> dict[str, str]:
        """Return the files of a room and of the rooms below it."""
        level = next(at for at, rooms in enumerate(_TOP_DOWN) if room in rooms)
        above = {*without, *frozenset().union(*_TOP_DOWN[:level]), *(_TOP_DOWN[level] - {room})}
        return {path: sha for path, sha in self.files.items() if _room(path) not in above}

    def digest(self, room: str, *, without: Collection[str] = ()) -> str:
        """Return the digest of the files of `below` and of the versions of the libraries."""
        files = [f"{sha} {path}" for path, sha in self.below(room, without=without).items()]
        versions = [f"{name}=={importlib.metadata.version(name)}" for name in _LIBRARIES]
        return sha256("\n".join([*files, *versions]).encode())


def _room(path: str) -> str:
    return Path(path).parts[0].removesuffix(".py")


CODE: Final = Code(Path(__file__).resolve().parents[1])
"""The code of this process."""
