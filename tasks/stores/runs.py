"""The record of one step: an MLflow run that says what went in, what came out and what it rests on.

::

    tags       surface, step, task, as_of, snapshot, equipoise.inputs (digest of everything that went in)
    inputs     the label snapshot by its own digest, the models that were read
    outputs    the models that were made
    params     evidence.sha256, the digest of evidence.json: MLflow lets nobody change a parameter
    artifacts  evidence.json, which the next steps and the gate read, tables and pictures for people

A run that failed says so; one whose process was killed is closed by the next run of the same inputs. A run
whose evidence cannot be read is no finished run: its files were lost after it ended, and it is made again.
"""

import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.errors import ContractError, StoreError
from tasks.evaluation.documents import Document
from tasks.stores.artifacts import read_artifact
from tasks.stores.digests import sha256
from tasks.stores.flush import flush_uri
from tasks.stores.tracking import PatientClient, connect, experiment_id

_LOG: Final = logging.getLogger("equipoise")
D = TypeVar("D", bound=Document)
INPUTS: Final = "equipoise.inputs"
EVIDENCE: Final = "evidence.json"
EVIDENCE_DIGEST: Final = "evidence.sha256"
PARENT: Final = "mlflow.parentRunId"
_DIGEST_LENGTH: Final = 36  # the longest that MLflow keeps of a data set's digest


@dataclass(frozen=True)
class StepRun:
    """A running step; everything that it logs is visible in MLflow at once."""

    client: PatientClient
    run_id: str

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters."""
        params = [Param(name, str(value)) for name, value in values.items()]
        self.client.log_batch(self.run_id, params=params)

    def metrics(self, values: Mapping[str, float], *, model_id: str | None = None) -> None:
        """Log metrics, of a model where one is given; what is not finite is left out."""
        now = int(time.time() * 1000)
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        metrics = [Metric(name, value, now, 0, model_id=model_id) for name, value in finite.items()]
        self.client.log_batch(self.run_id, metrics=metrics)

    def tags(self, values: Mapping[str, object]) -> None:
        """Set tags."""
        tags = [RunTag(name, str(value)) for name, value in values.items()]
        self.client.log_batch(self.run_id, tags=tags)

    def dataset(self, name: str, *, digest: str, source: str, context: str) -> None:
        """Link a table by its own digest, which covers all of it."""
        data = Dataset(name, digest[:_DIGEST_LENGTH], "delta_table", json.dumps({"path": source}))
        used_as = [InputTag("mlflow.data.context", context)]
        self.client.log_inputs(self.run_id, datasets=[DatasetInput(data, used_as)])

    def reads_models(self, model_ids: Iterable[str]) -> None:
        """Link logged models that this step read; MLflow refuses to record one twice."""
        inputs = self.client.get_run(self.run_id).inputs
        known = {model.model_id for model in (inputs.model_inputs if inputs else ())}
        if new := [model_id for model_id in dict.fromkeys(model_ids) if model_id not in known]:
            self.client.log_inputs(self.run_id, models=[LoggedModelInput(model_id) for model_id in new])

    def json(self, path: str, content: object) -> None:
        """Write plain JSON; a figure that is not finite is refused, say null instead."""
        self.text(path, _as_json(content))

    def evidence(self, document: Document) -> None:
        """Write what the next steps and the gate read, and its digest where nobody can change it."""
        text = _as_json(document.to_json())
        self.params({EVIDENCE_DIGEST: sha256(text.encode())})
        self.text(EVIDENCE, text)

    def text(self, path: str, content: str) -> None:
        """Write a text, for example a report in HTML or markdown, or a picture as SVG."""
        self.client.log_text(self.run_id, content, path)

    def table(self, path: str, frame: pd.DataFrame) -> None:
        """Write a table that MLflow shows."""
        texts = frame.columns[[isinstance(kind, pd.StringDtype) for kind in frame.dtypes]]
        self.client.log_table(self.run_id, frame.astype(dict.fromkeys(texts, object)), path)


@dataclass(frozen=True)
class StepKey:
    """What the runs of a step are found by: where they are kept, whose they are, and from which inputs.

    ``inputs`` is the digest of everything that decides the result.
    """

    home: Path
    surface: str
    step: str
    inputs: str
    task: str | None = None

    @property
    def condition(self) -> str:
        """The condition of MLflow's search that finds these runs."""
        return f"tags.step = '{self.step}' and tags.`{INPUTS}` = '{self.inputs}'"


@contextmanager
def step_run(
    key: StepKey,
    *,
    parent_run: str | None = None,
    tags: Mapping[str, object] | None = None,
    again: str | None = None,
) -> Iterator[StepRun]:
    """Open a step's run and close it, what it wrote being on the disk, with what became of it.

    Parameters
    ----------
    parent_run : the run that this one belongs under.
    tags : further tags, such as as_of and snapshot.
    again : a run that lost what it had written, to be written once more in its place.

    Raises
    ------
    ContractError
        There is no such parent run.
    """
    client = connect(key.home)
    experiment = experiment_id(client, key.home, key.surface)
    if parent_run is not None:
        require_run(client, parent_run)
    _close_killed(client, experiment, key)
    named = {
        "surface": key.surface,
        "step": key.step,
        "task": key.task,
        INPUTS: key.inputs,
        PARENT: parent_run,
    }
    known = {name: str(value) for name, value in {**named, **(tags or {})}.items() if value is not None}
    if again is None:
        name = " ".join(filter(None, (key.step, key.task)))
        run = client.create_run(experiment, run_name=name, tags=known)
    else:
        run = client.get_run(again)
    opened = StepRun(client, run.info.run_id)
    try:
        yield opened
    except BaseException:
        client.set_terminated(opened.run_id, "FAILED")
        raise
    flush_uri(run.info.artifact_uri)
    client.set_terminated(opened.run_id, "FINISHED")


