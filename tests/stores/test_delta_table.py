"""A table is opened whatever became of its checkpoints."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from tasks.errors import StoreError
from tasks.stores import delta
from tasks.stores.delta import open_table
from tests.stores.delta_tables import numbers


@pytest.fixture
def checkpointed(tmp_path: Path) -> Path:
    """A table of four commits, of which three lie before its checkpoint."""
    path = tmp_path / "shadow"
    for n in (1, 2, 3):
        delta.append(path, pa.table({"n": [n]}))
    DeltaTable(str(path)).create_checkpoint()
    delta.append(path, pa.table({"n": [4]}))
    return path


def checkpoint(table: Path) -> Path:
    (file,) = (table / "_delta_log").glob("*.checkpoint.parquet")
    return file


def test_a_checkpoint_that_cannot_be_read_is_set_aside_and_the_commits_are_read(
    checkpointed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = checkpoint(checkpointed)
    whole = spoilt.read_bytes()
    for content in (b"", whole[: len(whole) // 2], bytes(len(whole))):
        spoilt.write_bytes(content)
        assert (delta.version_of(checkpointed), numbers(checkpointed)) == (3, [1, 2, 3, 4])
        assert not spoilt.exists()
        DeltaTable(str(checkpointed), version=2).create_checkpoint()
    assert "could not be read: it is set aside as" in caplog.text
    assert numbers(checkpointed, 1) == [1, 2]


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 80, b'{"version": 99, "size": 1}'])
def test_a_torn_pointer_to_the_last_checkpoint_changes_nothing(checkpointed: Path, content: bytes) -> None:
    (checkpointed / "_delta_log" / "_last_checkpoint").write_bytes(content)
    assert (delta.version_of(checkpointed), numbers(checkpointed)) == (3, [1, 2, 3, 4])
    delta.append(checkpointed, pa.table({"n": [5]}))
    assert numbers(checkpointed) == [1, 2, 3, 4, 5]


def test_a_version_that_is_not_there_moves_no_checkpoint(checkpointed: Path) -> None:
    before = checkpoint(checkpointed).stat().st_ctime_ns
    with pytest.raises(StoreError, match="at version 99 cannot be read"):
        open_table(checkpointed, 99)
    assert checkpoint(checkpointed).stat().st_ctime_ns == before


def test_rows_of_many_files_are_put_into_one_and_what_no_version_needs_goes_after_a_day(
    tmp_path: Path,
) -> None:
    path = tmp_path / "series"
    for n in range(8):
        delta.append_after(path, pa.table({"n": [n]}), version=n - 1 if n else None, most_files=3)
        for file in path.glob("*.parquet"):
            os.utime(file, (0, 0))
    assert (numbers(path), numbers(path, 5), numbers(path, 6)) == ([*range(8)], [*range(6)], [*range(7)])
    assert [len(delta.files_of(path, version)) for version in range(8)] == [1, 2, 3, 1, 2, 3, 1, 2]
    there = {file.name for file in path.glob("*.parquet")}
    assert there == {Path(str(one.path)).name for version in (5, 7) for one in delta.files_of(path, version)}
