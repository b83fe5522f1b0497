"""However Python was started, a command works or is refused at once; each runs as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.cli.interpreter import refuse_interpreter
from tasks.errors import ContractError
from tests.contracts.files import setting, write_surface
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME, Retrained

WORKS: dict[str, dict[str, str]] = {
    "C": {"LC_ALL": "C"},
    "a locale that is not there": {"LC_ALL": "de_DE.ISO-8859-1"},
    "an output of ASCII": {"PYTHONIOENCODING": "ascii"},
    "an output of Latin 1": {"PYTHONIOENCODING": "latin-1"},
    "without asserts": {"PYTHONOPTIMIZE": "1"},
    "warnings are errors": {"PYTHONWARNINGS": "error"},
    "all of them": {
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "PYTHONOPTIMIZE": "1",
        "PYTHONWARNINGS": "error",
    },
}
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "without docstrings": ({"PYTHONOPTIMIZE": "2"}, "Unset PYTHONOPTIMIZE"),
    "names of ASCII": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "Set PYTHONUTF8=1"),
}


def run(words: list[str], surroundings: Mapping[str, str]) -> "subprocess.CompletedProcess[bytes]":
    """Run the program with some variables in place of the locale's and Python's own."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))
    }
    command = [sys.executable, "-m", "tasks.cli", *words]
    return subprocess.run(command, env={**kept, **surroundings}, capture_output=True, check=False)


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A surface whose contract is not valid, for a reason that names signs beyond Latin 1."""
    return write_surface(tmp_path_factory.mktemp("surfaces"), setting("utility.weights.naïve_→", 1.0))


@pytest.fixture(scope="module")
def usual(surfaces: Path) -> "subprocess.CompletedProcess[bytes]":
    """What the check of it says as Python is mostly started."""
    return run(["check", "--surfaces", str(surfaces), "--json"], {"PYTHONUTF8": "1"})


@pytest.mark.parametrize("name", WORKS)
def test_a_command_works_and_its_document_is_the_same(
    name: str, surfaces: Path, usual: "subprocess.CompletedProcess[bytes]"
) -> None:
    here = run(["check", "--surfaces", str(surfaces), "--json"], WORKS[name])
    assert (here.returncode, here.stderr) == (usual.returncode, usual.stderr) == (1, b"")
    encoding = WORKS[name].get("PYTHONIOENCODING", "utf-8")
    document = json.loads(here.stdout.decode(encoding))
    assert document == json.loads(usual.stdout)
    assert "naïve_→" in str(document)


@pytest.mark.e2e
def test_a_retrain_under_all_of_them_makes_the_same_bytes(
    first_retrain: Retrained, mini_world: Path, tmp_path: Path
) -> None:
    workspace = mini.with_log(first_retrain.workspace.surfaces, mini_world, tmp_path)
    where = ["--home", str(workspace.home), "--surfaces", str(workspace.surfaces)]
    done = run(["retrain", NAME, "--as-of", AS_OF.isoformat(), "--json", *where], WORKS["all of them"])
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["verdict"] == first_retrain.result.verdict
    assert mini.versions(workspace) == first_retrain.versions


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_work_under_is_refused_at_once(name: str, surfaces: Path) -> None:
    surroundings, way_out = REFUSED[name]
    done = run(["check", "--surfaces", str(surfaces)], surroundings)
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert line.startswith("ContractError: ")
    assert way_out in line


@pytest.mark.parametrize("names", ["iso8859-1", "ascii", "cp1252"])
def test_names_of_files_in_another_encoding_are_refused_with_it(names: str) -> None:
    with pytest.raises(ContractError, match=f"Names of files are {names} in this locale"):
        refuse_interpreter(optimize=0, names=names)
