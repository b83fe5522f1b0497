"""Where training and calibration run: in this process, or each as an MLflow project.

::

    EQUIPOISE_LAUNCHER           in_process (default) | mlflow-project
    EQUIPOISE_LAUNCHER_BACKEND   what MLflow runs the project on: local (default), kubernetes, a plugin's
    EQUIPOISE_LAUNCHER_CONFIG    the backend's own configuration, a JSON file

A project is given the step's own inputs and leaves its work in the registry. It is looked for there by those
inputs, before and after: what is there is not made again, and what is not there was not made.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from tasks.calibration import step as calibrate_step
from tasks.calibration.step import CalibrateResult
from tasks.errors import ContractError, StoreError, unknown
from tasks.settings import IN_PROCESS, Settings
from tasks.stores.projects import BACKENDS, Backend, submit
from tasks.stores.workspace import Workspace, format_instant
from tasks.training import step as train_step
from tasks.training.step import TrainResult

PROJECTS: Final = Path(__file__).resolve().parents[1] / "mlflow_projects"

Result = TypeVar("Result", TrainResult, CalibrateResult)


def train(
    workspace: Workspace, *, task: str, as_of: datetime, snapshot: str, parent_run: str | None = None
) -> TrainResult:
    """Train one task where the settings say; else as `tasks.training.step.run`.

    Raises
    ------
    ContractError
        A setting says what is not known.
    StoreError
        The project could not be run, or ended well without having made the model.
    """
    inputs: dict[str, Any] = {"task": task, "as_of": as_of, "snapshot": snapshot}
    if Settings().launcher == IN_PROCESS:
        return train_step.run(workspace, **inputs, parent_run=parent_run)
    return _launched("train", train_step.find, workspace, inputs, parent_run)


def calibrate(
    workspace: Workspace,
    *,
    task: str,
    as_of: datetime,
    snapshot: str,
    model_version: int,
    parent_run: str | None = None,
) -> CalibrateResult:
    """Calibrate one task's model where the settings say; else as `tasks.calibration.step.run`."""
    inputs: dict[str, Any] = {
        "task": task,
        "as_of": as_of,
        "snapshot": snapshot,
        "model_version": model_version,
    }
    if Settings().launcher == IN_PROCESS:
        return calibrate_step.run(workspace, **inputs, parent_run=parent_run)
    return _launched("calibrate", calibrate_step.find, workspace, inputs, parent_run)


def project_folder(name: str, backend: str) -> Path:
    """Return a project's folder: the backend's own where there is one, since some demand more of the file."""
    own = PROJECTS / backend / name
    return own if own.is_dir() else PROJECTS / name


def local_environment(workspace: Workspace) -> dict[str, str]:
    """Return what a process on this machine needs to find the same places and the same Python."""
    return {
        "EQUIPOISE_HOME": str(workspace.home),
        "EQUIPOISE_SURFACES": str(workspace.surfaces),
        "EQUIPOISE_LOGS": str(workspace.logs),
        "VIRTUAL_ENV": sys.prefix,
    }


def _launched(
    name: str,
    find: Callable[..., Result | None],
    workspace: Workspace,
    inputs: Mapping[str, Any],
    parent_run: str | None,
) -> Result:
    found = find(workspace, **inputs)
    if found is not None:
        return found
    backend = Settings().launcher_backend
    if backend not in BACKENDS:
        raise ContractError(unknown("value", backend, BACKENDS, where="EQUIPOISE_LAUNCHER_BACKEND"))
    submit(
        workspace.home,
        workspace.surface,
        project=project_folder(name, backend),
        parameters={"surface": workspace.surface, "parent_run": parent_run or "", **_written(inputs)},
        backend=Backend(backend, _config(), local_environment(workspace)),
    )
    made = find(workspace, **inputs)
    if made is None:
        raise StoreError(
            f"The project '{name}' of task '{inputs['task']}' ended well, but what it should have made from "
            f"label snapshot {inputs['snapshot']} is not registered here. Does it see the same "
            "MLFLOW_TRACKING_URI, EQUIPOISE_HOME, EQUIPOISE_SURFACES and the same versions of this code and "
            "of lightgbm?"
        )
    return replace(made, reused=False)


def _written(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: format_instant(value) if isinstance(value, datetime) else str(value)
        for name, value in inputs.items()
    }


def _config() -> Mapping[str, Any]:
    path = Settings().launcher_config
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractError(f"EQUIPOISE_LAUNCHER_CONFIG = '{path}' cannot be read as JSON: {error}") from None
    if not isinstance(config, dict):
        raise ContractError(f"EQUIPOISE_LAUNCHER_CONFIG = '{path}' holds no JSON object")
    return config
