"""Sweeping the store: what a release pins and what is young stays, all else goes, and every build goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.labels.vacuum import VacuumResult, vacuum
from tasks.stores.aliases import release_name
from tasks.stores.releases import SNAPSHOT
from tasks.stores.runs import StepKey
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.stores.mlflow_home import new_home

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
