"""Labels in an object store: the same snapshot as in a folder, one writer at a time, and no harm when it is away."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import ContractError, DataError, StoreError
from tasks.labels import build as labels
from tasks.labels.build import write_labels
from tasks.labels.show import show
from tasks.labels.store import LabelStore, vacuum
from tasks.logs.rows import NO_EVENT
from tasks.replay.logged_candidates import newest_candidates
from tasks.stores import delta
from tasks.stores.audit import Entry, Kind
from tasks.stores.delta import NewFiles
from tasks.stores.location import ObjectPath, identity_of
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import DAYS, NAME, Logs, at, day, event
from tests.labels.worlds import EVENT_TYPES
from tests.stores.mlflow_home import new_home
from tests.stores.object_store import ObjectStore

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("object_store"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore)"),
]
END = at(DAYS + 1)


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    return object_store.empty_bucket(monkeypatch)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs.random(tmp_path, seed=1)


@pytest.fixture
def workspace(logs: Logs, bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A home whose logs and tables lie in the bucket."""
    written = logs.write()
    (bucket / "logs").take(written.home / "logs")
    monkeypatch.setenv("EQUIPOISE_LOGS", str(bucket / "logs"))
    monkeypatch.setenv("EQUIPOISE_STORE", str(bucket / "store"))
    return written


