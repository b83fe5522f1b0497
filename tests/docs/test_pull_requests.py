"""The workflows of the page on pull requests, and the project's own, run what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contracts.files import setting, write_surface
from tests.contracts.test_revisions import git
from tests.docs.pages import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "pull_requests.md").read_text(encoding="utf-8")
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yml\n(.*?)```", PAGE, flags=re.DOTALL))


def github_commands(workflow: Any) -> list[str]:
    (job,) = workflow["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.fixture
def pull_request(tmp_path: Path) -> Path:
    """A clone whose branch may change contracts that `origin/main` has."""
    write_surface(tmp_path / "origin" / "surfaces")
    for words in (["init", "--quiet", "-b", "main"], ["add", "."], ["commit", "--quiet", "-m", "contracts"]):
        git(tmp_path / "origin", *words)
    git(tmp_path, "clone", "--quiet", "origin", "clone")
    program = tmp_path / "clone" / ".venv" / "bin" / "equipoise"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tasks.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return tmp_path / "clone"


@pytest.mark.parametrize(
    ("commands", "base"),
    [
        (github_commands(GITHUB), {"GITHUB_BASE_REF": "main"}),
        (GITLAB["contracts"]["script"], {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "origin/main"}),
    ],
    ids=["github", "gitlab"],
)
def test_a_change_without_a_new_version_fails_the_pull_request(
    commands: list[str], base: dict[str, str], pull_request: Path
) -> None:
    set_up, check = commands
    assert set_up == "make setup"
    found = {}
    for version in (1, 2):
        changes = setting("utility.weights.click", 0.5), setting("utility.version", version)
        write_surface(pull_request / "surfaces", *changes)
        found[version] = subprocess.run(
            ["bash", "-c", check],
            cwd=pull_request,
            env={**os.environ, **base, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert {version: done.returncode for version, done in found.items()} == {1: 1, 2: 0}
    assert "changed feed/utility.yaml, version 1 -> 1: weights" in found[1].stdout
    assert "changed feed/utility.yaml, version 1 -> 2: weights" in found[2].stdout


def test_the_projects_own_workflow_and_hook_run_the_commands_of_ci_run() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    verbs = [line for line in run.splitlines() if line.startswith(("make ", ".ci/"))]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert github_commands(workflow) == verbs
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]} <= set(verbs)
