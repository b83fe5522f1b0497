"""A day that was delivered anew is replayed anew: what a run has read is part of what it is found by."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.replay import shadow, simulate
from tasks.replay.logged_candidates import hash_labelled_candidates, hash_newest_candidates
from tasks.stores.workspace import Workspace
from tests.feeds.mini import LATER, NAME, Retrained
from tests.stores.local_path import local

NEWEST = date(2026, 2, 11)


@pytest.fixture
def copied(second_retrain: Retrained, tmp_path: Path) -> Workspace:
    there = second_retrain.workspace
    home = Path(shutil.copytree(there.home, tmp_path / "home"))
    return Workspace.open(NAME, surfaces=there.surfaces, home=home)


def deliver_anew(workspace: Workspace, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write every file of candidates again."""
    for file in (local(workspace.logs) / NAME / "candidates").glob("*.parquet"):
        pq.write_table(change(pq.read_table(file)), file)


def dearer(rows: pa.Table) -> pa.Table:
    """Raise every price by a cent."""
    return rows.set_column(rows.column_names.index("price"), "price", pc.add(rows["price"], 0.01))


def reversed_rows(rows: pa.Table) -> pa.Table:
    return rows.take(pa.array(range(len(rows) - 1, -1, -1)))


def digests(workspace: Workspace) -> tuple[str | None, str | None]:
    manifest = workspace.releases.tested(2)
    return (
        hash_newest_candidates(workspace, as_of=LATER),
        hash_labelled_candidates(workspace, snapshot=manifest.snapshot.id, days=manifest.test),
    )


def test_the_digest_of_what_was_read_changes_with_a_value_and_not_with_order_or_files(
    copied: Workspace,
) -> None:
    before = digests(copied)
    deliver_anew(copied, reversed_rows)
    assert digests(copied) == before
    deliver_anew(copied, dearer)
    assert all(new != old for new, old in zip(digests(copied), before, strict=True))


def runs(workspace: Workspace) -> list[str]:
    shadowed = shadow.run(workspace, as_of=LATER, challenger=2)
    return [shadowed.run_id, simulate.run(workspace, release=2).run_id]


def test_a_day_that_was_delivered_anew_is_judged_by_a_run_of_its_own(copied: Workspace) -> None:
    before = runs(copied)
    assert runs(copied) == before
    deliver_anew(copied, dearer)
    assert set(runs(copied)).isdisjoint(before)
