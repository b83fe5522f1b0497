"""A home is backed up while it is worked in, restored elsewhere, verified, and used on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from tasks.errors import ContractError, StoreError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores.backup import back_up, restore
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.stores.mlflow_home import new_home

MODEL = f"{NAME}.task.click"


def register(home: Path, content: str) -> None:
    with Store.open(home).runs.step(StepKey(NAME, step="train", inputs=content)) as run:
        Store.open(home).registry.register(
            MODEL, {"f": content.encode()}, run_id=run.run_id, tags={}, model_type="t"
        )


def files(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    new_home(tmp_path / "home")
    workspace = Logs.random(tmp_path, seed=1).write()
    snapshot = labels.run(workspace, as_of=at(40)).snapshot
    LabelStore(workspace.store, NAME).publish(snapshot, report="r", severity="none")
    register(workspace.home, "first")
    return workspace


KILLED = """
import os, signal, sys
from pathlib import Path
from tasks.stores import backup
backup.flush_tree = lambda _: os.kill(os.getpid(), signal.SIGKILL)
backup.back_up(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_backup_left_is_swept_by_the_next_one(tmp_path: Path) -> None:
    home, place = new_home(tmp_path / "home"), tmp_path / "backups"
    subprocess.run([sys.executable, "-c", KILLED, str(home), str(place / "monday")], check=False)
    assert len(list(place.rglob("*"))) > 2
    back_up(home, place / "tuesday")
    assert [path.name for path in place.iterdir()] == ["tuesday"]


def test_a_restored_home_is_used_on_without_the_first(workspace: Workspace, tmp_path: Path) -> None:
    snapshot = LabelStore(workspace.store, NAME).find(None)
    before = snapshot.read(["request_id", "click"])
    back_up(workspace.home, tmp_path / "backup")
    shutil.rmtree(workspace.home)
    home = tmp_path / "else where" / "home"
    assert Path(restore(tmp_path / "backup", home).path) == home
    assert LabelStore(Store.open(home), NAME).published(snapshot.id)
    assert (
        LabelStore(Store.open(home), NAME).snapshot(snapshot.id).read(["request_id", "click"]).equals(before)
    )
    registry = Store.open(home).registry
    assert registry.files(registry.part(MODEL, 1))["f"] == b"first"
    register(home, "second")
    assert (
        labels.run(Workspace(NAME, workspace.surfaces, Store.open(home)), as_of=at(40)).snapshot
        == snapshot.id
    )
    assert not workspace.home.exists()


def test_a_backup_of_a_home_that_is_worked_in_holds_all_that_it_names(
    workspace: Workspace, tmp_path: Path
) -> None:
    stop = Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            register(workspace.home, f"more {(number := number + 1)}")

    worker = Thread(target=work)
    worker.start()
    try:
        back_up(workspace.home, tmp_path / "backup")
    finally:
        stop.set()
        worker.join()
    restore(tmp_path / "backup", tmp_path / "restored")
    registry = Store.open(tmp_path / "restored").registry
    fetched = [registry.files(part)["f"] for part in registry.versions(MODEL)]
    assert fetched[0] == b"first"
    assert fetched[1:] == [f"more {number}".encode() for number in range(1, len(fetched))]


@pytest.mark.parametrize("spoil", ["flip", "cut", "lose", "manifest"])
def test_a_backup_that_is_not_whole_restores_nothing(
    workspace: Workspace, tmp_path: Path, spoil: str
) -> None:
    backup = tmp_path / "backup"
    back_up(workspace.home, backup)
    file = max((backup / "home" / "labels").rglob("*.parquet"))
    data = file.read_bytes()
    match spoil:
        case "flip":
            file.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
        case "cut":
            file.write_bytes(data[:-1])
        case "lose":
            file.unlink()
        case "manifest":
            (backup / "backup.json").unlink()
    with pytest.raises(StoreError, match=r"backed up|cannot be copied|not a whole backup"):
        restore(backup, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert not list(tmp_path.glob(".*.part"))


def test_what_is_there_is_never_written_over(workspace: Workspace, tmp_path: Path) -> None:
    back_up(workspace.home, tmp_path / "backup")
    before = files(tmp_path)
    with pytest.raises(ContractError, match="not there yet"):
        back_up(workspace.home, tmp_path / "backup")
    with pytest.raises(ContractError, match="not there yet"):
        restore(tmp_path / "backup", workspace.home)
    assert files(tmp_path) == before


def test_state_on_servers_is_not_called_backed_up(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_STORE", "s3://bucket/store")
    with pytest.raises(ContractError, match="EQUIPOISE_STORE"):
        back_up(workspace.home, tmp_path / "backup")


def test_a_name_that_leaves_the_home_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    back_up(workspace.home, tmp_path / "backup")
    manifest = tmp_path / "backup" / "backup.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**content, "files": {"../x": [1, "0"]}}), encoding="utf-8")
    with pytest.raises(StoreError, match="leaves the home"):
        restore(tmp_path / "backup", tmp_path / "restored")
