"""The run that `mlflow run` opens for a command of Equipoise.

::

    mlflow run mlflow_projects/train -> project run -> ProjectRun.from_environment, in the command's process
                                                    -> runs of the steps that it calls, nested below it

    equipoise.project                   the command
    result.<name>                       its result: versions, digests, the run of the step
    equipoise.error, equipoise.message  the error that it raised

The step's run records the work; the project run records the requester and the parameters.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mlflow.entities import RunTag

from tasks.errors import EquipoiseError
from tasks.stores.runs import PARENT, Runs
from tasks.stores.store import Store, format_file
from tasks.stores.tracking import tracking_uri

PROJECT: Final = "equipoise.project"
ERROR: Final = "equipoise.error"
MESSAGE: Final = "equipoise.message"

_LONGEST: Final = 5000  # length of a tag that every MLflow store supports

log = logging.getLogger("equipoise")


@dataclass(frozen=True)
class ProjectRun:
    """The run that MLflow opened for this process."""

    runs: Runs
    run_id: str

    @classmethod
    def from_environment(cls, home: Path) -> "ProjectRun | None":
        """Take over the run that MLflow opened; None if it was written to MLflow's default store.

        MLflow's variables are removed from the environment, so steps run in their usual environment.
        """
        run_id = os.environ.pop("MLFLOW_RUN_ID", None)
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
        if run_id is None:
            return None
        uri = os.environ.pop("MLFLOW_TRACKING_URI", "")
        own = tracking_uri(home)
        if uri != own and _chosen_by_nobody(uri):
            log.warning(
                "MLFLOW_TRACKING_URI is not set, so MLflow keeps its project run in %s and the results go to "
                "%s. Set MLFLOW_TRACKING_URI to the latter to keep both in one store.",
                *(uri, own),
            )
            return None
        os.environ["MLFLOW_TRACKING_URI"] = uri
        return cls(Store.open(home).runs, run_id)

    def begin(self, project: str, parent: str | None) -> None:
        """Record the command and its parent run; close killed runs of the same command."""
        if parent is not None:
            self.runs.require(parent)
            self._tag({PARENT: parent})
        self._tag({PROJECT: project})
        own = self.runs.client.get_run(self.run_id)
        running = f"tags.`{PROJECT}` = '{project}' and attributes.status = 'RUNNING'"
        for run in self.runs.client.search_runs([own.info.experiment_id], running):
            if run.info.run_id != self.run_id and run.data.params == own.data.params:
                self.runs.client.set_terminated(run.info.run_id, "KILLED")

    def answered(self, result: Mapping[str, Any]) -> None:
        """Record the ids, digests and strings of a result, and close the run for waiting processes."""
        plain = {name: value for name, value in result.items() if isinstance(value, str | int)}
        self._tag({f"result.{name}": value for name, value in plain.items()})
        self.runs.client.set_terminated(self.run_id, "FINISHED")

    def failed(self, error: EquipoiseError) -> None:
        """Record the error for waiting processes, and close the run."""
        self._tag({ERROR: type(error).__name__, MESSAGE: error})
        self.runs.client.set_terminated(self.run_id, "FAILED")

    def _tag(self, values: Mapping[str, object]) -> None:
        tags = [RunTag(name, str(value)[:_LONGEST]) for name, value in values.items()]
        self.runs.client.log_batch(self.run_id, tags=tags)


def _chosen_by_nobody(uri: str) -> bool:
    """Whether this is MLflow's default store: mlflow.db, or mlruns, in the working folder.

    Examples
    --------
    >>> _chosen_by_nobody("sqlite:////somewhere/mlflow.db"), _chosen_by_nobody("http://127.0.0.1:5000")
    (True, False)
    """
    if uri.startswith("sqlite:"):
        database = Path(urlsplit(uri).path[1:])
        return database.name == "mlflow.db" and not format_file(database.parent.parent).exists()
    return uri.startswith("file:")