def finished_run(key: StepKey) -> str | None:
    """Return the newest run of a step that finished with these very inputs and can still be read, if any."""
    client = connect(key.home)
    runs = client.search_runs(
        [experiment_id(client, key.home, key.surface)],
        f"{key.condition} and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
    )
    return next((run.info.run_id for run in runs if has_evidence(key.home, run.info.run_id)), None)


def has_evidence(home: Path, run_id: str) -> bool:
    """Return whether the evidence of a run can be read; what is wrong with it is warned of."""
    try:
        json.loads(read_text(home, run_id, EVIDENCE))
    except (StoreError, ValueError) as error:
        _LOG.warning("The evidence of run %s is lost or torn, so its step is run again: %s", run_id, error)
        return False
    return True


def newest_run(home: Path, surface: str, *, step: str, **tags: object) -> str | None:
    """Return the newest run of a step that finished and carries these tags, if there is one."""
    client = connect(home)
    wanted = [f"tags.{name} = '{value}'" for name, value in {"step": step, **tags}.items()]
    runs = client.search_runs(
        [experiment_id(client, home, surface)],
        " and ".join([*wanted, "attributes.status = 'FINISHED'"]),
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return str(runs[0].info.run_id) if runs else None


def finish(home: Path, run_id: str) -> None:
    """Close a run whose step was killed when all of its work was done."""
    client = connect(home)
    if client.get_run(run_id).info.status != "FINISHED":
        client.set_terminated(run_id, "FINISHED")


def require_run(client: PatientClient, run_id: str) -> None:
    """Refuse the id of a run that the store does not hold.

    Raises
    ------
    ContractError
        There is no such run.
    """
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        raise ContractError(
            f"There is no MLflow run '{run_id}' to belong under. Give the id that MLflow shows for a run of "
            "this same store, or leave the parent out."
        ) from None


def read_evidence(home: Path, run_id: str, kind: type[D]) -> D:
    """Read the evidence of a run; runs of programs before this one have no digest that it is held against.

    Raises
    ------
    ContractError
        It is a run of another step.
    StoreError
        There is no such run, it wrote no evidence, that was changed, or is not of this program's version.
    """
    run, repository = _open_run(home, run_id, EVIDENCE)
    text = _read(repository, run_id, EVIDENCE)
    written = run.data.params.get(EVIDENCE_DIGEST)
    if written is not None and (found := sha256(text.encode())) != written:
        raise StoreError(
            f"{EVIDENCE} of run {run_id} is not what its step wrote: sha256 {found[:12]}, written was "
            f"{written[:12]}. Bring it back from a backup, or delete the run and run its step again."
        )
    return kind.read(text, where=f"Run {run_id}")


def read_text(home: Path, run_id: str, path: str) -> str:
    """Read a file that a run wrote.

    Raises
    ------
    StoreError
        There is no such run, or it wrote no such file.
    """
    _, repository = _open_run(home, run_id, path)
    return _read(repository, run_id, path)


def read_pictures(home: Path, run_id: str, folder: str | None = None) -> dict[str, bytes]:
    """Return every picture that a run wrote into one of its folders, by path; earlier programs wrote PNG.

    Parameters
    ----------
    folder : by default the one that holds the others.
    """
    _, repository = _open_run(home, run_id, folder or "pictures")
    paths = [file.path for file in repository.list_artifacts(folder) if file.path.endswith((".svg", ".png"))]
    return {path: read_artifact(repository, path) for path in paths}


def _open_run(home: Path, run_id: str, path: str) -> tuple[Run, ArtifactRepository]:
    """Return a run and where its artifacts are, to read one of them."""
    client = connect(home)
    try:
        run = client.get_run(run_id)
        return run, get_artifact_repository(run.info.artifact_uri, client.tracking_uri)
    except (MlflowException, OSError, ValueError) as error:
        raise _unreadable(run_id, path, error) from error


def _read(repository: ArtifactRepository, run_id: str, path: str) -> str:
    try:
        return read_artifact(repository, path).decode()
    except (MlflowException, OSError, ValueError) as error:
        raise _unreadable(run_id, path, error) from error


def _unreadable(run_id: str, path: str, error: Exception) -> StoreError:
    return StoreError(f"Run {run_id} has no readable {path}: {error}. Run its step again.")


def _as_json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _close_killed(client: PatientClient, experiment: str, key: StepKey) -> None:
    for run in client.search_runs([experiment], f"{key.condition} and attributes.status = 'RUNNING'"):
        client.set_terminated(run.info.run_id, "KILLED")
