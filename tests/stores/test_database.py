"""A home's database is made whole or not at all, and follows a home that is moved or copied."""

import shutil
import sqlite3
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import StoreError
from tasks.stores.database import follow_home, is_made, make_database
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.evaluation import written
from tests.stores.mlflow_home import new_home


def write_run(home: Path, text: str) -> str:
    with Store.open(home).runs.step(StepKey("feed", step="train", inputs=text)) as run:
        run.evidence(written.document("shadow"))
        run.text("said.txt", text)
    return run.run_id


def files(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_process_killed_while_the_database_is_made_leaves_a_home_that_works(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    moments = np.random.default_rng(14)
    for _ in range(4):
        making = get_context("fork").Process(target=make_database, args=(tmp_path,))
        making.start()
        making.join(moments.uniform(0, 1.5))
        making.kill()
        making.join()
        assert is_made(tmp_path) or not (tmp_path / "mlflow/mlflow.db").exists()
    make_database(tmp_path)
    assert not list((tmp_path / "mlflow").glob(".making-*"))
    write_run(tmp_path, "x")


@pytest.mark.parametrize("found", ["0", "2", "", None])
def test_a_home_of_another_format_is_refused(tmp_path: Path, found: str | None) -> None:
    home = new_home(tmp_path)
    if found is None:
        (home / "mlflow/format").unlink()
    else:
        (home / "mlflow/format").write_text(found)
    with pytest.raises(StoreError, match=r"reads format 1\. Use the program that made it"):
        Store.open(home)


def test_a_disk_that_is_full_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "mlflow").mkdir()
    monkeypatch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", full)
    with pytest.raises(OSError, match="No space"):
        make_database(tmp_path)
    assert [left.name for left in (tmp_path / "mlflow").iterdir()] == ["format"]


def test_a_copied_home_reads_and_writes_below_itself_alone(tmp_path: Path) -> None:
    home = new_home(tmp_path / "first home")
    run = write_run(home, "of the first")
    shutil.copytree(home, tmp_path / "second")
    before = files(home)
    shutil.move(home, tmp_path / "away")
    assert Store.open(tmp_path / "second").runs.read_text(run, "said.txt") == "of the first"
    shutil.move(tmp_path / "away", home)
    write_run(tmp_path / "second", "of the second")
    assert files(home) == before


def test_a_moved_home_that_moves_back_finds_everything(tmp_path: Path) -> None:
    home = new_home(tmp_path / "one")
    run = write_run(home, "x")
    for name in ("two", "three", "one"):
        home = home.rename(tmp_path / name)
        assert Store.open(home).runs.read_text(run, "said.txt") == "x"


def test_a_database_that_is_put_into_a_home_in_use_is_followed_too(tmp_path: Path) -> None:
    other = new_home(tmp_path / "other")
    run = write_run(other, "of the other")
    home = new_home(tmp_path / "home")
    write_run(home, "x")
    follow_home(home)
    follow_home(home)
    for left in (home / "mlflow").glob("mlflow.db*"):
        left.unlink()
    for file in (other / "mlflow").glob("mlflow.db*"):
        shutil.copy2(file, home / "mlflow" / file.name)
    shutil.copytree(other / "mlflow/artifacts", home / "mlflow/artifacts", dirs_exist_ok=True)
    follow_home(home)
    with closing(sqlite3.connect(home / "mlflow/mlflow.db")) as connection:
        ((location,),) = connection.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run,))
    assert location.startswith((home / "mlflow/artifacts").as_uri())


def test_a_home_behind_a_link_stays_as_it_is(tmp_path: Path) -> None:
    home = new_home(tmp_path / "one")
    run = write_run(home, "x")
    location = Store.open(home).client.get_run(run).info.artifact_uri
    (tmp_path / "link").symlink_to(home)
    follow_home(tmp_path / "link")
    assert Store.open(tmp_path / "link").client.get_run(run).info.artifact_uri == location
