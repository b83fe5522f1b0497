"""Footers are read whole or refused in one message: no spoilt one ends the process."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.logs import parquet_footer
from tasks.logs.parquet_footer import Chunk
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


def test_the_spoilt_one_of_several_files_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        pq.write_table(table(), tmp_path / name)
    (tmp_path / "b").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(
        DataError, match=rf"impressions cannot be read: {tmp_path}/b: .*Deliver the file again"
    ):
        parquet_footer.read("impressions", [tmp_path / name for name in ("a", "b", "c")])
