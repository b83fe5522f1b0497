"""The tables of an import: the session that makes them, a Parquet file a day or week, and their counts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq


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
