"""What goes wrong around a store: files that go, tear or cannot be written, logs with holes, clocks that are wrong.

Each ends in a clear error or a counted report, and the last good snapshot is still read.
"""

import resource
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.errors import DataError, StoreError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores import delta
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels.reference import Reference


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs.random(tmp_path, seed=1)


def store(workspace: Workspace) -> LabelStore:
    return LabelStore(workspace.store, NAME)


def files_of_day(workspace: Workspace, day: str) -> list[Path]:
    found = [f.path for f in delta.files_of(store(workspace).path) if f.partition["ds"] == day]
    assert found
    assert all(isinstance(path, Path) for path in found)
    return found  # type: ignore[return-value]  # asserted above


def readable(workspace: Workspace, snapshot: str) -> int:
    found = store(workspace).snapshot(snapshot)
    return found.read(["request_id", "click"]).num_rows


# -- the store


def test_a_partition_that_was_removed_by_hand_is_named_and_the_next_build_writes_it_again(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(40))
    for file in files_of_day(workspace, "2024-03-05"):
        file.unlink()
    with pytest.raises(
        StoreError, match=r"lost files of 1 day\(s\), the first is 2024-03-05.*labels build days_of"
    ):
        readable(workspace, built.snapshot)
    again = labels.run(workspace, as_of=at(40))
    assert again.days == {"2024-03-05": "lost"}
    assert again.snapshot == built.snapshot
    assert readable(workspace, again.snapshot) == built.rows


def test_a_torn_file_of_the_store_is_written_again(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(40))
    (file, *_) = files_of_day(workspace, "2024-03-05")
    file.write_bytes(file.read_bytes()[:-100])
    again = labels.run(workspace, as_of=at(40))
    assert (again.days, again.snapshot) == ({"2024-03-05": "lost"}, built.snapshot)


def test_a_lost_day_that_the_log_no_longer_has_is_told_and_the_rest_is_built(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(40))
    for file in files_of_day(workspace, "2024-03-01"):
        file.unlink()
    logs.impressions = [r for r in logs.impressions if r["shown_at"] >= at(2)]
    built = labels.run(logs.write(), as_of=at(40))
    assert built.gone == ["2024-03-01"]
    assert "2024-03-01 is lost: neither the store nor the log has it" in caplog.text
    assert "2024-03-01" not in built.days
    assert readable(workspace, built.snapshot) == built.rows


def test_a_log_of_the_store_with_a_missing_version_is_refused_with_its_name(logs: Logs) -> None:
    workspace = logs.write()
    first = labels.run(workspace, as_of=at(5))
    for day in (6, 7):
        labels.run(workspace, as_of=at(day))
    (store(workspace).path / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(StoreError, match=r"its log lacks version 1, the file 0+1\.json. Restore it"):
        labels.run(workspace, as_of=at(8))
    rows = delta.files_of(store(workspace).path, 0)
    assert sum(file.rows for file in rows) == first.rows


def test_a_full_disk_in_the_middle_of_a_build_leaves_the_last_snapshot(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(6))
    done = _build_with_files_of_at_most(workspace, 2_000, as_of=at(9).isoformat())
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert readable(workspace, built.snapshot) == built.rows
    last = store(workspace).last()
    assert last is not None
    assert last.id == built.snapshot
    assert labels.run(workspace, as_of=at(9)).partitions_written > 0


def _build_with_files_of_at_most(
    workspace: Workspace, size: int, *, as_of: str
) -> "subprocess.CompletedProcess[str]":
    """Run a build that cannot write more than some bytes into one file: what a full disk does."""
    command = [sys.executable, "-m", "tasks.cli", "labels", "build", NAME, "--as-of", as_of]
    command += ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    limits = (resource.RLIMIT_FSIZE, (size, size))
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=lambda: resource.setrlimit(*limits)
    )


