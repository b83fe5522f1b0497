from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tasks.labels import build as labels
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.store import Store
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.labels.engine import Story
from tests.logs.small_log import Shop, events, impressions


@pytest.fixture(scope="session")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def story(engine: duckdb.DuckDBPyConnection) -> Story:
    return Story(engine)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "home").put("impressions", impressions()).put("events", events())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three builds: as of the fifth, the ninth, and of the past."""
    folder = tmp_path_factory.mktemp("store")
    workspace = Logs.random(folder, seed=3).write()
    for as_of in (at(5), at(9), at(3)):
        labels.run(workspace, as_of=as_of)
    return folder


@pytest.fixture
def store(folder: Path) -> LabelStore:
    return LabelStore(Store.open(folder / "home"), NAME)


@pytest.fixture
def newest(store: LabelStore) -> Snapshot:
    last = store.last()
    assert last is not None
    return last
