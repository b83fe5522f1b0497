"""A monitor that is killed again and again reaches the table and the reports of one that never was."""

import signal
import subprocess
import sys

import pandas as pd
import pytest

from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.stores.workspace import Workspace
from tests.monitoring.served_log import ServedLog, day_after, sorted_series

DAYS = 32
KILL_AT = """
import importlib, os, signal, sys
from datetime import datetime
from pathlib import Path
from tasks.monitoring import monitor
from tasks.stores.workspace import Workspace
surface, surfaces, home, as_of, module, name, calls = sys.argv[1:]
place = importlib.import_module(module)
own, left = getattr(place, name), [int(calls)]
def dying(*given, **how):
    result = own(*given, **how)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(place, name, dying)
monitor.run(Workspace.open(surface, surfaces=Path(surfaces), home=Path(home)), as_of=datetime.fromisoformat(as_of))
"""
KILLS = (
    ("tasks.stores.delta", "write_deltalake", 2),  # a commit that the run does not know of
    ("tasks.monitoring.monitor", "write_report", 1),  # the queue, and not yet the page
)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace, list[int]]:
    """A surface that was monitored at once, the same after kills, and how these ended."""
    logs = [
        ServedLog.of(tmp_path_factory.mktemp(name), days=DAYS, requests=3) for name in ("whole", "partly")
    ]
    for log in logs:
        log.rows["source"] = "feed"
    whole, partly = (log.write(without=("release",)) for log in logs)
    for workspace in (whole, partly):
        labels.run(workspace, as_of=day_after(DAYS))
    ends = []
    for kill in KILLS:
        given = [partly.surface, partly.surfaces, partly.home, day_after(DAYS).isoformat(), *kill]
        ends.append(subprocess.run([sys.executable, "-c", KILL_AT, *map(str, given)], check=False).returncode)
    for workspace in (whole, partly):
        monitor.run(workspace, as_of=day_after(DAYS))
    return whole, partly, ends


def test_each_kill_met_the_run(killed: tuple[Workspace, Workspace, list[int]]) -> None:
    assert killed[2] == [-signal.SIGKILL] * len(KILLS)


def test_after_kills_the_series_are_the_same_and_nothing_comes_twice(
    killed: tuple[Workspace, Workspace, list[int]],
) -> None:
    whole, partly, _ = killed
    pd.testing.assert_frame_equal(sorted_series(partly), sorted_series(whole), check_exact=True)
    assert not sorted_series(partly).drop(columns=["value", "low", "high"]).duplicated().any()


def test_after_kills_page_queue_and_sources_have_the_same_bytes(
    killed: tuple[Workspace, Workspace, list[int]],
) -> None:
    whole, partly, _ = killed
    assert "source,feed," in (whole.reports / monitor.SOURCES).read_text()
    for name in (monitor.PAGE, monitor.QUEUE, monitor.SOURCES):
        assert (partly.reports / name).read_text() == (whole.reports / name).read_text()
