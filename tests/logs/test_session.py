"""Sessions: bounded in threads and memory, spilling to a folder of their own, installing nothing."""

import os
from pathlib import Path

import duckdb
import pytest

from tasks.errors import StoreError
from tasks.logs.session import open_log, session
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs


def test_a_session_is_bounded_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_MEMORY", "300MB")
    with session(tmp_path, threads=1) as connection:
        assert connection.sql("SELECT current_setting('threads')").fetchall() == [(1,)]
        ((limit,),) = connection.sql("SELECT current_setting('memory_limit')").fetchall()
        assert limit.startswith("286")
        assert list((tmp_path / "tmp").iterdir())
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_session_takes_every_core_unless_told(tmp_path: Path) -> None:
    with session(tmp_path) as connection:
        assert connection.sql("SELECT current_setting('threads')").fetchall() == [(os.cpu_count(),)]


def test_a_session_spills_rather_than_fails(tmp_path: Path) -> None:
    with session(tmp_path, threads=1, memory="60MB") as connection:
        connection.execute(
            "CREATE TEMP TABLE t AS SELECT range AS n, md5(range::VARCHAR) AS text FROM range(2000000)"
        )
        assert connection.sql("SELECT count(*) FROM (SELECT DISTINCT text FROM t)").fetchall() == [
            (2_000_000,)
        ]


def test_a_session_that_runs_out_of_memory_says_what_to_set(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="EQUIPOISE_MEMORY"),
        session(tmp_path, threads=1, memory="5MB") as connection,
    ):
        connection.execute("SELECT list(md5(range::VARCHAR)) FROM range(1000000)")


def test_the_engine_installs_nothing(tmp_path: Path) -> None:
    with session(tmp_path) as connection, pytest.raises(duckdb.Error):
        connection.execute("SELECT * FROM read_parquet('s3://bucket/x.parquet')")


def test_a_log_is_opened_in_a_session_as_large_as_its_surface_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EQUIPOISE_THREADS", "EQUIPOISE_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    workspace = Logs.random(tmp_path, seed=1).write()
    surface = workspace.surfaces / NAME / "surface.yaml"
    text = surface.read_text(encoding="utf-8")
    surface.write_text(f"{text}engine: {{threads: 3, memory: 300MB}}\n", encoding="utf-8")
    opened = Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home)
    with open_log(opened) as log:
        settings = log.connection.sql("SELECT current_setting('threads'), current_setting('memory_limit')")
        assert settings.fetchall() == [(3, "286.1 MiB")]
