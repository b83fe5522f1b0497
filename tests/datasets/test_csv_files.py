"""The first line of a CSV file."""

import gzip
from pathlib import Path

import pytest

from tasks.datasets.csv_files import read_first_line
from tasks.errors import DataError


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
