"""A log without contracts: what is seen of it, and where its files lie."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts.log_sketch import ColumnSketch, EventSketch
from tasks.errors import ContractError, DataError
from tasks.logs.sketch import LogFiles, locate_sources, sketch_log
from tests.logs.small_log import events, impressions


def write(folder: Path, table: str, rows: pa.Table) -> Path:
    path = folder / f"{table}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)
    return path


def files(folder: Path) -> LogFiles:
    return LogFiles(folder, {"impressions": "impressions.parquet", "events": "events.parquet"})


def test_columns_events_and_days_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "impressions", impressions())
    write(tmp_path, "events", events(request_id=["q", None, "q", None]))
    sketch = sketch_log(files(tmp_path), {}, home=tmp_path / "home")
    assert (sketch.days, sketch.rows, sketch.positions, sketch.columns) == (2, 6, 2, {})
    assert sketch.described == (ColumnSketch("kind", "string", 2),)
    assert [replace(event, delay=0) for event in sketch.events] == [
        EventSketch("click", 2, 1.0, 0.5),
        EventSketch("buy", 1, 1.0, 1.0),
        EventSketch("stock_out", 1, 1.0, 0.0),
    ]


def test_the_delay_of_an_event_is_counted_from_the_newest_impression_before_it(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    shown = {"request_id": ["q", "r"], "user_id": ["u", "u"], "item_id": ["i", "i"]}
    came = {"event": ["call"] * 3, "user_id": ["u"] * 3, "item_id": ["i", "i", "other"]}
    days = pa.array([start, start + timedelta(days=2)])
    write(tmp_path, "impressions", pa.table({**shown, "shown_at": days}))
    at = [start + timedelta(days=n) for n in (1, 5, 9)]
    write(tmp_path, "events", pa.table({**came, "happened_at": pa.array(at)}))
    (event,) = sketch_log(files(tmp_path), {}, home=tmp_path / "home").events
    assert event.delay == pytest.approx(1 + 0.9 * 2)  # delays of 1 and 3 days


def test_the_column_that_says_what_was_shown_is_found_in_the_candidates(tmp_path: Path) -> None:
    rows = impressions()
    write(tmp_path, "impressions", rows)
    write(tmp_path, "events", events())
    write(tmp_path, "candidates", rows.append_column("was_shown", pa.array([True] * rows.num_rows)))
    with_candidates = {**files(tmp_path).sources, "candidates": "candidates.parquet"}
    sketch = sketch_log(LogFiles(tmp_path, with_candidates), {}, home=tmp_path / "home")
    assert sketch.columns == {"shown": "was_shown"}


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    rename = {"shown_at": "ts", "happened_at": "ts", "item_id": "article_id", "event": "kind"}
    for table, rows in (("impressions", impressions()), ("events", events())):
        names = [rename.get(name, name) for name in rows.column_names]
        write(tmp_path, table, rows.rename_columns(names))
    sketch = sketch_log(files(tmp_path), {}, home=tmp_path / "home")
    assert sketch.columns == {"event": "kind", "happened_at": "ts", "item_id": "article_id", "shown_at": "ts"}
    assert [column.name for column in sketch.described] == ["kind"], "a column of the impressions' own"


def test_events_without_a_person_are_matched_by_the_impression(tmp_path: Path) -> None:
    shown, rows = impressions(), events().drop_columns(["user_id", "item_id"])
    ids = pa.array([f"v{row}" for row in range(shown.num_rows)])
    write(tmp_path, "impressions", shown.append_column("impression_id", ids))
    write(tmp_path, "events", rows.append_column("impression_id", ids[: rows.num_rows]))
    sketch = sketch_log(files(tmp_path), {}, home=tmp_path / "home")
    assert sketch.impression == "impression_id"
    assert replace(sketch.events[0], delay=0) == EventSketch("click", 2, 1.0, 0.0, 1.0)


def test_a_file_of_another_format_is_to_be_converted(tmp_path: Path) -> None:
    write(tmp_path, "impressions", impressions())
    (tmp_path / "events.csv").write_text("event,happened_at\n", encoding="utf-8")
    named = LogFiles(tmp_path, {"impressions": "impressions.parquet", "events": "events.csv"})
    with pytest.raises(DataError, match="Logs are Parquet files: convert it first"):
        sketch_log(named, {}, home=tmp_path / "home")


def test_what_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    write(tmp_path, "impressions", impressions())
    (tmp_path / "events.parquet").write_bytes(b"none")
    with pytest.raises(DataError, match="Deliver the file again"):
        sketch_log(files(tmp_path), {}, home=tmp_path / "home")


def test_sources_begin_at_the_logs_folder_or_at_what_the_files_share(tmp_path: Path) -> None:
    inside = {"impressions": tmp_path / "logs/a/i", "events": tmp_path / "logs/e/*.parquet"}
    assert locate_sources(inside, logs=tmp_path / "logs") == LogFiles(
        tmp_path / "logs", {"impressions": "a/i", "events": "e/*.parquet"}
    )
    outside = {"impressions": tmp_path / "x/a/i", "events": tmp_path / "x/e.parquet"}
    found = locate_sources(outside, logs=tmp_path / "logs")
    assert found == LogFiles(tmp_path / "x", {"impressions": "a/i", "events": "e.parquet"})
    with pytest.raises(ContractError, match="no folder together"):
        locate_sources({"impressions": Path("/a/i"), "events": Path("/b/e")}, logs=tmp_path / "logs")
