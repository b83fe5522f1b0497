from pathlib import Path

import pytest

from tasks.labels import build as labels
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tests.feeds.days_of_logs import NAME, Logs, at


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three builds: as of the fifth, the ninth, and of the past."""
    folder = tmp_path_factory.mktemp("store")
    context = Logs.random(folder, seed=3).write()
    for as_of in (at(5), at(9), at(3)):
        labels.run(context, as_of=as_of)
    return folder


@pytest.fixture
def store(folder: Path) -> LabelStore:
    return LabelStore(folder / "home", NAME)


@pytest.fixture
def newest(store: LabelStore) -> Snapshot:
    last = store.last()
    assert last is not None
    return last.snapshot
