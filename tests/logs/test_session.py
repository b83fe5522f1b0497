"""Sessions: bounded in threads and memory, spilling to a folder of their own, installing nothing."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from tasks.errors import DataError, StoreError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.logs import profile
from tasks.logs import session as sessions
from tasks.logs.session import open_log, renew_log, session, share_log
from tasks.logs.tables import LogTables
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.stores.local_path import local


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


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[LogTables]:
    """Every log that is opened, with its files found and checked."""
    opened: list[LogTables] = []
    open_tables = sessions.open_tables

    def counted(*given: Any) -> LogTables:
        opened.append(open_tables(*given))
        return opened[-1]

    monkeypatch.setattr(sessions, "open_tables", counted)
    return opened


def shown(log: LogTables) -> int:
    ((rows,),) = log.fetch("SELECT count(*) FROM impressions")
    return int(rows)


def test_steps_that_share_a_log_open_it_once_and_only_if_one_asks(
    tmp_path: Path, openings: list[LogTables]
) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    with share_log(workspace):
        pass
    assert openings == []
    with share_log(workspace) as shared:
        with open_log(shared) as log:
            rows = shown(log)
        with open_log(shared) as log:
            assert shown(log) == rows > 0
    assert len(openings) == 1
    assert list((workspace.home / "tmp").iterdir()) == []


def test_who_shares_within_a_shared_log_opens_and_closes_nothing(
    tmp_path: Path, openings: list[LogTables]
) -> None:
    with share_log(Logs.random(tmp_path, seed=1).write()) as shared:
        for _ in range(2):
            with share_log(shared) as within, open_log(within) as log:
                assert shown(log) > 0
        with open_log(shared) as log:
            assert shown(log) > 0
    assert len(openings) == 1


def test_what_shares_a_log_is_under_the_contracts_that_whoever_began_has_read(tmp_path: Path) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    read = workspace.contracts
    file = workspace.surfaces / workspace.surface / "surface.yaml"
    file.write_text(f"{file.read_text(encoding='utf-8')}nonsense: 1\n", encoding="utf-8")
    with share_log(workspace) as shared, share_log(shared) as within:
        assert shared.contracts is within.contracts is read
    other = replace(read, digests={})
    with share_log(workspace.under(other)) as shared:
        assert shared.contracts is other


def test_what_a_step_makes_in_a_shared_log_is_gone_when_it_ends(tmp_path: Path) -> None:
    with share_log(Logs.random(tmp_path, seed=1).write()) as shared:
        with open_log(shared) as log:
            log.connection.execute("CREATE TEMP TABLE large AS SELECT range FROM range(10)")
        with open_log(shared) as log, pytest.raises(duckdb.CatalogException):
            log.connection.execute("SELECT * FROM large")


def test_a_shared_log_that_is_renewed_finds_its_files_anew(tmp_path: Path, openings: list[LogTables]) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    with share_log(workspace) as shared:
        for _ in range(2):
            with open_log(shared):
                pass
            renew_log(shared)
    assert len(openings) == 2
    renew_log(workspace)


def test_an_error_in_a_shared_log_is_ours(tmp_path: Path) -> None:
    with (
        share_log(Logs.random(tmp_path, seed=1).write()) as shared,
        pytest.raises(DataError, match="cannot be read"),
        open_log(shared) as log,
    ):
        log.connection.execute("SELECT CAST('x' AS INTEGER)")


class ReadOnly(MemoryFileSystem):  # type: ignore[misc]
    """A store that gives files and takes none."""

    protocol = "readonly"

    def _open(self, path: str, *_: object, **__: object) -> Any:
        raise PermissionError(f"{path} is read-only")


def write_to(store: MemoryFileSystem, log: LogTables) -> None:
    log.connection.register_filesystem(store)
    log.connection.execute("COPY (SELECT 1 AS n) TO 'readonly://store/part.parquet' (FORMAT parquet)")


def test_a_store_that_refuses_a_file_is_no_fault_of_the_log(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"refused a file: PermissionError: .*part\.parquet is read-only"),
        open_log(Logs.random(tmp_path, seed=1).write()) as log,
    ):
        write_to(ReadOnly(), log)


def swap_for_its_half(file: Path) -> None:
    rows = pq.read_table(file)
    half = file.with_suffix(".part")
    pq.write_table(rows.slice(0, rows.num_rows // 2), half)
    half.replace(file)


def swap_for_the_same(file: Path) -> None:
    again = file.with_suffix(".part")
    again.write_bytes(file.read_bytes())
    again.replace(file)


def swap_for_other_columns(file: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), file)


def tear(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize("table", ["impressions", "events"])
@pytest.mark.parametrize("step", ["find_spread_requests", "cut_files"])
@pytest.mark.parametrize(
    "harm", [Path.unlink, swap_for_its_half, swap_for_the_same, swap_for_other_columns, tear]
)
def test_a_file_that_is_replaced_while_labels_are_built_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], step: str, table: str
) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    file, whole = local(workspace.logs / NAME / table / "1.parquet"), getattr(profile, step)

    def harmed(*given: Any, **named: Any) -> Any:
        harm(file)
        return whole(*given, **named)

    monkeypatch.setattr(profile, step, harmed)
    with pytest.raises(DataError, match=r"1\.parquet was written again or removed while it was read"):
        labels.run(workspace, as_of=at(9))
    assert LabelStore(workspace.store, NAME).last() is None


def test_files_that_appear_meanwhile_are_the_next_build_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    folder, whole = local(workspace.logs / NAME / "events"), profile.find_spread_requests

    def harmed(*given: Any) -> None:
        (folder / "2.parquet").write_bytes((folder / "1.parquet").read_bytes())
        whole(*given)

    monkeypatch.setattr(profile, "find_spread_requests", harmed)
    assert labels.run(workspace, as_of=at(9)).rows
