"""Labels that a rewritten day changed: those that were observed, by task."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.labels.changes import count_changed_labels


def write(file: Path, click: list[int | None], status: list[str]) -> Path:
    rows = {"request_id": ["r"] * 4, "item_id": [1, 2, 3, 4], "click": pa.array(click, pa.int8())}
    pq.write_table(pa.table({**rows, "click__status": status}), file)
    return file


def test_a_label_that_was_observed_counts_when_its_value_or_status_changes(tmp_path: Path) -> None:
    """The first flips, the second is excluded, the third stays, and the fourth was not known before."""
    before = write(tmp_path / "a.parquet", [0, 1, 1, None], ["observed"] * 3 + ["immature"])
    after = write(tmp_path / "b.parquet", [1, None, 1, 1], ["observed", "excluded", "observed", "observed"])
    changed = count_changed_labels(duckdb.connect(), ["click"], before=[before], after=[after])
    assert changed == {"click": 2}


def test_rows_that_only_one_side_has_are_not_counted(tmp_path: Path) -> None:
    before = write(tmp_path / "a.parquet", [0, 0, 0, 0], ["observed"] * 4)
    after = tmp_path / "b.parquet"
    pq.write_table(pq.read_table(before).slice(0, 2), after)
    changed = count_changed_labels(duckdb.connect(), ["click"], before=[before], after=[after])
    assert changed == {"click": 0}
