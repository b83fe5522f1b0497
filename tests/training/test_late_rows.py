"""With ``delayed`` a task learns up to its calibrate days, from what was known when these began."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tasks.stores.workspace import Workspace
from tasks.training import debiasing
from tasks.training import step as train
from tasks.training.rows import NEWEST, TaskRows
from tests.feeds.small_feed import AS_OF, NAME, SURFACE, write_contracts

Feed = tuple[Workspace, str]


def _late(feed: Feed, folder: Path) -> Workspace:
    training = "training: {buy_2d: {delayed: true}, back_2d: {delayed: true}}"
    surfaces = write_contracts(folder / "surfaces", surface=f"{SURFACE}\n{training}\n")
    return Workspace.open(NAME, surfaces=surfaces, home=feed[0].home)


def test_open_windows_are_learned_from_up_to_the_calibrate_days(labelled_feed: Feed, tmp_path: Path) -> None:
    """A purchase of this feed comes after an hour: of rows younger than that nothing could have come."""
    rows = TaskRows.open(
        _late(labelled_feed, tmp_path), task="buy_2d", as_of=AS_OF, snapshot=labelled_feed[1]
    )
    waiting = TaskRows.open(labelled_feed[0], task="buy_2d", as_of=AS_OF, snapshot=labelled_feed[1])
    assert rows.slices.train.last == rows.slices.calibrate.first - timedelta(days=1)
    assert waiting.slices.train.last == rows.slices.train.last - timedelta(days=2)
    table = rows.read_outcomes(rows.slices.train, debiasing.weight_columns(rows))
    known = debiasing.restore_known_labels(rows, table)
    young = pc.greater(table.column("shown_at"), pa.scalar(rows.slices.calibrate.start - timedelta(hours=1)))
    assert len(known) == len(table) - pc.sum(young).as_py()
    assert (
        pc.sum(known.column("buy_2d")).as_py() == pc.sum(pc.if_else(young, 0, table.column("buy_2d"))).as_py()
    )


def test_the_window_of_a_child_opens_with_its_parent(labelled_feed: Feed, tmp_path: Path) -> None:
    """A return of this feed comes 23 hours after its purchase, which comes an hour after the impression."""
    rows = TaskRows.open(
        _late(labelled_feed, tmp_path), task="back_2d", as_of=AS_OF, snapshot=labelled_feed[1]
    )
    known = debiasing.restore_known_labels(
        rows, rows.read_outcomes(rows.slices.train, debiasing.weight_columns(rows))
    )
    newest = pc.max(known.column("buy_2d__at")).as_py()
    end = rows.slices.calibrate.start
    assert end - timedelta(hours=25) < newest <= end - timedelta(hours=23)


def test_without_delay_no_row_is_touched(labelled_feed: Feed) -> None:
    rows = TaskRows.open(labelled_feed[0], task="buy_2d", as_of=AS_OF, snapshot=labelled_feed[1])
    table = rows.read_outcomes(rows.slices.train)
    assert debiasing.restore_known_labels(rows, table) is table
    assert list(debiasing.weight_columns(rows)) == []
    assert dict(debiasing.weight_factors(rows, table)) == {}


def test_a_model_of_open_windows_says_how_new_its_rows_are(labelled_feed: Feed, tmp_path: Path) -> None:
    workspace, snapshot = _late(labelled_feed, tmp_path), labelled_feed[1]
    made = train.run(workspace, task="buy_2d", as_of=AS_OF, snapshot=snapshot)
    rows = TaskRows.open(workspace, task="buy_2d", as_of=AS_OF, snapshot=snapshot)
    part = workspace.store.registry.part(made.model, made.version)
    assert workspace.store.registry.tags(part)[NEWEST] == rows.slices.train.last.isoformat()
    assert made.metrics["calibration_ratio"] == pytest.approx(1, abs=0.15)
