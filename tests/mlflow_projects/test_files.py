"""What the MLproject files say: the commands that they run can be typed, and no value reaches the shell."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.projects import _parse_kubernetes_config
from mlflow.projects._project_spec import EntryPoint, load_project

from tasks.cli.program import parse
from tasks.cli.project import without_empty
from tests.mlflow_projects.by_hand import PROJECTS

NAMES = ("train", "calibrate", "simulate", "shadow", "retrain")
IN_IMAGES = ("train", "calibrate")
VALUES = {"as_of": "2026-02-16T00:00:00Z", "model_version": "3", "cadence": "slow"}
HOSTILE = "--json; touch pwned $(touch pwned) `touch pwned` ' \" \\ {surface}\n& touch pwned"


def entry_point(folder: Path) -> EntryPoint:
    return load_project(str(folder)).get_entry_point("main")


def command(folder: Path, values: dict[str, str]) -> str:
    return entry_point(folder).compute_command(values, None)


def words(folder: Path, values: dict[str, str]) -> list[str]:
    """Return the program's arguments, as the shell hands them over."""
    typed = shlex.split(command(folder, values))
    return without_empty(typed[typed.index("tasks.cli.project") + 1 :])


def test_there_is_one_project_for_each_of_the_steps() -> None:
    assert {file.parent.name for file in PROJECTS.glob("*/MLproject")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_what_the_command_needs_and_nothing_is_left_out(name: Any) -> None:
    known = entry_point(PROJECTS / name).parameters
    needed = {key: VALUES.get(key, key) for key, parameter in known.items() if parameter.default is None}
    few = parse(words(PROJECTS / name, needed))
    assert few.command.name == name
    assert few.arguments["parent_run"] is None
    every = parse(words(PROJECTS / name, {key: VALUES.get(key, key) for key in known}))
    told = {key for key, value in every.arguments.items() if value not in (None, False)}
    assert told == set(known)


@pytest.mark.parametrize("name", NAMES)
def test_no_value_reaches_the_shell_or_is_taken_for_an_option(name: Any, tmp_path: Path) -> None:
    """The very command in a real shell, with a program in Python's place that says what it was given."""
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([os.getcwd(), sys.argv]))\n"
    )
    python.chmod(0o755)
    known = entry_point(PROJECTS / name).parameters
    project = tmp_path / "repository/mlflow_projects" / name
    project.mkdir(parents=True)
    ran = subprocess.run(
        ["bash", "-c", command(PROJECTS / name, dict.fromkeys(known, HOSTILE))],
        cwd=project, env={**os.environ, "VIRTUAL_ENV": str(tmp_path)}, capture_output=True, check=True,
    )  # fmt: skip
    folder, given = json.loads(ran.stdout)
    assert folder == str(tmp_path / "repository")
    assert not list(tmp_path.rglob("pwned*"))
    options, values = given[: given.index("--")], given[given.index("--") + 1 :]
    assert options[1:4] == ["-m", "tasks.cli.project", name]
    assert all(word.endswith("=" + HOSTILE) for word in options[4:])
    assert set(values) == {HOSTILE}
    assert len(options[4:]) + len(values) == len(known)


@pytest.mark.parametrize("name", IN_IMAGES)
def test_for_kubernetes_it_asks_for_the_same_in_an_image(name: Any) -> None:
    plain, image = PROJECTS / name, PROJECTS / "kubernetes" / name
    assert load_project(str(plain)).docker_env is None
    assert load_project(str(image)).docker_env == {"image": "registry.example.com/equipoise:latest"}
    every = {key: VALUES.get(key, key) for key in entry_point(plain).parameters}
    assert words(image, every) == words(plain, every)
    assert command(image, every).startswith(f"python -m tasks.cli.project {name} ")


def test_mlflow_takes_the_configuration_for_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECTS.parent)
    config = json.loads((PROJECTS / "kubernetes/backend.json").read_text(encoding="utf-8"))
    job = _parse_kubernetes_config(config)["kube-job-template"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert job["kind"] == "Job"
    assert job["metadata"]["namespace"]
    told = {variable["name"] for variable in container["env"]}
    assert told == {"EQUIPOISE_HOME", "EQUIPOISE_SURFACES"}


def typed_on_the_page() -> list[list[str]]:
    page = (PROJECTS.parent / "docs/mlflow_projects.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in page.splitlines() if line.startswith("mlflow run ")]


def test_the_page_names_every_project_and_each_with_all_that_it_takes() -> None:
    assert {Path(typed[2]).name for typed in typed_on_the_page()} == set(NAMES)
    page = (PROJECTS.parent / "docs/mlflow_projects.md").read_text(encoding="utf-8")
    for name in NAMES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `mlflow_projects/{name}`")]
        needed, wanted = ([word for word in cell.split("`") if word.strip()] for cell in row.split("|")[3:5])
        known = entry_point(PROJECTS / name).parameters
        assert needed == [key for key, parameter in known.items() if parameter.default is None]
        assert [*wanted, "parent_run"] == [key for key in known if key not in needed]


@pytest.mark.parametrize("typed", typed_on_the_page(), ids=" ".join)
def test_what_the_page_types_is_a_command(typed: Any) -> None:
    folder = PROJECTS.parent / typed[2]
    given = dict(typed[at + 1].split("=", 1) for at, word in enumerate(typed) if word == "-P")
    assert given.keys() <= entry_point(folder).parameters.keys()
    assert parse(words(folder, given)).command.name == folder.name
    assert typed[typed.index("--env-manager") + 1] == "local"


def test_the_configuration_on_the_page_is_that_of_the_file() -> None:
    page = (PROJECTS.parent / "docs/mlflow_projects.md").read_text(encoding="utf-8")
    written = page.split("```json\n")[1].split("```")[0]
    assert json.loads(written) == json.loads(
        (PROJECTS / "kubernetes/backend.json").read_text(encoding="utf-8")
    )
