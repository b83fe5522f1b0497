"""Reading snapshots, publishing them, and finding them again."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest

from tasks.errors import DataError
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.store import Store
from tests.feeds.days_of_logs import NAME, at, day


def test_a_snapshot_says_what_it_is(store: LabelStore, newest: Snapshot) -> None:
    found = store.snapshot(newest.id)
    assert found == newest
    assert (found.surface, found.as_of, found.first_day, found.last_day) == (NAME, at(9), day(1), day(8))
    assert found.rows == found.read(["ds"]).num_rows


def test_earlier_builds_and_those_aside_are_found_too(store: LabelStore) -> None:
    found = {s.as_of: s for s in (store.snapshot(s.id) for s in store.known())}
    assert set(found) == {at(3), at(5), at(9)}
    assert {s.as_of: str(Path(s.path).parent.name) for s in found.values()}[at(3)] == f"{NAME}__as_of"
    assert found[at(5)].version < found[at(9)].version


def test_an_earlier_snapshot_is_read_as_it_was(store: LabelStore, newest: Snapshot) -> None:
    (earlier,) = {s.id: s for s in store.known() if s.as_of == at(5)}.values()
    now, then = (
        s.read(["request_id", "back__status"], first_day=day(4), last_day=day(4)) for s in (newest, earlier)
    )
    assert "immature" in then.column("back__status").to_pylist()
    assert "immature" not in now.column("back__status").to_pylist()


def test_an_unknown_snapshot_is_named(store: LabelStore) -> None:
    with pytest.raises(DataError, match=f"Unknown label snapshot 'nope' in the store of {NAME}"):
        store.snapshot("nope")


def test_only_what_is_published_is_published(store: LabelStore, newest: Snapshot, folder: Path) -> None:
    assert not store.published(newest.id)
    (earlier,) = {s.id: s for s in store.known() if s.as_of == at(5)}.values()
    for snapshot in (earlier, newest, newest):
        store.publish(snapshot.id, report="report.html", severity="warning")
    assert store.published(newest.id)
    assert store.snapshot(newest.id) == newest
    rows = store._rows(None)
    assert [row["id"] for row in sorted(rows, key=lambda r: r["published_at"])] == [earlier.id, newest.id]
    assert {(row["report"], row["severity"]) for row in rows} == {("report.html", "warning")}
    assert all(row["published_at"] <= datetime.now(UTC) for row in rows)


def test_the_build_that_was_published_last_is_one_of_the_store_s_own_table(
    store: LabelStore, newest: Snapshot
) -> None:
    by_as_of = {snapshot.as_of: snapshot for snapshot in store.known()}
    for as_of in (at(5), at(3)):  # the second lies aside
        store.publish(by_as_of[as_of].id, report="report.html", severity="none")
    found = store.last_published()
    assert found is not None
    assert found in (by_as_of[at(5)], newest)


def test_what_is_published_moves_with_the_home(store: LabelStore, newest: Snapshot, folder: Path) -> None:
    store.publish(newest.id, report="report.html", severity="none")
    moved = folder.parent / "moved"
    if not moved.exists():
        (folder / "home").rename(moved)
    try:
        found = LabelStore(Store.open(moved), NAME).snapshot(newest.id)
        assert Path(found.path).is_relative_to(moved)
        assert found.read(["ds"]).num_rows == newest.rows
    finally:
        moved.rename(folder / "home")


def test_an_unknown_snapshot_cannot_be_published(store: LabelStore) -> None:
    with pytest.raises(DataError, match="Unknown label snapshot"):
        store.publish("nope", report="report.html", severity="none")


def test_a_home_without_labels_has_none(tmp_path: Path) -> None:
    store = LabelStore(Store.open(tmp_path), NAME)
    assert (store.last(), store.last_published(), store.published("any")) == (None, None, False)


def test_rows_come_in_one_order_and_of_some_days(newest: Snapshot) -> None:
    columns = ["shown_at", "request_id", "item_id", "ds"]
    table = newest.read(columns, first_day=day(3), last_day=day(4))
    assert table.column_names == columns
    keys = [tuple(row.values())[:3] for row in table.to_pylist()]
    assert keys == sorted(keys)
    assert set(table.column("ds").to_pylist()) == {day(3), day(4)}


def test_days_that_are_not_there_are_empty_and_typed(newest: Snapshot) -> None:
    table = newest.read(["shown_at", "click"], first_day=day(20))
    assert table.num_rows == 0
    assert [str(field.type) for field in table.schema] == ["timestamp[us, tz=UTC]", "int8"]


def test_rows_can_be_chosen_by_a_condition(newest: Snapshot) -> None:
    table = newest.read(["click"], where="click__status = 'observed' AND kind = 'x'")
    assert table.num_rows > 0
    assert table.column("click").null_count == 0


def test_a_column_that_is_not_there_is_named(newest: Snapshot) -> None:
    with pytest.raises(DataError, match=r"Unknown column 'clik'.*Did you mean 'click'"):
        newest.read(["clik"])


def test_days_count_rows_observed_and_positive(newest: Snapshot) -> None:
    days = newest.days()
    assert days.column("ds").to_pylist() == [day(n) for n in range(1, 9)]
    assert pc.sum(days.column("rows")).as_py() == newest.rows
    clicks = newest.read(["ds", "click"]).to_pylist()
    for row in days.to_pylist():
        told = [c["click"] for c in clicks if c["ds"] == row["ds"] and c["click"] is not None]
        assert (row["click__observed"], row["click__positive"]) == (len(told), sum(told))
