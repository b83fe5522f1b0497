"""Stages the code that travels with a release, as a package named by its own content.

::

    tasks/columns.py, errors.py          equipoise_release_<sha12>/columns.py, errors.py
    tasks/contracts/{base,slate,utility}.py   .../contracts/...: the policy models
    tasks/evaluation/segments.py    ->   .../evaluation/segments.py
    tasks/ranking/*.py                   .../ranking/*.py

Of two packages with one name Python imports only the first, whatever the second holds. Named by content,
equal names mean equal code. The staged modules import each other relatively, and else numpy, pandas,
lightgbm, pydantic and the standard library alone: what a release needs to score.
"""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.errors import StoreError
from tasks.stores.files import sha256, tree_digest

PREFIX: Final = "equipoise_release_"
SCRIPT: Final = Path(__file__).with_name("model.py")
STAGED: Final = (
    "columns.py",
    "errors.py",
    "contracts/base.py",
    "contracts/slate.py",
    "contracts/utility.py",
    "evaluation/segments.py",
    "ranking/*.py",
)
RUNTIME: Final = ("lightgbm", "mlflow", "numpy", "pandas", "pydantic")
_INIT: Final = b'"""Code that a release brought with it."""\n'


@dataclass(frozen=True)
class StagedCode:
    """The package's name, its folder, and the sha256 of every file that runs, by path in the model."""

    package: str
    folder: Path
    digests: Mapping[str, str]


def stage_code(into: Path, *, source: Path = SCRIPT.parents[1]) -> StagedCode:
    """Copy the travelling modules of ``source`` (a ``tasks`` folder) to ``into/<package>``."""
    sources = travelling(source)
    digests = {path: sha256(data) for path, data in sources.items()}
    package = f"{PREFIX}{tree_digest(digests)[:12]}"
    for path, data in sources.items():
        target = into / package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    code = {f"code/{package}/{path}": digest for path, digest in digests.items()}
    script = {path: sha256(data) for path, data in _script().items()}
    return StagedCode(package, into / package, {**code, **script})


def travelling(source: Path = SCRIPT.parents[1]) -> dict[str, bytes]:
    """Return the staged modules' bytes by path in the package; each folder gets an empty ``__init__``."""
    found: dict[str, bytes] = {}
    for pattern in STAGED:
        paths = [path for path in source.glob(pattern) if path.name != "__init__.py"]
        if not paths:
            raise StoreError(f"No {pattern} in {source}: this installation is incomplete, install it again.")
        found.update({path.relative_to(source).as_posix(): path.read_bytes() for path in paths})
    folders = {Path(path).parent for path in found} | {Path()}
    found.update({(folder / "__init__.py").as_posix(): _INIT for folder in folders})
    return dict(sorted(found.items()))


def _script() -> dict[str, bytes]:
    return {SCRIPT.name: SCRIPT.read_bytes()}


def requirements() -> list[str]:
    """Pin what scoring needs to the versions at hand."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in RUNTIME]
