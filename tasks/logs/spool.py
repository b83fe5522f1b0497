"""Where the files of a source lie; a table that is no file is written once, as Parquet, for a session.

::

    a path, a glob, a Delta table     the files that are there                           sources.py
    postgresql://NAME/schema.table    <session's folder>/<table>/part-0.parquet          postgresql.py
    spark://database.table            <session's folder>/<table>/part-*.parquet          spark.py

So checks, profile, quarantine and digests know Parquet alone, whatever the source is. What was written goes
with the session's folder.
"""

from dataclasses import dataclass
from pathlib import Path

from tasks.contracts.sources import NEEDS_SPARK, PostgresTable, SparkTable, parse_source
from tasks.contracts.surface import Engine
from tasks.errors import ContractError
from tasks.logs import postgresql, spark
from tasks.logs.sources import resolve
from tasks.stores.location import Location


@dataclass(frozen=True)
class Found:
    """The Parquet files of a source, and the folder below which folders' names can be columns."""

    files: tuple[Location, ...]
    below: Location


def find(source: str, *, table: str, logs: Location, engine: Engine, folder: Path) -> Found:
    """Find a source's files, or write them.

    Parameters
    ----------
    folder
        The session's own folder.

    Raises
    ------
    ContractError
        The source leaves the logs folder, is a URL that nothing reads, or needs another engine.
    DataError
        Nothing is there.
    StoreError
        The server or the catalog does not answer.
    """
    try:
        parsed = parse_source(source)
    except ValueError as error:
        raise ContractError(f"surface.yaml sources.{table}: {error}") from None
    spooled = folder / table
    match parsed:
        case PostgresTable():
            spooled.mkdir()
            postgresql.spool(parsed, spooled / "part-0.parquet", table=table)
        case SparkTable():
            if engine.name != "spark":
                raise ContractError(f"surface.yaml sources.{table} = '{source}' {NEEDS_SPARK}")
            spark.spool(parsed, spooled, table=table, engine=engine)
        case str():
            return Found(resolve(parsed, logs=logs, table=table), logs)
    return Found(tuple(sorted(spooled.glob("*.parquet"))), spooled)
