"""A place in an object store has the words of a folder, and its troubles are StoreErrors."""

from pathlib import Path

import duckdb
import pytest

from tasks.errors import DataError, StoreError
from tasks.logs.sources import resolve_path
from tasks.stores.location import (
    ObjectPath,
    files_below,
    filled,
    folders_below,
    locate,
    objects,
    register_objects,
    relative_path,
    size_of,
    storage_options,
)
from tests.stores.object_store import ObjectStore

pytestmark = [
    pytest.mark.xdist_group("object_store"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore)"),
]


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectPath:
    """A bucket with a/1.txt and a/b/2.txt."""
    made = object_store.empty_bucket(monkeypatch)
    for file in ("a/1.txt", "a/b/2.txt"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    made.take(tmp_path)
    return made


def test_a_uri_is_an_object_path_and_all_else_a_folder() -> None:
    assert locate("s3://bucket/logs/") == ObjectPath("s3://bucket/logs")
    assert locate("logs") == Path("logs")


def test_names_parents_and_relative_paths_are_those_of_a_folder() -> None:
    far, near = ObjectPath("s3://bucket/labels") / "feed", Path("labels") / "feed"
    assert (far.name, far.parent.name) == (near.name, near.parent.name)
    assert far.with_name("feed__as_of").name == "feed__as_of"
    assert relative_path(far.parent, far / "x.parquet") == relative_path(near.parent, near / "x.parquet")


def test_what_lies_below_is_found(bucket: ObjectPath) -> None:
    assert [path.name for path in (bucket / "a").iterdir()] == ["1.txt", "b"]
    assert [str(relative_path(bucket, path)) for path in bucket.glob("a/*")] == ["a/1.txt", "a/b"]
    assert [str(relative_path(bucket, path)) for path in files_below(bucket, "**/*.txt")] == [
        "a/1.txt",
        "a/b/2.txt",
    ]
    assert [str(relative_path(bucket, path)) for path in files_below(bucket, "a/*")] == ["a/1.txt"]
    assert [str(relative_path(bucket, path)) for path in folders_below(bucket, "a/*")] == ["a/b"]


def test_folders_of_this_machine_are_found_as_prefixes_are(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "1.txt").touch()
    assert folders_below(tmp_path, "a/*") == [tmp_path / "a" / "b"]


def test_a_prefix_that_is_named_like_a_file_is_read_with_the_objects_beside_it(
    bucket: ObjectPath, tmp_path: Path
) -> None:
    for file in ("feed/0.parquet", "feed/day.parquet/part-0.parquet"):
        (tmp_path / "log" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "log" / file).write_text(file)
    bucket.take(tmp_path / "log")
    found = resolve_path("feed/*.parquet", logs=bucket, table="events")
    assert [str(relative_path(bucket, path)) for path in found] == [
        "feed/0.parquet",
        "feed/day.parquet/part-0.parquet",
    ]


def test_objects_of_a_prefix_are_read_by_any_name_of_parquet(bucket: ObjectPath, tmp_path: Path) -> None:
    """A key that ends in a slash is what a console makes for a folder."""
    for file in ("0.parquet", "1.pq", "000000_0", "_SUCCESS", "notes", "notes.md"):
        (tmp_path / "log/feed/day=1").mkdir(parents=True, exist_ok=True)
        (tmp_path / "log/feed/day=1" / file).write_bytes(b"PAR1" if file == "000000_0" else b"")
    bucket.take(tmp_path / "log")
    objects().call_s3("put_object", Bucket=bucket.name, Key="feed/day=2/", Body=b"")
    found = resolve_path("feed", logs=bucket, table="events")
    assert [path.name for path in found] == ["0.parquet", "000000_0", "1.pq"]
    (tmp_path / "log/feed/day=1/0.bak").write_bytes(b"PAR1 rows PAR1")
    bucket.take(tmp_path / "log")
    with pytest.raises(DataError, match=r"0\.bak is a Parquet file by another name"):
        resolve_path("feed", logs=bucket, table="events")


def test_an_object_is_a_file_and_a_prefix_a_folder(bucket: ObjectPath) -> None:
    one = bucket / "a/1.txt"
    assert (one.is_file(), one.is_dir(), (bucket / "a").is_dir(), (bucket / "c").is_dir()) == (
        True,
        False,
        True,
        False,
    )
    assert size_of(one) == 7
    with one.open() as opened:
        assert opened.read() == b"a/1.txt"


def test_what_was_removed_is_gone(bucket: ObjectPath) -> None:
    (bucket / "a/1.txt").unlink()
    assert not (bucket / "a/1.txt").is_file()
    (bucket / "a/1.txt").unlink(missing_ok=True)
    with pytest.raises(StoreError, match=r"s3://.*a/1\.txt"):
        size_of(bucket / "a/1.txt")


def test_a_folder_is_filled_in_its_place_or_brought_there(bucket: ObjectPath, tmp_path: Path) -> None:
    with filled(tmp_path / "near") as folder:
        assert folder == tmp_path / "near"
    with filled(bucket / "far") as folder:
        folder.mkdir()
        (folder / "x.txt").write_text("x")
    assert (bucket / "far/x.txt").is_file()


def test_a_commit_needs_conditional_puts_and_plain_http_is_allowed_where_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert storage_options(Path("labels")) is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    near = storage_options(ObjectPath("s3://bucket/labels"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.com")
    far = storage_options(ObjectPath("s3://bucket/labels"))
    assert near == {"aws_conditional_put": "etag", "aws_allow_http": "true"}
    assert far == {"aws_conditional_put": "etag", "aws_allow_http": "false"}


def test_a_duckdb_connection_reads_what_it_wrote(bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_STORE", str(bucket))
    with duckdb.connect() as connection:
        register_objects(connection)
        connection.execute("COPY (SELECT 1 AS n) TO $to", {"to": f"{bucket}/n.parquet"})
        assert connection.read_parquet(f"{bucket}/n.parquet").fetchall() == [(1,)]


def test_a_store_that_is_away_is_a_store_error(bucket: ObjectPath, object_store: ObjectStore) -> None:
    object_store.shut()
    try:
        with pytest.raises(StoreError, match="object store does not give"):
            (bucket / "a").is_dir()
    finally:
        object_store.open()
