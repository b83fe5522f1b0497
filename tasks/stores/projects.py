"""MLflow Projects: a command in a process of its own, on this machine or wherever a backend takes it.

::

    submit -> mlflow.projects.run -> project run: parameters, and whether its process ended well
                                       |  that process: ProjectRun.from_environment
                                       +- runs of the steps that it called, nested below it

    equipoise.project                   the command
    result.<name>                       what it answered: versions, digests, the step's own run
    equipoise.error, equipoise.message  what it raised; `submit` raises the same

The step's run is the record of the work. The project run says who asked for it, with which parameters.
"""

import json
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import mlflow.projects
from mlflow.entities import Run, RunTag
from mlflow.projects.backend.loader import MLFLOW_BACKENDS

from tasks.errors import (
    ContractError,
    DataError,
    EquipoiseError,
    GateRefused,
    ImmatureLabels,
    StoreError,
    unknown,
)
from tasks.settings import IN_PROCESS, MLFLOW_PROJECT, Settings
from tasks.stores.database import MARKER
from tasks.stores.runs import PARENT, require_run
from tasks.stores.tracking import PatientClient, connect, current, experiment_id, tracking_uri
from tasks.stores.workspace import Workspace, format_instant

PROJECTS: Final = Path(__file__).resolve().parents[2] / "mlflow_projects"
PROJECT: Final = "equipoise.project"
ERROR: Final = "equipoise.error"
MESSAGE: Final = "equipoise.message"
BACKENDS: Final = ("kubernetes", *MLFLOW_BACKENDS)
"""What MLflow can run a project on: its own backends and those of installed plugins."""

_LONGEST: Final = 5000  # characters of a tag that every MLflow store keeps
_ERRORS: Final = {
    kind.__name__: kind for kind in (ContractError, DataError, ImmatureLabels, GateRefused, StoreError)
}

log = logging.getLogger("equipoise")


@dataclass(frozen=True)
class ProjectRun:
    """The run that MLflow opened for this process."""

    client: PatientClient
    run_id: str

    @classmethod
    def from_environment(cls, home: Path) -> "ProjectRun | None":
        """Take over what MLflow hands down; None where it was kept in a store that nobody chose.

        What it hands down is removed from the environment: the steps find what they always find.
        """
        run_id = os.environ.pop("MLFLOW_RUN_ID", None)
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
        if run_id is None:
            return None
        uri = os.environ.pop("MLFLOW_TRACKING_URI", "")
        own = tracking_uri(home)
        if uri != own and _chosen_by_nobody(uri):
            log.warning(
                "MLFLOW_TRACKING_URI is not set, so MLflow kept its project run aside, in %s. What is made "
                "goes to %s: set MLFLOW_TRACKING_URI to that to have both in one place.",
                *(uri, own),
            )
            return None
        os.environ["MLFLOW_TRACKING_URI"] = uri
        return cls(connect(home), run_id)

    def begin(self, project: str, parent: str | None) -> None:
        """Say which command this is and what it belongs under; close runs of the same that were killed.

        Raises
        ------
        ContractError
            There is no such parent run.
        """
        if parent is not None:
            require_run(self.client, parent)
            self._tag({PARENT: parent})
        self._tag({PROJECT: project})
        own = self.client.get_run(self.run_id)
        running = f"tags.`{PROJECT}` = '{project}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([own.info.experiment_id], running):
            if run.info.run_id != self.run_id and run.data.params == own.data.params:
                self.client.set_terminated(run.info.run_id, "KILLED")

    def answered(self, result: Mapping[str, Any]) -> None:
        """Keep the ids, digests and words of a result, and close the run: nobody may be waiting any more."""
        plain = {name: value for name, value in result.items() if isinstance(value, str | int)}
        self._tag({f"result.{name}": value for name, value in plain.items()})
        self.client.set_terminated(self.run_id, "FINISHED")

    def failed(self, error: EquipoiseError) -> None:
        """Keep what was raised, for whoever waits for this process."""
        self._tag({ERROR: type(error).__name__, MESSAGE: error})
        self.client.set_terminated(self.run_id, "FAILED")

    def _tag(self, values: Mapping[str, object]) -> None:
        tags = [RunTag(name, str(value)[:_LONGEST]) for name, value in values.items()]
        self.client.log_batch(self.run_id, tags=tags)


