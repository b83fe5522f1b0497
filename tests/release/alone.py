"""A release in an interpreter of its own, where nothing of this repository can be imported."""

import os
import subprocess
import sys
from pathlib import Path

_LOADS = """
import sys
class NoRepository:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tasks":
            raise ImportError("this repository is not here")
sys.meta_path.insert(0, NoRepository())
import mlflow.pyfunc, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
"""


def run_alone(release: Path, code: str, *, folder: Path) -> str:
    """Load a release as ``model`` and run code in a folder; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", _LOADS + code, str(release)],
        cwd=folder,
        env={**environment, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
