"""Sweeping the store: what a release pins and what is young stays, all else goes, and every build goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.steps import labels
from tasks.steps.context import Context
from tasks.steps.labels_vacuum import VacuumResult, vacuum
from tasks.steps.release_view import SNAPSHOT, release_name
from tasks.stores.label_store import LabelStore
from tasks.stores.registry import Registry
from tasks.stores.runs import step_run
from tests.steps.days_of_logs import NAME, Logs, at
from tests.stores.mlflow_home import new_home

DAY = timedelta(days=1)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    new_home(tmp_path / "home")
    return Logs.random(tmp_path, seed=1)


def release(context: Context, snapshot: str) -> None:
    """Register a release that pins a snapshot."""
    with step_run(context.home, NAME, step="release", inputs=snapshot) as run:
        run_id = run.run_id
    Registry(context.home).register(
        release_name(NAME),
        {"manifest.json": snapshot.encode()},
        run_id=run_id,
        tags={SNAPSHOT: snapshot},
        model_type="release",
    )


def in_days(
    context: Context, days: float, *, keep: timedelta = 30 * DAY, dry_run: bool = False
) -> VacuumResult:
    return vacuum(context, keep=keep, dry_run=dry_run, now=datetime.now(UTC) + days * DAY)


def rows(context: Context, snapshot: str) -> int:
    store = LabelStore(context.home, NAME)
    return store.snapshot(snapshot).read(["request_id"]).num_rows


def test_an_old_build_goes_unless_a_release_pins_it(logs: Logs) -> None:
    context = logs.write()
    built = [labels.run(context, as_of=at(day)) for day in (5, 7, 9)]
    release(context, built[0].snapshot)
    swept = in_days(context, 40)
    assert swept.pinned == {built[0].snapshot: [1]}
    assert swept.tables["labels"] > 0
    assert rows(context, built[0].snapshot) == built[0].rows
    assert rows(context, built[2].snapshot) == built[2].rows
    with pytest.raises(StoreError, match="swept them"):
        rows(context, built[1].snapshot)


def test_a_build_younger_than_the_age_stays(logs: Logs) -> None:
    context = logs.write()
    built = [labels.run(context, as_of=at(day)) for day in (5, 7, 9)]
    assert in_days(context, 20).tables["labels"] == 0
    assert [rows(context, one.snapshot) for one in built] == [one.rows for one in built]


def test_what_a_killed_build_left_behind_goes_after_a_day(logs: Logs) -> None:
    context = logs.write()
    built = labels.run(context, as_of=at(9))
    table = LabelStore(context.home, NAME).path
    assert isinstance(table, Path)
    for name in ("ds=2024-03-05/part-left.parquet", "_temporary/0/part.parquet"):
        (table / name).parent.mkdir(parents=True, exist_ok=True)
        (table / name).write_bytes(b"half")
    assert in_days(context, 0.5).tables["labels"] == 0
    assert in_days(context, 2).tables["labels"] == 2
    assert rows(context, built.snapshot) == built.rows


def test_an_old_build_as_of_the_past_goes_whole_unless_a_release_pins_it(logs: Logs) -> None:
    context = logs.write()
    labels.run(context, as_of=at(9))
    kept, gone = (labels.run(context, as_of=at(day)) for day in (5.5, 6.5))
    release(context, kept.snapshot)
    in_days(context, 40)
    assert rows(context, kept.snapshot) == kept.rows
    assert len(LabelStore(context.home, NAME).tables()) == 2
    assert labels.run(context, as_of=at(6.5)).snapshot == gone.snapshot


def test_a_dry_run_tells_the_same_and_sweeps_nothing(logs: Logs) -> None:
    context = logs.write()
    built = [labels.run(context, as_of=at(day)) for day in (5, 9)]
    told = in_days(context, 40, dry_run=True)
    assert rows(context, built[0].snapshot) == built[0].rows
    swept = in_days(context, 40)
    assert (told.files, told.bytes, told.tables) == (swept.files, swept.bytes, swept.tables)
    assert (told.dry_run, swept.dry_run) == (True, False)


def test_after_a_sweep_the_next_build_goes_on_as_if_nothing_was(logs: Logs) -> None:
    context = logs.write()
    labels.run(context, as_of=at(7))
    assert in_days(context, 40).tables["summaries"] > 0
    built = labels.run(context, as_of=at(9))
    assert built.snapshot == labels.run(logs.write(home="fresh"), as_of=at(9)).snapshot


def test_a_store_without_a_build_has_nothing_to_sweep(logs: Logs) -> None:
    assert in_days(logs.write(), 40).files == 0
