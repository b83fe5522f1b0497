"""How an import appears: made aside, swapped in when it is whole, and found again by what it follows from.

::

    out/.importing/         the work, unseen by whoever reads the tables
    out/impressions, out/events
    out/import.json         recipe, sizes of the files, result; it leaves first and returns last
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TABLES: Final = ("impressions", "events")
_MANIFEST: Final = "import.json"
_UNFINISHED: Final = ".importing"


def make_recipe(settings: str, files: Iterable[Path]) -> str:
    """Digest everything that an import follows from: settings, code and data, in this order."""
    digest = hashlib.sha256(settings.encode())
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def find_finished(out: Path, recipe: str) -> dict[str, Any] | None:
    """Return the result of an equal import that is still whole below a folder, None where there is none."""
    manifest = out / _MANIFEST
    if not manifest.is_file():
        return None
    left = json.loads(manifest.read_text(encoding="utf-8"))
    if left["recipe"] != recipe or left["files"] != _sizes(out):
        return None
    return {**left["result"], "reused": True}


def begin(out: Path) -> Path:
    """Return an empty folder to work in; what a killed import left of it is gone."""
    work = out / _UNFINISHED
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def publish(work: Path, out: Path, recipe: str, result: "DataclassInstance") -> None:
    """Swap the tables in; a half swap is never reused."""
    (out / _MANIFEST).unlink(missing_ok=True)
    for table in TABLES:
        if (out / table).exists():
            (out / table).rename(work / f"{table}.old")
        (work / table).rename(out / table)
    manifest = {"recipe": recipe, "files": _sizes(out), "result": asdict(result)}
    (work / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    (work / _MANIFEST).replace(out / _MANIFEST)
    shutil.rmtree(work)


def _sizes(folder: Path) -> dict[str, int]:
    return {
        f"{table}/{path.name}": path.stat().st_size
        for table in TABLES
        for path in sorted((folder / table).glob("*.parquet"))
    }
