"""What is written is not for everybody, whoever begins: the command line, a step of Airflow, a part of `make up`."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dags.place import open_workspace
from tasks.privacy import private_umask, withhold_from_others

DAGS = Path(__file__).parents[1] / "dags"


@pytest.fixture(autouse=True)
def common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of_a_new_file(folder: Path) -> str:
    (folder / "new").touch()
    return oct((folder / "new").stat().st_mode & 0o777)


def test_asking_for_the_umask_changes_nothing(tmp_path: Path) -> None:
    assert private_umask() == 0o027
    assert mode_of_a_new_file(tmp_path) == "0o644"


def test_a_stricter_umask_stays(tmp_path: Path) -> None:
    os.umask(0o077)
    withhold_from_others()
    assert mode_of_a_new_file(tmp_path) == "0o600"


def test_what_a_step_of_airflow_writes_is_not_readable_by_everybody(tmp_path: Path) -> None:
    open_workspace("home_feed")
    assert mode_of_a_new_file(tmp_path) == "0o640"


def test_no_step_opens_a_workspace_in_another_way() -> None:
    calls = {
        file.name
        for file in DAGS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "open" and ast.unparse(node.value) == "Workspace"
    }
    assert calls == {"place.py"}
