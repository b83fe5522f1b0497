"""A log without contracts: what is seen of it, and where its files lie."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts.log_sketch import ColumnSketch, EventSketch, LogSketch
from tasks.errors import ContractError, DataError
from tasks.logs.sketch import locate_sources, sketch_log
from tests.logs.small_log import events, impressions

SOURCES = {"impressions": "impressions.parquet", "events": "events.parquet"}


def sketch(folder: Path, **tables: pa.Table) -> LogSketch:
    """Write tables and look at them."""
    for name, rows in tables.items():
        pq.write_table(rows, folder / f"{name}.parquet")
    return sketch_log(
        folder, {**SOURCES, **{name: f"{name}.parquet" for name in tables}}, {}, home=folder / "home"
    )


def test_columns_events_and_days_are_counted(tmp_path: Path) -> None:
    seen = sketch(tmp_path, impressions=impressions(), events=events(request_id=["q", None, "q", None]))
    assert (seen.days, seen.rows, seen.positions, seen.columns) == (2, 6, 2, {})
    assert seen.described == (ColumnSketch("kind", "string", 2),)
    assert [replace(event, delay=0) for event in seen.events] == [
        EventSketch("click", 2, 1.0, 0.5),
        EventSketch("buy", 1, 1.0, 1.0),
        EventSketch("stock_out", 1, 1.0, 0.0),
    ]


def test_the_delay_of_an_event_is_counted_from_the_newest_impression_before_it(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    shown = {"request_id": ["q", "r"], "user_id": ["u", "u"], "item_id": ["i", "i"]}
    came = {"event": ["call"] * 3, "user_id": ["u"] * 3, "item_id": ["i", "i", "other"]}
    days = pa.array([start, start + timedelta(days=2)])
    at = [start + timedelta(days=n) for n in (1, 5, 9)]
    rows = pa.table({**shown, "shown_at": days}), pa.table({**came, "happened_at": pa.array(at)})
    (event,) = sketch(tmp_path, impressions=rows[0], events=rows[1]).events
    assert event.delay == pytest.approx(1 + 0.9 * 2)  # delays of 1 and 3 days


def test_the_column_that_says_what_was_shown_is_found_in_the_candidates(tmp_path: Path) -> None:
    rows = impressions()
    candidates = rows.append_column("was_shown", pa.array([True] * rows.num_rows))
    seen = sketch(tmp_path, impressions=rows, events=events(), candidates=candidates)
    assert seen.columns == {"shown": "was_shown"}


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    rename = {"shown_at": "ts", "happened_at": "ts", "item_id": "article_id", "event": "kind"}
    shown, came = (
        rows.rename_columns([rename.get(name, name) for name in rows.column_names])
        for rows in (impressions(), events())
    )
    seen = sketch(tmp_path, impressions=shown, events=came)
    assert seen.columns == {"event": "kind", "happened_at": "ts", "item_id": "article_id", "shown_at": "ts"}
    assert [column.name for column in seen.described] == ["kind"], "a column of the impressions' own"


def test_events_without_a_person_are_matched_by_the_impression(tmp_path: Path) -> None:
    shown, rows = impressions(), events().drop_columns(["user_id", "item_id"])
    ids = pa.array([f"v{row}" for row in range(shown.num_rows)])
    came = rows.append_column("impression_id", ids[: rows.num_rows])
    seen = sketch(tmp_path, impressions=shown.append_column("impression_id", ids), events=came)
    assert seen.impression == "impression_id"
    assert replace(seen.events[0], delay=0) == EventSketch("click", 2, 1.0, 0.0, 1.0)


def test_a_file_of_another_format_is_to_be_converted(tmp_path: Path) -> None:
    pq.write_table(impressions(), tmp_path / "impressions.parquet")
    (tmp_path / "events.csv").write_text("event,happened_at\n", encoding="utf-8")
    with pytest.raises(DataError, match="Logs are Parquet files: convert it first"):
        sketch_log(tmp_path, {**SOURCES, "events": "events.csv"}, {}, home=tmp_path / "home")


def test_what_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "events.parquet").write_bytes(b"none")
    with pytest.raises(DataError, match="Deliver the file again"):
        sketch(tmp_path, impressions=impressions())


def test_sources_begin_at_the_logs_folder_or_at_what_the_files_share(tmp_path: Path) -> None:
    inside = {"impressions": tmp_path / "logs/a/i", "events": tmp_path / "logs/e/*.parquet"}
    below_logs = {"impressions": "a/i", "events": "e/*.parquet"}
    assert locate_sources(inside, logs=tmp_path / "logs") == (tmp_path / "logs", below_logs)
    outside = {"impressions": tmp_path / "x/a/i", "events": tmp_path / "x/e.parquet"}
    found = locate_sources(outside, logs=tmp_path / "logs")
    assert found == (tmp_path / "x", {"impressions": "a/i", "events": "e.parquet"})
    with pytest.raises(ContractError, match="no folder together"):
        locate_sources({"impressions": Path("/a/i"), "events": Path("/b/e")}, logs=tmp_path / "logs")
