"""What a source of surface.yaml names: files, a table of PostgreSQL, or a table of Spark's catalog.

::

    home_feed/impressions/*.parquet      files, a folder, a glob or a Delta table below the logs folder
    postgresql://NAME/schema.table       a table or view of the server that the environment calls NAME
    spark://database.table               a table or view of the Spark session's catalog

A message never repeats a URL: it may hold a password.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

_NAME = r"[^./\s]{1,63}"
_SERVER = r"[A-Za-z][A-Za-z0-9_]{0,62}"
_POSTGRESQL = re.compile(rf"postgresql://(?P<server>{_SERVER})/(?P<schema>{_NAME})\.(?P<table>{_NAME})")
_SPARK = re.compile(rf"spark://(?P<names>{_NAME}(\.{_NAME}){{1,2}})")

NEEDS_SPARK = (
    "is a table of Spark's catalog: set engine: {name: spark} (--engine spark), or export it as Parquet"
)


@dataclass(frozen=True)
class PostgresTable:
    """A table or view of a server; how the server is reached is no matter of a contract."""

    server: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"postgresql://{self.server}/{self.schema}.{self.table}"


@dataclass(frozen=True)
class SparkTable:
    """A table or view of a catalog: its names, the database's before its own."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"spark://{'.'.join(self.names)}"


_LONGEST_NAME, _MOST_FOLDERS, _MOST_WILD = 255, 64, 4
"""Bytes of a name, folders of a path, and ``**`` of a pattern: each searches all below the one before."""

Source: TypeAlias = str | PostgresTable | SparkTable


def parse_source(text: str) -> Source:
    """Read a source; a path or a glob stays the text that it is.

    Examples
    --------
    >>> parse_source("postgresql://warehouse/public.events")
    PostgresTable(server='warehouse', schema='public', table='events')
    >>> parse_source("spark://shop.events")
    SparkTable(names=('shop', 'events'))
    """
    scheme, is_url, _ = text.partition("://")
    if not is_url:
        _check_path(text)
        return text
    if match := _POSTGRESQL.fullmatch(text):
        return PostgresTable(**match.groupdict())
    if match := _SPARK.fullmatch(text):
        return SparkTable(tuple(match["names"].split(".")))
    if scheme.lower() in {"postgresql", "postgres"}:
        raise ValueError(
            "write postgresql://NAME/schema.table, where NAME is a name and no host: address, user and "
            "password stand in the environment, as EQUIPOISE_POSTGRESQL_<NAME>, and never in a contract"
        )
    if scheme.lower() == "spark":
        raise ValueError("write spark://database.table")
    raise ValueError(
        f"nothing reads {scheme[:20]}:// here: copy or mount the table below the logs folder, or let "
        "EQUIPOISE_LOGS be the prefix that it lies below"
    )


def _check_path(text: str) -> None:
    names = text.split("/")
    if any(len(name.encode()) > _LONGEST_NAME for name in names):
        raise ValueError(f"a name in it is longer than {_LONGEST_NAME} bytes, the most that a file has")
    if len(names) > _MOST_FOLDERS:
        raise ValueError(f"it has {len(names)} folders: at most {_MOST_FOLDERS} are searched")
    if any(sign < " " for sign in text):
        raise ValueError("it holds a control character")
    if any("**" in name and name != "**" for name in names):
        raise ValueError("** stands for folders only as a whole name: write logs/**/*.parquet, or one *")
    if names.count("**") > _MOST_WILD:
        raise ValueError(f"it has more than {_MOST_WILD} **: one is enough for folders of any depth")
