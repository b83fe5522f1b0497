"""A DuckDB connection that counts in UTC: what measurements run in."""

from collections.abc import Iterator

import duckdb
import pytest


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