def test_the_snapshot_is_the_one_that_a_folder_gives(
    logs: Logs, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = [labels.run(workspace, as_of=at(8)), labels.run(workspace, as_of=END)]
    for name in ("EQUIPOISE_LOGS", "EQUIPOISE_STORE"):
        monkeypatch.delenv(name)
    near_home = logs.write(home="near")
    near = [labels.run(near_home, as_of=at(8)), labels.run(near_home, as_of=END)]
    assert [build.digest for build in far] == [build.digest for build in near]
    assert [build.snapshot for build in far] == [build.snapshot for build in near]
    assert not (workspace.home / "labels").exists()


def test_what_was_published_is_read_again(workspace: Workspace) -> None:
    built = labels.run(workspace, as_of=END)
    store = LabelStore(workspace.store, NAME)
    store.publish(built.snapshot, report="report.html", severity="none")
    assert store.published(built.snapshot)
    found = store.snapshot(built.snapshot)
    assert (found.id, found.rows) == (built.snapshot, built.rows)
    assert found.read(["ds", "click"]).num_rows == built.rows
    assert found.days()["rows"].to_pylist() != []
    assert show(workspace).rows == built.rows
    assert len(newest_candidates(workspace, as_of=END)) > 0


def test_a_build_as_of_the_past_is_found_by_its_name(workspace: Workspace) -> None:
    labels.run(workspace, as_of=END)
    past = labels.run(workspace, as_of=at(6))
    found = LabelStore(workspace.store, NAME).snapshot(past.snapshot)
    assert "__as_of/" in found.path


def test_bad_rows_are_kept_once(
    logs: Logs, workspace: Workspace, bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.events.append(event("click", at(2)) | {"event": None})
    with monkeypatch.context() as patch:
        patch.delenv("EQUIPOISE_LOGS")
        logs.write()
    (bucket / "logs").take(workspace.home / "logs")
    for as_of in (at(9), END):
        labels.run(workspace, as_of=as_of)
        kept = delta.read(workspace.store.root / "quarantine" / NAME).to_pylist()
        assert [row["rule"] for row in kept].count(NO_EVENT) == 1


def test_a_build_that_is_late_is_refused_and_harms_nothing(workspace: Workspace) -> None:
    labels.run(workspace, as_of=at(8))
    store = LabelStore(workspace.store, NAME)
    early = store.last()
    assert early is not None
    newest = labels.run(workspace, as_of=END)
    new = NewFiles([], delta.schema_of(store.path), "ds")
    with pytest.raises(StoreError, match="Another writer changed s3://"):
        store.commit(early.build(), new, replace=[str(day(2))], path=store.path, expected=0)
    assert store.snapshot(newest.snapshot).read(["ds"]).num_rows == newest.rows


def test_of_writers_at_once_one_commits_and_the_others_are_told(bucket: ObjectPath) -> None:
    table, row = bucket / "audit", pa.table({"n": [1]})
    delta.append_after(table, row, version=None)

    def write(_: int) -> bool:
        try:
            delta.append_after(table, row, version=0)
        except StoreError:
            return False
        return True

    with ThreadPoolExecutor(4) as writers:
        assert sum(writers.map(write, range(4))) == 1
    assert delta.read(table).num_rows == 2


def test_the_audit_lies_beside_the_labels(workspace: Workspace) -> None:
    audit = workspace.store.audit(NAME)
    assert audit.entries() == ()
    entry = Entry(Kind.PROMOTE, by="ana", release=1, champion=None, why="the first", evidence="e")
    audit.append(entry, seen=audit.read())
    assert [kept.by for kept in audit.entries()] == ["ana"]
    assert str(audit.path).startswith("s3://")
    with pytest.raises(StoreError, match=r"move .* away by its own tools, then roll back"):
        audit.set_aside()
    assert workspace.store.audit("another").set_aside() == ""


def test_while_the_store_is_away_a_step_says_so_and_afterwards_it_resumes(
    workspace: Workspace, object_store: ObjectStore
) -> None:
    before = labels.run(workspace, as_of=at(8))
    object_store.shut()
    try:
        with pytest.raises(StoreError):
            labels.run(workspace, as_of=END)
        with pytest.raises(StoreError):
            newest_candidates(workspace, as_of=END)
    finally:
        object_store.open()
    store = LabelStore(workspace.store, NAME)
    last = store.last()
    assert last is not None
    assert last.id == before.snapshot
    assert labels.run(workspace, as_of=END).rows > before.rows


def test_a_store_that_goes_away_before_the_commit_leaves_the_last_snapshot(
    workspace: Workspace, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = labels.run(workspace, as_of=at(8))

    def write_and_lose_the_store(*given: Any, **how: Any) -> Any:
        written = write_labels(*given, **how)
        object_store.shut()
        return written

    with monkeypatch.context() as patch:
        patch.setattr(labels, "write_labels", write_and_lose_the_store)
        with pytest.raises(StoreError):
            labels.run(workspace, as_of=END)
    object_store.open()
    store = LabelStore(workspace.store, NAME)
    last = store.last()
    assert last is not None
    assert last.id == before.snapshot
    assert last.read(["ds"]).num_rows == before.rows
    assert labels.run(workspace, as_of=END).rows > before.rows


def test_what_each_file_holds_is_kept_in_the_store_and_a_file_that_comes_anew_is_read_again(
    workspace: Workspace, logs: Logs, bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels.run(workspace, as_of=END)
    summaries = LabelStore(workspace.store, NAME).summaries
    kept = identity_of(summaries)
    assert labels.run(workspace, as_of=END).partitions_written == 0
    assert identity_of(summaries) == kept
    logs.impressions[3]["kind"] = "z"
    with monkeypatch.context() as patch:
        patch.delenv("EQUIPOISE_LOGS")
        logs.write()
    (bucket / "logs").take(workspace.home / "logs")
    assert set(labels.run(workspace, as_of=END).days.values()) == {"log"}


def test_an_object_that_was_removed_is_written_again_and_a_sweep_keeps_what_is_needed(
    workspace: Workspace,
) -> None:
    new_home(workspace.home)
    first, built = labels.run(workspace, as_of=at(7)), labels.run(workspace, as_of=END)
    store = LabelStore(workspace.store, NAME)
    lost = delta.files_of(store.path)[0]
    lost.path.unlink()
    with pytest.raises(StoreError, match=r"has lost files of 1 day\(s\)"):
        store.snapshot(built.snapshot).read(["request_id"])
    again = labels.run(workspace, as_of=END)
    assert (again.days, again.snapshot) == ({lost.partition["ds"]: "lost"}, built.snapshot)
    swept = vacuum(workspace, now=datetime.now(UTC) + timedelta(days=40))
    assert swept.tables["labels"] > 0
    assert store.snapshot(again.snapshot).read(["request_id"]).num_rows == again.rows
    with pytest.raises(StoreError, match="has lost files"):
        store.snapshot(first.snapshot).read(["request_id"])


def test_a_source_stays_below_the_logs_and_says_what_is_there(workspace: Workspace, logs: Logs) -> None:
    surface = logs.folder / "surfaces" / NAME / "surface.yaml"
    plain = surface.read_text(encoding="utf-8")
    surface.write_text(plain.replace("days_of_logs/events", "days_of_logs/clicks"), encoding="utf-8")
    with pytest.raises(DataError, match=r"s3://.*holds: events, impressions"):
        labels.run(Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home), as_of=END)
    surface.write_text(plain.replace("days_of_logs/events", "../events"), encoding="utf-8")
    with pytest.raises(ContractError, match="must stay inside"):
        labels.run(Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home), as_of=END)


def test_a_delta_table_in_the_store_is_a_source(workspace: Workspace, logs: Logs) -> None:
    plain = labels.run(workspace, as_of=END)
    table = workspace.logs / NAME / "events_delta"
    delta.append(table, pa.Table.from_pylist(logs.events, schema=EVENT_TYPES))
    surface = logs.folder / "surfaces" / NAME / "surface.yaml"
    text = surface.read_text(encoding="utf-8").replace("days_of_logs/events", "days_of_logs/events_delta")
    surface.write_text(text, encoding="utf-8")
    again = Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home)
    assert labels.run(again, as_of=END).digest == plain.digest
