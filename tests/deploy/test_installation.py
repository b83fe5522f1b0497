"""Airflow's real parts and MLflow's server, started as `make up` starts them, on ports and in a home of their own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.follow import Lines, failed_logs, follow
from deploy.layout import Layout
from deploy.supervisor import client, marked, members, not_ready, records, running_layout
from tasks.errors import StoreError
from tasks.settings import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("parts")]
PATIENCE = 420
NAMES = {"api-server", "scheduler", "dag-processor", "triggerer", "mlflow"}


def local(verb: str, layout: Layout) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "EQUIPOISE_HOME": str(layout.home),
        "EQUIPOISE_SURFACES": str(layout.surfaces),
        "EQUIPOISE_AIRFLOW_PORT": str(layout.airflow_port),
        "EQUIPOISE_MLFLOW_PORT": str(layout.mlflow_port),
    }
    command = [sys.executable, "-m", "deploy", verb]
    return subprocess.run(
        command,
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The parts, with one surface whose contracts are broken: its DAG is light, and fails."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "surfaces" / "broken"
    folder.mkdir(parents=True)
    (folder / "surface.yaml").write_text("surface: broken\n")
    layout = Layout(home, home / "surfaces", 18180, 15100).with_free_ports()
    started = local("up", layout)
    assert started.returncode == 0, started.stdout + started.stderr
    yield layout
    leaders = [record.pid for record in records(layout)]
    stopped = local("down", layout)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert members(leaders) | marked(layout) == set()


def test_every_part_lives_and_is_ready(up: Layout) -> None:
    assert {record.name for record in records(up) if record.lives} == NAMES
    assert running_layout(up) == up
    assert not_ready(up) == []


def test_a_second_start_finds_them_and_prints_addresses_and_logins(up: Layout) -> None:
    before = {record.name: record.pid for record in records(up)}
    again = local("up", up)
    assert again.returncode == 0
    assert up.airflow_url in again.stdout
    assert up.mlflow_url in again.stdout
    assert all(f"{user} " in again.stdout for user in ("admin", "ana", "sam", "eve"))
    assert {record.name: record.pid for record in records(up)} == before


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss lists who listens")
def test_they_listen_on_this_machine_alone(up: Layout) -> None:
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = {f"pid={pid}," for pid in members(record.pid for record in records(up))}
    heard = {line.split()[3] for line in lines if any(pid in line for pid in ours)}
    assert heard == {f"127.0.0.1:{up.airflow_port}", f"127.0.0.1:{up.mlflow_port}"}


def test_a_viewer_may_look_and_not_trigger(up: Layout) -> None:
    eve = client(up, "eve")
    assert eve.knows("broken__labels")
    with pytest.raises(StoreError, match="403"):
        eve.trigger("broken__labels", {})


def test_a_run_is_followed_and_the_reason_of_its_failure_shown(
    up: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = client(up, "ana")
    ana.unpause("broken__retrain")
    run = ana.trigger("broken__retrain", {})
    assert not follow(ana, "broken__retrain", run, Lines())
    assert "contracts" in capsys.readouterr().out
    told = "\n".join(failed_logs(ana, "broken__retrain", run))
    assert "ContractError" in told
    assert "tasks.yaml" in told


def test_a_run_that_was_left_behind_is_given_up_with_the_reason(up: Layout) -> None:
    ana = client(up, "ana")
    run = ana.trigger("broken__labels", {})  # its DAG is paused, so it waits
    assert ana.give_up("broken__labels", "nobody waits for it") == [run]
    left = ana.run("broken__labels", run)
    assert left["state"] == "failed"
    assert left["note"].startswith("**Failed**")
    assert left["note"].endswith("\n\n---\n\nnobody waits for it")
    assert [ana.give_up(dag, "again") for dag in ("broken__labels", "never_parsed__labels")] == [[], []]


def test_a_crash_is_seen_and_the_next_start_mends_it(up: Layout) -> None:
    scheduler = next(record for record in records(up) if record.name == "scheduler")
    os.killpg(scheduler.pid, signal.SIGKILL)
    assert local("status", up).returncode == 1
    again = local("up", up)
    assert again.returncode == 0, again.stdout + again.stderr
    assert not_ready(up) == []


def test_a_taken_port_is_said_before_anything_starts(up: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path, up.surfaces, up.airflow_port, up.mlflow_port)
    refused = local("up", other)
    assert refused.returncode == 3
    assert f"Port {up.airflow_port} is taken" in refused.stderr
    assert "EQUIPOISE_AIRFLOW_PORT" in refused.stderr
    assert marked(other) == set()


def test_down_where_nothing_runs_says_so(tmp_path: Path) -> None:
    done = local("down", Layout(tmp_path, tmp_path))
    assert (done.returncode, done.stdout) == (0, "nothing was running\n")


def test_a_start_that_is_interrupted_leaves_nothing_behind(up: Layout, tmp_path: Path) -> None:
    layout = Layout(tmp_path, up.surfaces, 18180, 15100).with_free_ports()
    environment = {
        **os.environ,
        "EQUIPOISE_HOME": str(tmp_path),
        "EQUIPOISE_AIRFLOW_PORT": str(layout.airflow_port),
        "EQUIPOISE_MLFLOW_PORT": str(layout.mlflow_port),
    }
    command = [sys.executable, "-u", "-m", "deploy", "up"]
    with subprocess.Popen(
        command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as start:
        assert start.stdout is not None
        for line in start.stdout:
            if line.startswith("waiting for"):
                break
        start.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            start.wait(timeout=120)
        assert start.returncode == 130
    assert marked(layout) == set()
    assert records(layout) == []
