"""A folder's rows are those of every Parquet file in it, whatever it is called, or there is an error."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.logs.parquet_files import parquet_below


def write(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"n": [1]}), file)
    return file


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.pq", "a.parq", "A.PARQUET", "000000_0", "day=1.5/a.pq", "day=1/000000_0"]
)
def test_a_file_is_found_by_any_name_of_parquet_and_without_a_suffix(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name)
    assert parquet_below(tmp_path, table="events") == [file]


@pytest.mark.parametrize(
    "name", ["a.parquet.bak", "a.c000", "old/a.dat", "a.parquet.tmp", "a.gz", "a.csv", "old/a.JSON"]
)
def test_parquet_by_another_name_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.parquet")
    file = write(tmp_path / name)
    with pytest.raises(DataError, match=rf"events: {file} .* let its name end in \.parquet, or move it out"):
        parquet_below(tmp_path, table="events")


def test_a_file_that_is_still_being_written_under_another_name_is_left_alone(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet.tmp").write_bytes(whole[:-4])
    assert parquet_below(tmp_path, table="events") == [tmp_path / "a.parquet"]


def test_a_torn_file_without_a_suffix_is_found_so_that_reading_it_fails(tmp_path: Path) -> None:
    torn = write(tmp_path / "000000_0")
    torn.write_bytes(torn.read_bytes()[:-4])
    assert parquet_below(tmp_path, table="events") == [torn]


@pytest.mark.parametrize("name", ["_SUCCESS", ".a.parquet.crc", "_old/a.pq", ".old/000000_0", "a.pq.crc"])
def test_what_is_set_aside_by_its_name_is_not_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    write(tmp_path / name)
    assert parquet_below(tmp_path, table="events") == []
    assert not caplog.messages


@pytest.mark.parametrize("name", ["README", "notes.md", "empty", "part.csv", "odd.dat", "day=1/part.json.gz"])
def test_files_of_other_kinds_may_lie_beside_and_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"" if name == "empty" else b"not a table")
    assert parquet_below(tmp_path, table="events") == []
    assert caplog.messages == [f"events: 1 file(s) of {tmp_path} are not Parquet and are not read: {name}"]


def test_many_files_of_other_kinds_are_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for day in range(5):
        (tmp_path / f"{day}.csv").write_text("event,happened_at\n")
    file = write(tmp_path / "a.parquet")
    assert parquet_below(tmp_path, table="events") == [file]
    (message,) = caplog.messages
    assert message.endswith(
        "5 file(s) of " + str(tmp_path) + " are not Parquet and are not read: 0.csv, 1.csv, 2.csv, ..."
    )
