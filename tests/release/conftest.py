"""A release small enough to flip every byte of: its scoring code is three lines, its artifact one number."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from tasks.release.packaging import package_release
from tasks.stores.files import write_files
from tasks.stores.manifest import Manifest, PinnedSnapshot

AS_OF = datetime(2026, 5, 11, 4, tzinfo=UTC)
SCORING = """\
from ..columns import FACTOR
from ..errors import DataError


class Scorer:
    def __init__(self, weight):
        self.weight = weight

    @classmethod
    def from_files(cls, files):
        return cls(float(files["weight.json"]))

    def score(self, frame):
        if "x" not in frame:
            raise DataError("no x")
        return frame.assign(utility=frame["x"] * self.weight * FACTOR)

    def explain(self, frame, request_id):
        return frame[frame["request_id"] == request_id]
"""


def a_source(folder: Path, *, factor: int = 1) -> Path:
    """Write a `tasks` folder with the modules that travel."""
    contents = {
        "columns.py": f"FACTOR = {factor}\n",
        "errors.py": "class DataError(Exception):\n    pass\n",
        "contracts/base.py": "SPEC = ()\n",
        "contracts/slate.py": "SPEC = ()\n",
        "contracts/utility.py": "SPEC = ()\n",
        "evaluation/segments.py": "SEGMENTS = ()\n",
        "ranking/heads.py": "HEADS = ()\n",
        "ranking/scoring.py": SCORING,
    }
    write_files(folder, {path: text.encode() for path, text in contents.items()})
    return folder


@pytest.fixture
def manifest() -> Manifest:
    """A manifest that lists no file yet."""
    day = date(2026, 5, 1)
    return Manifest(
        surface="toy",
        as_of=AS_OF,
        snapshot=PinnedSnapshot("0" * 16, "a" * 64, "b" * 64, AS_OF),
        contracts={},
        test=(day, day),
        parts=(),
        files={},
        code={},
    )


Make = Callable[..., Path]


@pytest.fixture
def make_release(tmp_path: Path, manifest: Manifest) -> Make:
    """Make release folders: ``make_release("one", factor=1, weight=2.0)``."""

    def make(name: str, *, factor: int = 1, weight: float = 1.0) -> Path:
        packaged, _ = package_release(
            {"weight.json": str(weight).encode(), "utility.json": b"{}", "slate.json": b'{"length": 3}'},
            manifest,
            signature=ModelSignature(inputs=Schema([ColSpec("double", "x")])),
            source=a_source(tmp_path / f"source-{factor}", factor=factor),
        )
        write_files(tmp_path / name, packaged)
        return tmp_path / name

    return make
