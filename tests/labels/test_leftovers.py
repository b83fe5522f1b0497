"""Files that builds leave in a home: a bounded number, and none of a build that was killed."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores import delta
from tasks.stores.files import scratch_folder
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at

KILL_AT = """
import importlib, os, signal, sys
from datetime import datetime
from pathlib import Path
from tasks.labels import build
from tasks.stores.workspace import Workspace
surface, surfaces, home, as_of, module, name = sys.argv[1:]
setattr(importlib.import_module(module), name, lambda *given, **how: os.kill(os.getpid(), signal.SIGKILL))
workspace = Workspace.open(surface, surfaces=Path(surfaces), home=Path(home))
build.run(workspace, as_of=datetime.fromisoformat(as_of))
"""


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs.random(tmp_path, seed=1)


def files_by_folder(workspace: Workspace) -> Counter[str]:
    """Count the files of a home by folder, without the log and locks."""
    found = (file.relative_to(workspace.home) for file in workspace.home.rglob("*") if file.is_file())
    return Counter(str(file.parent) for file in found if file.parts[0] not in {"logs", "locks"})


def test_the_files_of_a_build_that_still_writes_from_another_home_stay(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(5))
    table, other_home = LabelStore(workspace.store, NAME).path, scratch_folder(logs.folder / "other")
    assert isinstance(table, Path)
    written = [
        table / f"{delta.part_name(scratch, 'new')}.parquet"
        for scratch in (scratch_folder(workspace.home), other_home)
    ]
    for file in written:
        file.write_bytes(b"half")
    labels.run(workspace, as_of=at(9))
    assert [file.exists() for file in written] == [False, True]


def test_summaries_of_daily_builds_are_one_file(logs: Logs) -> None:
    workspace = logs.write()
    for day in (3, 4, 5, 6, 7, 8):
        labels.run(workspace, as_of=at(day))
    assert list((workspace.home / "summaries").rglob("*")) == [LabelStore(workspace.store, NAME).summaries]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tasks.stores.files", "flush_files"),  # the table of summaries is written, and not yet in its place
        ("tasks.labels.build", "sum_days"),  # labels are written
        ("tasks.stores.delta", "commit"),  # bad rows are written, and not yet committed
    ],
)
def test_what_a_killed_build_leaves_is_gone_after_the_next_build(logs: Logs, module: str, name: str) -> None:
    whole, workspace = logs.write(home="whole"), logs.write()
    labels.run(workspace, as_of=at(5))
    before = files_by_folder(workspace)
    given = [NAME, workspace.surfaces, workspace.home, at(9).isoformat(), module, name]
    done = subprocess.run([sys.executable, "-c", KILL_AT, *map(str, given)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert files_by_folder(workspace) != before
    again = labels.run(workspace, as_of=at(9))
    assert [labels.run(whole, as_of=at(day)).snapshot for day in (5, 9)][-1] == again.snapshot
    assert files_by_folder(workspace) == files_by_folder(whole)
