"""Typing a command on a workspace, and reading its document."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.stores.workspace import Workspace

Document = Callable[..., Any]
Reader = Callable[..., "subprocess.CompletedProcess[str]"]
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Document:
    """Run a command with ``--json``; return its document, after its exit code was looked at."""

    def run(workspace: Workspace, *words: str, code: int = 0) -> Any:
        capsys.readouterr()
        where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home), "--json"]
        assert main([*words, *where]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def as_reader(tmp_path: Path) -> Iterator[Reader]:
    """Run Python in the test's folder as who may read all of it and write nothing, root included."""

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        for place in (*tmp_path.rglob("*"), tmp_path):
            place.chmod(0o555 if place.is_dir() else 0o444)
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            preexec_fn=_obey_permissions,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    for place in (tmp_path, *tmp_path.rglob("*")):
        place.chmod(0o755)


def _obey_permissions() -> None:
    """Let permissions hold for root too, in the program that is started next."""
    if os.geteuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
