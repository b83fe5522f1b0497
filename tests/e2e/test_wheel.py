"""A wheel of the repository, installed in an environment of its own: a newcomer's first commands."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import ContractError

REPOSITORY = Path(__file__).parents[2]
AS_OF = "2026-02-15T00:00:00Z"
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.e2e


def _bare() -> dict[str, str]:
    """Return the environment without what points to the repository or to other state."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("EQUIPOISE_", "PYTHON"))
    }


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel; what the wheel depends on is found where we have it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    installed = folder / "venv/bin/python"
    subprocess.run(
        [installed, "-m", "pip", "install", "--no-deps", "--no-index", wheel], check=True, capture_output=True
    )
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return installed


@pytest.fixture(scope="module")
def run(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run `equipoise` of that environment in an empty folder."""
    here = tmp_path_factory.mktemp("newcomer")
    kept = _bare()

    def typed(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        program = python.with_name("equipoise")
        ended = subprocess.run(
            [program, *words], cwd=here, env=kept, capture_output=True, text=True, check=False
        )
        assert ended.returncode == code, (words, ended.stdout, ended.stderr)
        return ended

    return typed


def test_the_program_is_that_of_the_wheel(python: Path) -> None:
    code = "import tasks.cli; print(tasks.cli.__file__)"
    words = [str(python), "-c", code]
    found = subprocess.run(words, cwd=python.parent, env=_bare(), capture_output=True, text=True, check=True)
    assert str(python.parents[1]) in found.stdout


def test_without_a_surface_the_way_to_one_is_named(run: Run) -> None:
    refusal = run("check", code=ContractError.exit_code).stderr
    assert "or draft a surface: equipoise init NAME --impressions FILE --events FILE" in refusal


def test_from_an_empty_folder_to_a_judged_release(run: Run) -> None:
    logs = ".equipoise/logs/my_feed"
    run("world", "generate", "--days", "45", "--requests-per-day", "80", "--seed", "1", "--out", logs)
    run(
        "init",
        "my_feed",
        "--impressions",
        f"{logs}/impressions",
        "--events",
        f"{logs}/events",
        "--candidates",
        f"{logs}/candidates",
    )
    assert "valid: my_feed" in run("check").stdout
    assert "shared test days" in run("plan", "my_feed", "--as-of", AS_OF).stdout
    retrained = run("retrain", "my_feed", "--as-of", AS_OF, code=1)
    assert "release 1: hold" in retrained.stdout
    assert "dossier: " in run("release", "show", "my_feed", "challenger").stdout
