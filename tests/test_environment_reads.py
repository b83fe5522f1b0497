"""The environment is read in one place; who else touches it does so for a reason that stands here."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tasks.settings import REPOSITORY

EXCEPTIONS = {
    "benchmarks/commands.py": "makes the environment of the commands that it times",
    "benchmarks/drills/drill.py": "sets the environment of the commands that it starts",
    "benchmarks/mutants.py": "lets a module's tests import the tree that holds the mutant",
    "benchmarks/serving.py": "makes the environment of the server that it measures",
    "benchmarks/soak/__main__.py": "lets what is soaked leave temporary files where it looks for them",
    "benchmarks/retrained/trees.py": "makes the environment of child processes from that of the shell",
    "tasks/__init__.py": "sets a default for OpenMP before anything loads it",
    "tasks/release/model.py": "travels with a release to where tasks/settings.py is not",
    "tasks/settings.py": "the one place",
    "tasks/stores/tracking.py": "sets MLflow's defaults before it is imported",
    "tasks/stores/projects.py": "takes over what MLflow sets for a project's process",
    "deploy/layout.py": "makes the environment of child processes from that of the shell",
    "deploy/compose.py": "reads what docker-compose.yml has put into its environment",
}
NAMES = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def uses_of_the_environment(file: Path) -> Iterator[int]:
    """Yield the lines that name os.environ or a function of its kind."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in NAMES:
                yield node.lineno
            case ast.ImportFrom(module="os", names=names):
                yield from (node.lineno for alias in names if alias.name in NAMES)


def test_no_other_module_reads_the_environment() -> None:
    files = [
        file
        for room in ("tasks", "dags", "deploy", "benchmarks")
        for file in sorted((REPOSITORY / room).rglob("*.py"))
    ]
    users = {file.relative_to(REPOSITORY).as_posix() for file in files if [*uses_of_the_environment(file)]}
    assert users == set(EXCEPTIONS), "read it through tasks/settings.py, or give the reason here"
