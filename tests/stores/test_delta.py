"""Delta tables as the house uses them: files committed by partition, rows replaced, versions read again."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import StoreError
from tasks.stores import delta
from tasks.stores.delta import EVERYTHING, NewFiles
from tests.stores.delta_tables import SCHEMA, numbers, written
from tests.stores.local_path import local


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "with space" / "labels"
    files = [written(path, "2024-03-01", 1, 2), written(path, "2024-03-02", 3)]
    assert delta.commit(path, NewFiles(files, SCHEMA, "ds"), metadata={"said": "first"}) == 0
    return path


def test_what_no_commit_names_is_not_visible(table: Path) -> None:
    written(table, "2024-03-01", 9)
    assert numbers(table) == [1, 2, 3]


def test_replacing_a_day_leaves_the_others(table: Path) -> None:
    file = written(table, "2024-03-02", 4, 5)
    version = delta.commit(table, NewFiles([file], SCHEMA, "ds"), replace=["2024-03-02"], expected=0)
    assert (version, numbers(table)) == (1, [1, 2, 4, 5])


def test_several_days_are_replaced_in_one_commit(table: Path) -> None:
    files = [written(table, "2024-03-01", 6), written(table, "2024-03-02", 7)]
    days = ["2024-03-01", "2024-03-02", "2024-03-03"]
    delta.commit(table, NewFiles(files, SCHEMA, "ds"), replace=days, expected=0)
    assert numbers(table) == [6, 7]
    assert [version for version, _ in delta.history(table)] == [1, 0]


def test_an_earlier_version_can_be_read_again(table: Path) -> None:
    file = written(table, "2024-03-02", 4)
    delta.commit(table, NewFiles([file], SCHEMA, "ds"), replace=["2024-03-02"], expected=0)
    assert numbers(table, version=0) == [1, 2, 3]


def test_replacing_everything_may_change_the_columns(table: Path) -> None:
    file = written(table, "2024-03-05", 8)
    schema = SCHEMA.append(pa.field("more", pa.string()))
    delta.commit(table, NewFiles([file], schema, "ds"), replace=EVERYTHING, expected=0)
    assert numbers(table) == [8]
    assert delta.schema_of(table).names == ["n", "ds", "more"]
    assert delta.schema_of(table, 0).names == ["n", "ds"]


def test_a_commit_without_files_keeps_its_metadata(table: Path) -> None:
    delta.commit(table, NewFiles([], SCHEMA, "ds"), metadata={"said": "second"}, expected=0)
    assert [said["said"] for _, said in delta.history(table)] == ["second", "first"]
    assert numbers(table) == [1, 2, 3]


@pytest.mark.parametrize("expected", [0, None])
def test_the_second_of_two_writers_is_refused(table: Path, expected: int | None) -> None:
    delta.commit(table, NewFiles([], SCHEMA, "ds"), expected=0)
    file = written(table, "2024-03-02", 4)
    with pytest.raises(StoreError, match="run the step again"):
        delta.commit(table, NewFiles([file], SCHEMA, "ds"), replace=["2024-03-02"], expected=expected)
    assert numbers(table) == [1, 2, 3]


def test_a_version_lists_its_files(table: Path) -> None:
    found = delta.files_of(table)
    assert sorted((f.partition["ds"], f.rows) for f in found) == [("2024-03-01", 2), ("2024-03-02", 1)]
    assert all(local(f.path).is_file() and local(f.path).stat().st_size == f.size for f in found)


def test_an_unknown_version_is_refused(table: Path) -> None:
    with pytest.raises(StoreError, match="version 7"):
        delta.read(table, version=7)


def test_a_table_that_is_not_there_reads_as_empty(tmp_path: Path) -> None:
    assert delta.read(tmp_path / "none").num_rows == 0
    assert delta.version_of(tmp_path / "none") is None
    with pytest.raises(StoreError, match="No Delta table"):
        delta.files_of(tmp_path / "none")


def test_rows_are_replaced_by_value(tmp_path: Path) -> None:
    path = tmp_path / "shadow"
    day, next_day = date(2024, 3, 1), date(2024, 3, 2)

    def rows(when: date, release: int, *scores: float) -> None:
        table = pa.table({"ds": [when] * len(scores), "release": [release] * len(scores), "score": scores})
        delta.replace_rows(path, table, where={"ds": when, "release": release})

    rows(day, 1, 0.1, 0.2)
    rows(day, 2, 0.3)
    rows(next_day, 1, 0.4)
    rows(day, 1, 0.5)
    found = sorted((str(r["ds"]), r["release"], r["score"]) for r in delta.read(path).to_pylist())
    assert found == [("2024-03-01", 1, 0.5), ("2024-03-01", 2, 0.3), ("2024-03-02", 1, 0.4)]


def test_appended_rows_add_up(tmp_path: Path) -> None:
    for n in (1, 2):
        delta.append(tmp_path / "audit", pa.table({"n": [n]}))
    assert numbers(tmp_path / "audit") == [1, 2]
