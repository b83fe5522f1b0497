"""Spark and an object store: labels may be put there; a log that lies there is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import ContractError, StoreError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores.location import ObjectPath
from tasks.stores.store import Store
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.logs.spark_home import small_session, with_spark
from tests.stores.local_path import local
from tests.stores.object_store import ObjectStore

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore)"),
]


@pytest.fixture(scope="module", autouse=True)
def _spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small_session(tmp_path_factory.mktemp("spark")):
        yield


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    return object_store.empty_bucket(monkeypatch)


def test_labels_are_put_into_the_store(
    tmp_path: Path, bucket: ObjectPath, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Logs.random(tmp_path, seed=1).write()
    built = labels.run(near, as_of=at(9))
    monkeypatch.setenv("EQUIPOISE_STORE", str(bucket / "store"))
    far = with_spark(near, tmp_path / "far")
    first = labels.run(far, as_of=at(6))
    object_store.shut()
    with pytest.raises(StoreError):
        labels.run(far, as_of=at(9))
    object_store.open()
    store = LabelStore(Store.open(far.home), NAME)
    last = store.last()
    assert last is not None
    assert last.id == first.snapshot
    assert labels.run(far, as_of=at(9)).snapshot == built.snapshot
    assert all(
        name.endswith((".parquet", ".json")) for name in map(str, (bucket / "store").files("labels/**"))
    )


def test_a_log_in_the_store_is_refused_with_the_way_out(
    tmp_path: Path, bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Logs.random(tmp_path, seed=1).write()
    (bucket / "logs").take(local(near.logs))
    monkeypatch.setenv("EQUIPOISE_LOGS", str(bucket / "logs"))
    with pytest.raises(ContractError, match=r"the engine spark reads no object store .* --engine duckdb"):
        labels.run(with_spark(near, tmp_path / "far"), as_of=at(9))
