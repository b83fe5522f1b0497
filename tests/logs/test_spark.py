"""Spark as a command starts it: what it writes and says, and what is missing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.contracts.surface import Engine
from tasks.errors import ContractError, StoreError
from tasks.labels import build as labels
from tasks.logs.spark import session
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.logs.spark_home import files_but_committed

SPARK = Engine(name="spark", threads=1, memory="1GB")


@pytest.mark.spark
def test_a_build_by_command_is_duckdbs_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Spark's own settings, in a folder where nothing may be written, and with a quiet terminal."""
    workspace = Logs.random(tmp_path, seed=1).write(home="a home")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("EQUIPOISE_THREADS", "1")
    where = ("--surfaces", str(workspace.surfaces), "--home", str(workspace.home), "--json")
    build = ("labels", "build", NAME, "--as-of", "2024-03-09T12:00:00Z", "--engine", "spark", *where)
    done = subprocess.run(
        (sys.executable, "-m", "tasks.cli", *build), cwd=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("labels: ") for line in done.stderr.splitlines()), done.stderr
    assert list(here.iterdir()) == []
    assert files_but_committed(workspace) == []
    assert [path.name for path in (workspace.home / "tmp").iterdir()] == ["spark"]
    by_duckdb = labels.run(Logs.random(tmp_path, seed=1).write(home="other"), as_of=at(9.5))
    built = json.loads(done.stdout)
    assert (built["snapshot"], built["digest"]) == (by_duckdb.snapshot, by_duckdb.digest)


@pytest.mark.spark
def test_a_session_is_alone_on_this_machine(tmp_path: Path) -> None:
    """It reckons in UTC, listens on loopback alone, shows no page, and ends."""
    with session(tmp_path, SPARK) as spark:
        assert spark.sparkContext.master == "local[1]"
        assert spark.sparkContext.uiWebUrl is None
        assert spark.conf.get("spark.driver.bindAddress") == "127.0.0.1"
        assert spark.sql("SELECT CAST(TIMESTAMP '2024-03-01 00:00:00' AS LONG)").first()[0] == 1_709_251_200
        assert Path(spark.conf.get("spark.local.dir")).is_relative_to(tmp_path)
        assert Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:")).is_relative_to(tmp_path)
    with session(tmp_path, SPARK) as spark:
        assert spark.sql("SELECT 1").first()[0] == 1


@pytest.mark.spark
def test_the_master_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_SPARK_MASTER", "local[3]")
    with session(tmp_path, SPARK) as spark:
        assert spark.sparkContext.defaultParallelism == 3
    monkeypatch.setenv("EQUIPOISE_SPARK_MASTER", "nonsense")
    with pytest.raises(StoreError, match=r"Spark failed: .*nonsense"), session(tmp_path, SPARK):
        pass


@pytest.mark.spark
def test_without_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContractError, match="needs Java 17 or later: there is none on the PATH"):
        session(tmp_path, SPARK).__enter__()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    with pytest.raises(ContractError, match="there is none in JAVA_HOME"):
        session(tmp_path, SPARK).__enter__()


def test_without_spark_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent: Any = None
    monkeypatch.setitem(sys.modules, "pyspark", absent)
    with pytest.raises(ContractError, match=r"pip install 'equipoise\[spark\]'"):
        session(tmp_path, SPARK).__enter__()


@pytest.mark.spark
def test_memory_that_spark_does_not_know_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_MEMORY", "80%")
    with pytest.raises(ContractError, match="not a memory size"):
        session(tmp_path, SPARK).__enter__()
