"""Footers are read whole or refused in one message: no spoilt one ends the process."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.logs import parquet_footer
from tasks.logs.parquet_footer import Chunk, parquet_below
from tests.logs.small_log import impressions, instants

_CHILD = """
import json, struct, sys
from pathlib import Path
from random import Random

from tasks.errors import DataError
from tasks.logs.footers import read_footers

file, dice = Path(sys.argv[1]), Random(int(sys.argv[2]))
whole = file.read_bytes()
end = len(whole) - 8
start = end - struct.unpack("<I", whole[end:-4])[0]
for _ in range(int(sys.argv[3])):
    spoilt = bytearray(whole)
    spoilt[dice.randrange(start, end)] ^= 1 << dice.randrange(8)
    file.write_bytes(bytes(spoilt))
    try:
        answer = read_footers("impressions", [file], below=file.parent).rows
    except DataError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


def table() -> pa.Table:
    """Six impressions with a column of most kinds of types."""
    return impressions(
        word=pa.array(["x", "y", "x", None, "x", "y"]).dictionary_encode(),
        tags=[["a"], [], None, ["b"], ["c"], ["d"]],
        pair=[{"a": 1, "b": "x"}] * 6,
        since=pa.array([1] * 6, pa.int32()).cast(pa.date32()),
        seen_at=instants(0, 1, None, 3, 4, 5),
        price=[1.5, 2.0, None, 4.0, 5.0, float("nan")],
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_flipped_bit_of_a_footer_is_one_message_or_the_rows_and_never_the_end_of_the_process(
    tmp_path: Path, seed: int
) -> None:
    file = tmp_path / "0.parquet"
    pq.write_table(table(), file)
    command = [sys.executable, "-c", _CHILD, str(file), str(seed), "100"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    answers = Counter(str(json.loads(line)) for line in ended.stdout.splitlines())
    assert answers.pop("6") > 20
    assert answers.total() > 10
    assert all(text.startswith("impressions") and "\n" not in text for text in answers)


def test_a_footer_gives_rows_types_and_statistics_by_row_group(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "[01].parquet", row_group_size=4)
    (footer,) = parquet_footer.read("impressions", [tmp_path / "[01].parquet"])
    columns = {column.name: column for column in footer.columns}
    assert footer.rows == 6
    assert (columns["tags"].type, columns["tags"].nested) == ("VARCHAR[]", True)
    assert columns["pair"].siblings == (("a", "b"),)
    assert columns["seen_at"].chunks == (
        Chunk(4, 1, "2024-03-01 00:00:00+00", "2024-03-01 03:00:00+00"),
        Chunk(2, 0, "2024-03-01 04:00:00+00", "2024-03-01 05:00:00+00"),
    )


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"log cannot be read: .*a\.parquet: it is a folder, a pipe"):
        parquet_footer.read("log", [tmp_path / "a.parquet"])
    os.mkfifo(tmp_path / "000000_0")
    assert parquet_below(tmp_path, table="events") == [tmp_path / "a.parquet"]


def test_the_spoilt_one_of_several_files_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        pq.write_table(table(), tmp_path / name)
    (tmp_path / "b").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(
        DataError, match=rf"impressions cannot be read: {tmp_path}/b: .*Deliver the file again"
    ):
        parquet_footer.read("impressions", [tmp_path / name for name in ("a", "b", "c")])


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
