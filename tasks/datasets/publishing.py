"""Session and files of an import, and its publication in one swap.

::

    out/.importing/         the work in progress, which no reader opens
    out/impressions, out/events
    out/import.json         recipe, sizes of the files, result; removed first and written last
"""

import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow.parquet as pq

from tasks.errors import DataError
from tasks.text_files import read_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


TABLES: Final = ("impressions", "events")
_MANIFEST: Final = "import.json"
_UNFINISHED: Final = ".importing"

LONGEST_LINE = 100_000
"""Maximum characters of a header line."""


def require_file(path: Path) -> Path:
    """Return a source file after checking that it is a regular file.

    Raises
    ------
    DataError
        It is missing, a folder, a device or a pipe, which would block the reader.
    """
    if not path.exists():
        raise DataError(f"{path} is missing. Name the folder of the whole download with --source")
    if not path.is_file():
        raise DataError(f"{path} is not a regular file but a folder, a pipe or a device. Put the file there")
    return path


def make_recipe(settings: str, files: Iterable[Path]) -> str:
    """Return the digest of an import's inputs: settings, this module, and the import's own code and data."""
    digest = hashlib.sha256(settings.encode())
    for path in (Path(__file__), *files):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def find_finished(out: Path, recipe: str) -> dict[str, Any] | None:
    """Return the result of an equal import if its output in a folder is complete, else None."""
    manifest = out / _MANIFEST
    try:
        left = read_json(manifest, error=DataError)
        whole = left["recipe"] == recipe and left["files"] == _sizes(out)
        return {**left["result"], "reused": True} if whole else None
    except (DataError, KeyError, TypeError):  # missing, damaged or of another import
        return None


def begin(out: Path) -> Path:
    """Return an empty work folder, after removing the rest of a killed import."""
    work = out / _UNFINISHED
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def publish(work: Path, out: Path, recipe: str, result: "DataclassInstance") -> None:
    """Move the tables to their place; an incomplete swap is never reused."""
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


def connect(work: Path, *, threads: int, memory: str) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database that spills to the import's folder and reads times as UTC."""
    config = {"threads": threads, "memory_limit": memory, "temp_directory": str(work / "spill")}
    session = duckdb.connect(config=config)
    session.execute("SET TimeZone = 'UTC'")
    return session


def write_files(
    session: duckdb.DuckDBPyConnection, query: str, folder: Path, files: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write a new folder with a query's rows, one file per name, with the parameters of that name."""
    folder.mkdir()
    for name, parameters in files.items():
        rows = session.sql(query, params=dict(parameters)).to_arrow_table()
        pq.write_table(rows, folder / f"{name}.parquet", compression="zstd")


def count(
    session: duckdb.DuckDBPyConnection, *queries: tuple[str, Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Return the single rows of some queries, each with its parameters, combined into one row."""
    counts: dict[str, Any] = {}
    for query, parameters in queries:
        row = session.sql(query, params=parameters)
        counts.update(zip(row.columns, row.fetchall()[0], strict=True))
    return counts


def read_first_line(path: Path) -> str:
    """Return the first line of a UTF-8 file.

    Raises
    ------
    DataError
        The file is not text, or its compression is damaged.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return str(stream.readline(LONGEST_LINE))
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        kind = "gzipped CSV" if path.suffix == ".gz" else "CSV"
        raise DataError(f"{path} is not a {kind} in UTF-8: {error}") from error
