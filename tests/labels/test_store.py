"""Reading snapshots, publishing them, and finding them again.

Sweeping the store: what a release pins and what is young stays, all else goes, and every build goes on.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest

from tasks.errors import DataError, StoreError
from tasks.labels import build as labels
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore, VacuumResult, vacuum
from tasks.stores.aliases import release_name
from tasks.stores.releases import SNAPSHOT
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at, day
from tests.stores.mlflow_home import new_home


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


DAY = timedelta(days=1)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    new_home(tmp_path / "home")
    return Logs.random(tmp_path, seed=1)


def release(workspace: Workspace, snapshot: str) -> None:
    """Register a release that pins a snapshot."""
    with workspace.store.runs.step(StepKey(NAME, step="release", inputs=snapshot)) as run:
        run_id = run.run_id
    workspace.store.registry.register(
        release_name(NAME),
        {"manifest.json": snapshot.encode()},
        run_id=run_id,
        tags={SNAPSHOT: snapshot},
        model_type="release",
    )


def in_days(
    workspace: Workspace, days: float, *, keep: timedelta = 30 * DAY, dry_run: bool = False
) -> VacuumResult:
    return vacuum(workspace, keep=keep, dry_run=dry_run, now=datetime.now(UTC) + days * DAY)


def rows(workspace: Workspace, snapshot: str) -> int:
    store = LabelStore(workspace.store, NAME)
    return store.snapshot(snapshot).read(["request_id"]).num_rows


def test_an_old_build_goes_unless_a_release_pins_it(logs: Logs) -> None:
    workspace = logs.write()
    built = [labels.run(workspace, as_of=at(day)) for day in (5, 7, 9)]
    release(workspace, built[0].snapshot)
    swept = in_days(workspace, 40)
    assert swept.pinned == {built[0].snapshot: [1]}
    assert swept.tables["labels"] > 0
    assert rows(workspace, built[0].snapshot) == built[0].rows
    assert rows(workspace, built[2].snapshot) == built[2].rows
    with pytest.raises(StoreError, match="has lost files of 3 day"):
        rows(workspace, built[1].snapshot)


def test_a_build_younger_than_the_age_stays(logs: Logs) -> None:
    workspace = logs.write()
    built = [labels.run(workspace, as_of=at(day)) for day in (5, 7, 9)]
    assert in_days(workspace, 20).tables["labels"] == 0
    assert [rows(workspace, one.snapshot) for one in built] == [one.rows for one in built]


def test_what_a_killed_build_left_behind_goes_after_a_day(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    table = LabelStore(workspace.store, NAME).path
    assert isinstance(table, Path)
    for name in ("ds=2024-03-05/part-left.parquet", "_temporary/0/part.parquet"):
        (table / name).parent.mkdir(parents=True, exist_ok=True)
        (table / name).write_bytes(b"half")
    assert in_days(workspace, 0.5).tables["labels"] == 0
    assert in_days(workspace, 2).tables["labels"] == 2
    assert rows(workspace, built.snapshot) == built.rows


def test_an_old_build_as_of_the_past_goes_whole_unless_a_release_pins_it(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(9))
    kept, gone = (labels.run(workspace, as_of=at(day)) for day in (5.5, 6.5))
    release(workspace, kept.snapshot)
    in_days(workspace, 40)
    assert rows(workspace, kept.snapshot) == kept.rows
    assert len(LabelStore(workspace.store, NAME).tables()) == 2
    assert labels.run(workspace, as_of=at(6.5)).snapshot == gone.snapshot


def test_a_dry_run_tells_the_same_and_sweeps_nothing(logs: Logs) -> None:
    workspace = logs.write()
    built = [labels.run(workspace, as_of=at(day)) for day in (5, 9)]
    told = in_days(workspace, 40, dry_run=True)
    assert rows(workspace, built[0].snapshot) == built[0].rows
    swept = in_days(workspace, 40)
    assert (told.files, told.bytes, told.tables) == (swept.files, swept.bytes, swept.tables)
    assert (told.dry_run, swept.dry_run) == (True, False)


def test_after_a_sweep_the_next_build_goes_on_as_if_nothing_was(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(7))
    assert in_days(workspace, 40).tables["summaries"] > 0
    built = labels.run(workspace, as_of=at(9))
    assert built.snapshot == labels.run(logs.write(home="fresh"), as_of=at(9)).snapshot


def test_a_store_without_a_build_has_nothing_to_sweep(logs: Logs) -> None:
    assert in_days(logs.write(), 40).files == 0
