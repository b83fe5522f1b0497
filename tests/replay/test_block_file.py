"""A decided block is read from a file as it was written, to the bit."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.replay.decided_slice import POLICY
from tasks.replay.spark_stream import read_block_file, write_block
from tests.replay.blocks import decided
from tests.replay.same_slices import assert_same


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"latency_ms": [3.0, 3.0, float("nan")], "release": ["7", "x", None]},
        {"drawable": pd.Series([True, None, False], dtype="boolean")},
        {"user_id": [None, "u", "ü/"], "item_id": [5, 6, 7]},
        {"user_id": pd.Series([None, 2**60 + 1, 3], dtype=object)},
    ],
    ids=["plain", "served", "drawn", "texts and numbers", "numbers beside nobody"],
)
def test_a_block_is_read_as_it_was_written(tmp_path: Path, columns: dict[str, Any]) -> None:
    block = decided(no_order="nothing was shown", **columns)
    write_block(block, tmp_path / "0.arrow")
    read = read_block_file(tmp_path / "0.arrow")
    assert_same(read.log, block.log)
    assert read.kept.tolist() == block.kept.tolist()
    assert list(read.slates) == list(block.slates)
    for key, slates in block.slates.items():
        assert_same(read.slates[key], slates)
    assert read.predicted[POLICY]["p_click"].tolist() == [0.4]
    assert (read.rules, read.no_order, read.leaks) == (block.rules, block.no_order, block.leaks)


def test_terms_of_a_utility_keep_their_order_in_which_they_are_summed(tmp_path: Path) -> None:
    write_block(decided(), tmp_path / "0.arrow")
    assert list(read_block_file(tmp_path / "0.arrow").slates[POLICY].contributions) == ["z", "a"]


def test_types_of_columns_are_kept(tmp_path: Path) -> None:
    block = decided()
    write_block(block, tmp_path / "0.arrow")
    read = read_block_file(tmp_path / "0.arrow")
    for name in ("requests", "days", "position", "shown", "rows"):
        assert getattr(read.log, name).dtype == getattr(block.log, name).dtype
    assert read.slates[POLICY].slot.dtype == block.slates[POLICY].slot.dtype


def test_only_whole_files_have_the_name_of_one(tmp_path: Path) -> None:
    for _ in range(2):
        write_block(decided(), tmp_path / "0.arrow")
    assert [file.name for file in tmp_path.iterdir()] == ["0.arrow"]
