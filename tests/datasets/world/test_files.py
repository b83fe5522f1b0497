from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.datasets.world.files import ParquetFiles, whole_folder


def test_a_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("1")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_tables_of_one_name_share_a_file_and_words_are_plain_strings(tmp_path: Path) -> None:
    words = pa.array(["a", "b"]).dictionary_encode()
    with ParquetFiles(tmp_path) as files:
        for _ in range(2):
            files.write("events", "monday", pa.table({"word": words}))
            files.write("truth", None, pa.table({"word": words}))
        files.write("events", "tuesday", pa.table({"word": words}))
    assert pq.read_table(tmp_path / "events" / "monday.parquet")["word"].to_pylist() == ["a", "b"] * 2
    assert pq.read_table(tmp_path / "truth.parquet").num_rows == 4
    assert pq.read_schema(tmp_path / "events" / "tuesday.parquet").field("word").type == pa.string()
