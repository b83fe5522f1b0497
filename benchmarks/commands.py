"""CPU seconds of short commands against those of ``import mlflow``: ``python -m benchmarks.commands``.

Each command runs in a process of its own, in turn with the import, on a generated log of home_feed in a new
home. The least of all runs counts: it is the one that was disturbed least. `release list` reads the home's
sqlite database: its floor is MLflow's own client, the last row, which imports MLflow, SQLAlchemy and alembic.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tasks.settings import REPOSITORY

_FLOOR: Final = "import mlflow"
_CLI: Final = (sys.executable, "-m", "tasks.cli")
_CLIENT: Final = "import os, mlflow; mlflow.MlflowClient(os.environ['DATABASE']).search_registered_models()"
_AS_OF: Final = "2026-03-02T00:00:00Z"
_COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    _FLOOR: (sys.executable, "-c", _FLOOR),
    "equipoise --help": (*_CLI, "--help"),
    "equipoise check": (*_CLI, "check", "home_feed"),
    "equipoise plan": (*_CLI, "plan", "home_feed", "--as-of", _AS_OF),
    "equipoise release list": (*_CLI, "release", "list", "home_feed"),
    "MlflowClient on sqlite": (sys.executable, "-c", _CLIENT),
}


def cpu_seconds(words: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the CPU seconds of a process and of those that it started; exit code 1 is a verdict."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, env=dict(environment), cwd=REPOSITORY, check=False, capture_output=True)
    if done.returncode > 1:
        raise RuntimeError(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Generate a log, run every command in turn and print the least of its CPU seconds as a ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        database = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
        environment = {**os.environ, "EQUIPOISE_HOME": folder, "DATABASE": database}
        size = ("--days", str(asked.days), "--requests-per-day", "50", "--seed", "1")
        cpu_seconds((*_CLI, "world", "generate", *size, "--out", str(home / "logs/home_feed")), environment)
        cpu_seconds(_COMMANDS["equipoise release list"], environment)  # makes the database
        runs = [
            {name: cpu_seconds(words, environment) for name, words in _COMMANDS.items()}
            for _ in range(asked.runs)
        ]
    least = {name: min(run[name] for run in runs) for name in _COMMANDS}
    for name, seconds in least.items():
        print(f"{name:<24}{seconds:>8.2f} s{seconds / least[_FLOOR]:>8.2f} times `{_FLOOR}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
