"""One client a process, and for DuckDB one that asks for an object's size once."""

from collections.abc import Iterator

import pytest

from tasks.stores.object_store import Remembering, client
from tests.stores.object_store import ObjectStore, running_store

pytestmark = [
    pytest.mark.xdist_group("object_store"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore)"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with running_store() as running:
        yield running


def test_an_endpoint_and_a_key_have_one_client() -> None:
    assert client("http://127.0.0.1:1", "a") is client("http://127.0.0.1:1", "a")
    assert client("http://127.0.0.1:1", "a") is not client("http://127.0.0.1:1", "b")


def test_the_size_of_an_object_is_asked_for_once(
    server: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = server.empty_bucket(monkeypatch)
    remembering = Remembering()
    remembering.pipe_file(f"{bucket}/a.txt", b"abc")
    assert remembering.info(f"{bucket}/a.txt")["size"] == 3
    server.shut()
    try:
        assert remembering.info(f"{bucket}/a.txt")["size"] == 3
    finally:
        server.open()


def test_what_is_not_a_file_is_asked_for_again(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = server.empty_bucket(monkeypatch)
    remembering = Remembering()
    remembering.pipe_file(f"{bucket}/folder/a.txt", b"abc")
    assert remembering.info(f"{bucket}/folder")["type"] == "directory"
    remembering.rm_file(f"{bucket}/folder/a.txt")
    with pytest.raises(FileNotFoundError):
        remembering.info(f"{bucket}/folder")
