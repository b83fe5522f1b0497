"""How MLflow is told of a registered version: its files, the version itself, the run that made it.

::

    files -> a logged model -> a version, whose source is models:/<logged model>; its tags hold the sha256
                            -> an output of the run

Each call does one thing and looks for nothing; ``tasks.stores.registry`` says when a version is made.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException

from tasks.errors import StoreError
from tasks.stores.parts import Part, write_files
from tasks.stores.tracking import PatientClient, current, patient

SHA256: Final = "sha256"
_LOGGED: Final = "models:/"


def log_files(
    client: PatientClient,
    name: str,
    files: Mapping[str, bytes],
    *,
    run_id: str,
    model_type: str,
    tags: Mapping[str, str],
    params: Mapping[str, object],
) -> str:
    """Write files as a finished logged model and return its id; its name allows no dots."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        with current(client.tracking_uri):
            model = patient(mlflow.initialize_logged_model)(
                name=name.replace(".", "-"),
                source_run_id=run_id,
                experiment_id=client.get_run(run_id).info.experiment_id,
                tags=dict(tags),
                params={key: str(value) for key, value in params.items()},
                model_type=model_type,
            )
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def create_version(
    client: PatientClient, name: str, model_id: str, *, run_id: str, tags: Mapping[str, str]
) -> Part:
    """Make a version of a logged model, and its tags, in one transaction."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with current(client.tracking_uri):
        made = client.create_model_version(
            name, f"{_LOGGED}{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
        )
    return part_of(made)


def link_output(client: PatientClient, run_id: str, model_id: str) -> None:
    """Say that a run made a logged model; MLflow refuses to be told twice."""
    made = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (made.model_outputs if made else ())}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def part_of(version: Any) -> Part:
    """Return the part that a version of MLflow's is.

    Raises
    ------
    StoreError
        It carries no sha256: something else registered it.
    """
    part = Part(version.name, int(version.version), version.tags.get(SHA256, ""))
    if not part.sha256:
        raise StoreError(f"{part} carries no sha256: it was not registered by Equipoise.")
    return part


def logged_model_of(version: Any) -> str:
    """Return the id of the logged model that holds a version's files.

    Raises
    ------
    StoreError
        Its source is no logged model: something else registered it.
    """
    if not (source := str(version.source)).startswith(_LOGGED):
        named = f"{version.name} version {version.version}"
        raise StoreError(f"{named} was registered by something else: its source is {source}.")
    return source.removeprefix(_LOGGED)
