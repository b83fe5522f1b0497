"""An import appears whole, is found again by its recipe, and is never half reused."""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tasks.datasets import publishing
from tasks.datasets.publishing import (
    TABLES,
    begin,
    find_finished,
    make_recipe,
    publish,
    read_first_line,
    require_file,
)
from tasks.errors import DataError


@dataclass(frozen=True)
class Result:
    rows: int
    reused: bool = False


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a published import of the recipe "a"."""
    write(tmp_path, "a", b"first")
    return tmp_path


def write(out: Path, recipe: str, content: bytes) -> None:
    work = begin(out)
    for table in TABLES:
        (work / table).mkdir()
        (work / table / "day.parquet").write_bytes(content)
    publish(work, out, recipe, Result(rows=len(content)))


def test_a_recipe_follows_from_settings_and_from_the_bytes_of_files(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(b"1")
    recipe = make_recipe("weeks 14", [file])
    assert make_recipe("weeks 14", [file]) == recipe
    assert make_recipe("weeks 15", [file]) != recipe
    file.write_bytes(b"2")
    assert make_recipe("weeks 14", [file]) != recipe


def test_where_nothing_was_published_nothing_is_found(tmp_path: Path) -> None:
    assert find_finished(tmp_path, "a") is None


def test_a_published_import_is_found_by_its_recipe_alone(out: Path) -> None:
    assert find_finished(out, "a") == {"rows": 5, "reused": True}
    assert find_finished(out, "b") is None


def test_an_import_that_lost_bytes_is_not_reused(out: Path) -> None:
    (out / "events" / "day.parquet").write_bytes(b"fir")
    assert find_finished(out, "a") is None


def test_another_import_takes_the_place_of_the_first_and_leaves_no_work(out: Path) -> None:
    write(out, "b", b"second")
    assert find_finished(out, "b") == {"rows": 6, "reused": True}
    assert (out / "events" / "day.parquet").read_bytes() == b"second"
    assert sorted(path.name for path in out.iterdir()) == ["events", "import.json", "impressions"]


def test_what_a_killed_import_left_is_cleared(tmp_path: Path) -> None:
    (begin(tmp_path) / "half").write_bytes(b"")
    assert list(begin(tmp_path).iterdir()) == []


@pytest.fixture
def session(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return publishing.connect(tmp_path, threads=1, memory="1GB")


def test_times_are_read_as_utc(session: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT (TIMESTAMPTZ '2026-03-01 12:00:00')::VARCHAR"
    assert session.sql(query).fetchall() == [("2026-03-01 12:00:00+00",)]


def test_each_name_is_a_file_of_its_parameters_rows(
    session: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    weeks = {"week_14": {"week": 14}, "week_15": {"week": 15}}
    publishing.write_files(session, "SELECT $week AS week", tmp_path / "events", weeks)
    files = sorted((tmp_path / "events").iterdir())
    assert [file.name for file in files] == ["week_14.parquet", "week_15.parquet"]
    assert pq.read_table(files[1]).to_pylist() == [{"week": 15}]


def test_counts_of_several_queries_are_one_row(session: duckdb.DuckDBPyConnection) -> None:
    counts = publishing.count(session, ("SELECT 1 AS a, 2 AS b", None), ("SELECT $n AS c", {"n": 3}))
    assert counts == {"a": 1, "b": 2, "c": 3}


def test_plain_and_packed_files_begin_alike_without_a_byte_order_mark(tmp_path: Path) -> None:
    content = "\ufeffa,b\n1,2\n".encode()
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert read_first_line(plain) == read_first_line(packed) == "a,b\n"


def test_what_is_no_text_or_not_packed_is_named(tmp_path: Path) -> None:
    for name, kind in (("a.csv", "CSV"), ("a.csv.gz", "gzipped CSV")):
        path = tmp_path / name
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=f"a.csv.* is not a {kind} in UTF-8"):
            read_first_line(path)


def test_a_source_that_is_a_pipe_or_missing_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "all.csv")
    with pytest.raises(DataError, match=r"all\.csv is not a regular file but a folder, a pipe or a device"):
        require_file(tmp_path / "all.csv")
    with pytest.raises(DataError, match=r"items\.csv is missing"):
        require_file(tmp_path / "items.csv")


@pytest.mark.parametrize("content", [b"", b"caf\xe9", b"[]", b"{}"])
def test_a_manifest_that_is_no_text_or_of_something_else_is_no_finished_import(
    out: Path, content: bytes
) -> None:
    assert find_finished(out, "a") is not None
    (out / "import.json").write_bytes(content)
    assert find_finished(out, "a") is None
