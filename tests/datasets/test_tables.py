"""Tables of an import: times in UTC, one file for each name, counts in one row."""

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tasks.datasets import tables


@pytest.fixture
def session(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return tables.connect(tmp_path, threads=1, memory="1GB")


def test_times_are_read_as_utc(session: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT (TIMESTAMPTZ '2026-03-01 12:00:00')::VARCHAR"
    assert session.sql(query).fetchall() == [("2026-03-01 12:00:00+00",)]


def test_each_name_is_a_file_of_its_parameters_rows(
    session: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    weeks = {"week_14": {"week": 14}, "week_15": {"week": 15}}
    tables.write_files(session, "SELECT $week AS week", tmp_path / "events", weeks)
    files = sorted((tmp_path / "events").iterdir())
    assert [file.name for file in files] == ["week_14.parquet", "week_15.parquet"]
    assert pq.read_table(files[1]).to_pylist() == [{"week": 15}]


def test_counts_of_several_queries_are_one_row(session: duckdb.DuckDBPyConnection) -> None:
    counts = tables.count(session, ("SELECT 1 AS a, 2 AS b", None), ("SELECT $n AS c", {"n": 3}))
    assert counts == {"a": 1, "b": 2, "c": 3}
