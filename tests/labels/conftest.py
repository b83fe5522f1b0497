from collections.abc import Iterator

import duckdb
import pytest

from tests.labels.engine import Story


@pytest.fixture(scope="session")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def story(engine: duckdb.DuckDBPyConnection) -> Story:
    return Story(engine)
