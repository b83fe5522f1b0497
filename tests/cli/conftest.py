"""Typing a command on a workspace, and reading its document."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tasks.cli import main
from tasks.stores.workspace import Workspace

Document = Callable[..., Any]


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Document:
    """Run a command with ``--json``; return its document, after its exit code was looked at."""

    def run(workspace: Workspace, *words: str, code: int = 0) -> Any:
        capsys.readouterr()
        where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home), "--json"]
        assert main([*words, *where]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run
