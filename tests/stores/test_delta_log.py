"""Commits are on the disk when they are announced, and one that a power cut tore is set aside."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.stores import delta
from tasks.stores.delta import NewFiles
from tests.stores.delta_tables import SCHEMA, numbers, written


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels"
    files = [written(path, "2024-03-01", 1, 2), written(path, "2024-03-02", 3)]
    assert delta.commit(path, NewFiles(files, SCHEMA, "ds")) == 0
    return path


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo": {', bytes(200)])
def test_a_newest_commit_that_a_power_cut_tore_is_set_aside(table: Path, torn: bytes) -> None:
    delta.commit(table, NewFiles([written(table, "2024-03-02", 4)], SCHEMA, "ds"), expected=0)
    (table / "_delta_log" / f"{1:020}.json").write_bytes(torn)
    assert [file.name[:25] for file in delta.set_torn_commits_aside(table)] == [f"{1:020}.json"]
    assert (delta.version_of(table), numbers(table)) == (0, [1, 2, 3])
    assert delta.set_torn_commits_aside(table) == []


def test_rows_are_added_after_a_torn_commit(tmp_path: Path) -> None:
    for n in (1, 2):
        delta.append(tmp_path / "shadow", pa.table({"n": [n]}))
    (tmp_path / "shadow/_delta_log" / f"{1:020}.json").write_bytes(b"")
    delta.append(tmp_path / "shadow", pa.table({"n": [3]}))
    assert numbers(tmp_path / "shadow") == [1, 3]


def test_what_is_committed_is_flushed_with_its_files(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr("tasks.stores.files._flush", lambda path: flushed.append(path.name))
    delta.commit(table, NewFiles([written(table, "2024-03-02", 4)], SCHEMA, "ds"), expected=0)
    assert flushed == ["part-4.parquet", f"{1:020}.json", "ds=2024-03-02", "_delta_log"]
