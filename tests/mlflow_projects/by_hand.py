"""`mlflow run` as a person types it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tasks.settings import REPOSITORY
from tasks.stores.workspace import Workspace

PROJECTS: Final = REPOSITORY / "mlflow_projects"


def mlflow_run(
    name: str, workspace: Workspace, *options: str, folder: Path, store: str | None = None, **parameters: str
) -> subprocess.CompletedProcess[str]:
    """Run a project from a folder; without a store as if nobody had chosen one."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        "EQUIPOISE_HOME": str(workspace.home),
        "EQUIPOISE_SURFACES": str(workspace.surfaces),
        "VIRTUAL_ENV": sys.prefix,
        **({"MLFLOW_TRACKING_URI": store} if store else {}),
    }
    named = (word for name, value in parameters.items() for word in ("-P", f"{name}={value}"))
    command = (sys.executable, "-m", "mlflow", "run", str(PROJECTS / name), "--env-manager", "local")
    return subprocess.run(
        [*command, *options, *named], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
