"""One client a process, and for DuckDB one that asks for an object's size once."""

import pytest

from tasks.stores.object_store import Remembering, client
from tests.stores.object_store import ObjectStore

pytestmark = [
    pytest.mark.xdist_group("object_store"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore)"),
]


def test_an_endpoint_and_a_key_have_one_client() -> None:
    assert client("http://127.0.0.1:1", "a") is client("http://127.0.0.1:1", "a")
    assert client("http://127.0.0.1:1", "a") is not client("http://127.0.0.1:1", "b")


def test_the_size_of_an_object_is_asked_for_once(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = object_store.empty_bucket(monkeypatch)
    remembering = Remembering()
    remembering.pipe_file(f"{bucket}/a.txt", b"abc")
    assert remembering.info(f"{bucket}/a.txt")["size"] == 3
    object_store.shut()
    try:
        assert remembering.info(f"{bucket}/a.txt")["size"] == 3
    finally:
        object_store.open()


def test_what_is_not_a_file_is_asked_for_again(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = object_store.empty_bucket(monkeypatch)
    remembering = Remembering()
    remembering.pipe_file(f"{bucket}/folder/a.txt", b"abc")
    assert remembering.info(f"{bucket}/folder")["type"] == "directory"
    remembering.rm_file(f"{bucket}/folder/a.txt")
    with pytest.raises(FileNotFoundError):
        remembering.info(f"{bucket}/folder")