def submit(workspace: Workspace, project: str, parameters: Mapping[str, object]) -> None:
    """Run a project of a surface on the backend of the settings, and wait for its end.

    Parameters
    ----------
    project : name of a folder below ``mlflow_projects``.
    parameters : those of its MLproject file, without the surface; None is one that is left empty.

    Raises
    ------
    ContractError
        A setting has a value that is not known.
    EquipoiseError
        What the project's command raised; StoreError where it could not be run or died without a word.
    """
    backend, config = Settings().launcher_backend, _backend_config()
    if backend not in BACKENDS:
        raise ContractError(unknown("value", backend, BACKENDS, where="EQUIPOISE_LAUNCHER_BACKEND"))
    folder = project_folder(project, backend)
    words = {"surface": workspace.surface, **{name: _word(value) for name, value in parameters.items()}}
    client = connect(workspace.home)
    experiment = experiment_id(client, workspace.home, workspace.surface)
    began = int(time.time() * 1000)
    with (
        current(client.tracking_uri),
        _environment(_places(workspace)),
        tempfile.TemporaryDirectory(prefix="equipoise-project-") as downloads,
    ):
        try:
            mlflow.projects.run(
                str(folder),
                parameters=words,
                experiment_id=experiment,
                backend=backend,
                backend_config=config,
                env_manager="local",
                storage_dir=downloads,
                synchronous=True,
                run_name=" ".join(filter(None, ("project", project, words.get("task")))),
            )
        except Exception as error:  # each backend fails with the errors of its own libraries
            run = _opened_since(client, experiment, began, words)
            raise _reason(project, run, error) from error


def project_folder(name: str, backend: str) -> Path:
    """Return a project's folder: the backend's own where there is one, since some demand more of the file.

    Raises
    ------
    ContractError
        The package was installed from a wheel, which has no projects.
    """
    if not PROJECTS.is_dir():
        raise ContractError(
            f"EQUIPOISE_LAUNCHER = '{MLFLOW_PROJECT}' needs the repository's folder mlflow_projects, and "
            f"this package was installed without it: {PROJECTS} is not there. Work in a clone of it "
            f"or set EQUIPOISE_LAUNCHER={IN_PROCESS}"
        )
    own = PROJECTS / backend / name
    return own if own.is_dir() else PROJECTS / name


def _places(workspace: Workspace) -> dict[str, str]:
    """Return what a process on this machine needs to find the same places and the same Python."""
    return {
        "EQUIPOISE_HOME": str(workspace.home),
        "EQUIPOISE_SURFACES": str(workspace.surfaces),
        "EQUIPOISE_LOGS": str(workspace.logs),
        "VIRTUAL_ENV": sys.prefix,
    }


def _word(value: object) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    return "" if value is None else str(value)


def _backend_config() -> dict[str, Any]:
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


def _opened_since(
    client: PatientClient, experiment: str, began: int, parameters: Mapping[str, str]
) -> Run | None:
    """Return the project run with these parameters, closed; MLflow's error does not hold it."""
    wanted = {name: shlex.quote(value) for name, value in parameters.items()}.items()
    projects = f"tags.mlflow.source.type = 'PROJECT' and attributes.start_time >= {began}"
    newest = client.search_runs([experiment], projects, order_by=["attributes.start_time DESC"])
    run: Run | None = next((run for run in newest if wanted <= run.data.params.items()), None)
    if run is not None and run.info.status == "RUNNING":
        client.set_terminated(run.info.run_id, "FAILED")
    return run


def _reason(project: str, run: Run | None, error: Exception) -> EquipoiseError:
    """Return what the project's command raised; MLflow itself knows only that its run failed."""
    tags = {} if run is None else run.data.tags
    where = "" if run is None else f" Its MLflow run is {run.info.run_id}."
    if kind := _ERRORS.get(tags.get(ERROR, "")):
        return kind(f"{tags[MESSAGE]} Raised in the project '{project}'.{where}")
    return StoreError(
        f"The project '{project}' gave no result and no reason: it could not be run, was killed, or is at "
        f"fault. MLflow says: {type(error).__name__}: {error}. Its output says more.{where}"
    )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Let a local process inherit further variables; MLflow gives it the environment of this one."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _chosen_by_nobody(uri: str) -> bool:
    """Whether this is MLflow's own default: mlflow.db, or mlruns, in the folder of the command.

    Examples
    --------
    >>> _chosen_by_nobody("sqlite:////somewhere/mlflow.db"), _chosen_by_nobody("http://127.0.0.1:5000")
    (True, False)
    """
    if uri.startswith("sqlite:"):
        database = Path(urlsplit(uri).path[1:])
        return database.name == "mlflow.db" and not (database.parent / MARKER).exists()
    return uri.startswith("file:")
