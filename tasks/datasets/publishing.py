"""An import's work: its session, its files, and its publication in one swap.

::

    out/.importing/         the work in progress, which no reader opens
    out/impressions, out/events
    out/import.json         recipe, sizes of the files, result; it is removed first and written last
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
"""Characters of a first line that are read; what is longer is no header."""


def require_file(path: Path) -> Path:
    """Return a source file that ends.

    Raises
    ------
    DataError
        It is missing, a folder, a device or a pipe, whose reader would wait for a writer.
    """
    if not path.exists():
        raise DataError(f"{path} is missing. Name the folder of the whole download with --source")
    if not path.is_file():
        raise DataError(f"{path} is not a regular file but a folder, a pipe or a device. Put the file there")
    return path


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
    try:
        left = read_json(manifest, error=DataError)
        whole = left["recipe"] == recipe and left["files"] == _sizes(out)
        return {**left["result"], "reused": True} if whole else None
    except (DataError, KeyError, TypeError):  # missing, torn or of something else
        return None


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


def connect(work: Path, *, threads: int, memory: str) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that spills below the import's own folder and reads times as UTC."""
    config = {"threads": threads, "memory_limit": memory, "temp_directory": str(work / "spill")}
    session = duckdb.connect(config=config)
    session.execute("SET TimeZone = 'UTC'")
    return session


def write_files(
    session: duckdb.DuckDBPyConnection, query: str, folder: Path, files: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write a new folder of a query's rows, one file for each name with the parameters that it stands for."""
    folder.mkdir()
    for name, parameters in files.items():
        rows = session.sql(query, params=dict(parameters)).to_arrow_table()
        pq.write_table(rows, folder / f"{name}.parquet", compression="zstd")


def count(
    session: duckdb.DuckDBPyConnection, *queries: tuple[str, Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Return the only rows of some queries, each with its parameters, as one row by column."""
    counts: dict[str, Any] = {}
    for query, parameters in queries:
        row = session.sql(query, params=parameters)
        counts.update(zip(row.columns, row.fetchall()[0], strict=True))
    return counts


def read_first_line(path: Path) -> str:
    """Return the first line of a file in UTF-8.

    Raises
    ------
    DataError
        The file is no text, or its packing is broken.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return str(stream.readline(LONGEST_LINE))
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        kind = "gzipped CSV" if path.suffix == ".gz" else "CSV"
        raise DataError(f"{path} is not a {kind} in UTF-8: {error}") from error