def test_a_build_of_another_contract_on_the_same_store_mixes_nothing(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    logs.tasks = logs.tasks.replace("version: 1", "version: 2").replace("maturity: PT3H", "maturity: PT4H")
    other = labels.run(logs.write(), as_of=at(9), first_day=at(5).date(), last_day=at(5).date())
    assert set(other.days.values()) == {"contract"}
    table = store(workspace).snapshot(other.snapshot).read(["contract__version", "contract__digest"])
    assert {tuple(row.values()) for row in table.to_pylist()} == {
        (2, store(workspace).snapshot(other.snapshot).contract_digest)
    }
    assert readable(workspace, built.snapshot) == built.rows


# -- the log


def test_a_torn_file_of_the_log_is_named_and_the_last_snapshot_is_still_read(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(6))
    file = workspace.logs / NAME / "impressions" / "0.parquet"
    assert isinstance(file, Path)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"impressions cannot be read: .*0\.parquet"):
        labels.run(workspace, as_of=at(9))
    assert readable(workspace, built.snapshot) == built.rows


def test_a_day_without_an_impression_in_the_middle_is_no_partition(logs: Logs) -> None:
    logs.impressions = [r for r in logs.impressions if r["shown_at"].day != 5]
    built = labels.run(logs.write(), as_of=at(40))
    assert "2024-03-05" not in built.days
    assert len(built.days) == 9


def test_events_that_arrived_before_they_happened_are_counted(logs: Logs) -> None:
    logs.events += [event("click", at(3), ingested_at=at(2.9)), event("buy", at(4), ingested_at=at(1))]
    built = labels.run(logs.write(), as_of=at(40))
    assert built.arrived_early == 2


def test_one_user_with_very_many_events_is_labelled_like_any_other(logs: Logs) -> None:
    logs.events += [event("buy", at(5) + timedelta(seconds=n), value=1.0) for n in range(3000)]
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(40))
    row = store(workspace).snapshot(built.snapshot).read(["spend", "user_id", "shown_at"])
    spent = [r["spend"] for r in row.to_pylist() if r["user_id"] == "u0" and r["shown_at"].day == 4]
    reference = Reference(workspace.contracts.tasks, logs.impressions, logs.events[-3100:], at(40))
    expected = [
        label["spend"].value for key, label in reference.labels().items()
        if reference.rows[key]["user_id"] == "u0" and reference.rows[key]["shown_at"].day == 4
    ]  # fmt: skip
    assert sorted(spent) == pytest.approx(sorted(expected), rel=1e-9)


# -- late events


def test_a_late_event_that_changes_labels_is_counted_by_task(logs: Logs) -> None:
    logs.events = [event("back", at(1), value=1.0)]
    workspace = logs.write()
    first = labels.run(workspace, as_of=at(20))
    assert first.changed == {}
    shown = logs.impressions[0]
    logs.events += [
        {
            **event("click", shown["shown_at"] + timedelta(minutes=1), ingested_at=at(20.5)),
            "user_id": shown["user_id"],
            "item_id": shown["item_id"],
        }
    ]
    built = labels.run(logs.write(), as_of=at(21))
    assert {task: n for task, n in built.changed.items() if n} == {"click": 1, "kept": 1}
    assert store(workspace).snapshot(built.snapshot).changed() == built.changed
    assert store(workspace).snapshot(first.snapshot).changed() == {}


def test_what_summaries_tell_is_what_a_build_without_them_finds(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    store(workspace).summaries.unlink()
    again = labels.run(workspace, as_of=at(9))
    assert (again.partitions_written, again.snapshot, again.counts) == (0, built.snapshot, built.counts)


def test_a_power_cut_that_empties_what_was_written_last_is_mended_by_the_next_build(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(5))
    before = {path for path in workspace.home.rglob("*") if path.is_file()}
    built = labels.run(workspace, as_of=at(9))
    for file in (path for path in workspace.home.rglob("*") if path.is_file() and path not in before):
        file.write_bytes(b"")
    again = labels.run(workspace, as_of=at(9))
    assert (again.snapshot, readable(workspace, again.snapshot)) == (built.snapshot, built.rows)
