"""The calls by which MLflow registers a version: its files, the version itself, the run that made it.

::

    files -> a logged model -> a version, whose source is models:/<logged model>; its tags hold the sha256
                            -> an output of the run

Each call does one thing and looks for nothing; ``tasks.stores.registry`` says when a version is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException

from tasks.errors import StoreError
from tasks.stores.flush import flush_uri
from tasks.stores.parts import Part
from tasks.stores.tracking import PatientClient, current, patient

SHA256: Final = "sha256"
_LOGGED: Final = "models:/"


@dataclass(frozen=True)
class NewVersion:
    """What is registered: the registered model's ``name``, the run that made the version, how to find it."""

    name: str
    run_id: str
    model_type: str
    tags: Mapping[str, str]
    params: Mapping[str, object] = field(default_factory=dict)


def log_folder(client: PatientClient, new: NewVersion, folder: Path) -> str:
    """Keep a folder's files as a finished logged model and return its id; its name allows no dots."""
    with current(client.tracking_uri):
        model = patient(mlflow.initialize_logged_model)(
            name=new.name.replace(".", "-"),
            source_run_id=new.run_id,
            experiment_id=client.get_run(new.run_id).info.experiment_id,
            tags=dict(new.tags),
            params={key: str(value) for key, value in new.params.items()},
            model_type=new.model_type,
        )
    client.log_model_artifacts(model.model_id, str(folder))
    flush_uri(model.artifact_location)
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def create_version(client: PatientClient, new: NewVersion, model_id: str) -> Any:
    """Make MLflow's version of a logged model, and its tags, in one transaction."""
    try:
        client.create_registered_model(new.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with current(client.tracking_uri):
        return client.create_model_version(
            new.name, f"{_LOGGED}{model_id}", run_id=new.run_id, tags=dict(new.tags), model_id=model_id
        )


def link_output(client: PatientClient, run_id: str, model_id: str) -> None:
    """Record that a run made a logged model; MLflow refuses to record it twice."""
    made = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (made.model_outputs if made else ())}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def logged_model_of(part: Part, source: str) -> str:
    """Return the id of the logged model that holds a version's files.

    Raises
    ------
    StoreError
        Its source is not a logged model: something else registered it.
    """
    if not source.startswith(_LOGGED):
        raise StoreError(f"{part} was registered by something else: its source is {source}.")
    return source.removeprefix(_LOGGED)
