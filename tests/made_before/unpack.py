"""Unpacks a home that an earlier commit made, so that it lives where it lies now.

MLflow keeps the absolute location of artifacts in its database; every text there that begins with, or holds,
the folder where the home was made gets the new one instead.
"""

import contextlib
import sqlite3
import tarfile
from dataclasses import dataclass
from pathlib import Path

MADE_AT = "/tmp/equipoise-fixture"  # noqa: S108 - where make.py made it


@dataclass(frozen=True)
class MadeBefore:
    """Contracts, the home, and what the commit that made it printed and scored."""

    surfaces: Path
    home: Path
    expected: Path


def unpack(archive: Path, into: Path) -> MadeBefore:
    """Unpack into a folder of its own."""
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    move(into / "home" / "mlflow" / "mlflow.db", MADE_AT, str(into))
    return MadeBefore(into / "surfaces", into / "home", into / "expected")


def move(database: Path, before: str, after: str) -> None:
    """Replace a folder's path wherever a text of the database holds it."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '  # noqa: S608 - its own names
                    f'WHERE typeof("{column}") = \'text\' AND instr("{column}", ?)',
                    (before, after, before),
                )
