"""The record of one step: an MLflow run that says what went in, what came out and what it rests on.

::

    tags       surface, step, task, as_of, snapshot, equipoise.inputs (digest of everything that went in)
    inputs     the label snapshot by its own digest, the models that were read
    outputs    the models that were made
    artifacts  evidence.json, which the next steps and the gate read, tables and pictures for people

The home records which run wrote what (`records.py`), and evidence counts only with its record: whoever may
write to MLflow can make a run of these tags, and cannot make it count. A run that failed says so; one whose
process was killed is closed by the next run of the same inputs. A run whose evidence cannot be read is no
finished run: its files were lost after it ended, and it is made again. Changed evidence is refused.
"""

import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.errors import ContractError, StoreError
from tasks.evaluation.documents import Document
from tasks.stores.artifacts import read_artifact
from tasks.stores.digests import sha256
from tasks.stores.flush import flush_uri
from tasks.stores.records import Record, read_record, require_record, write_record
from tasks.stores.tracking import PatientClient, connect, experiment_id

_LOG: Final = logging.getLogger("equipoise")
D = TypeVar("D", bound=Document)
INPUTS: Final = "equipoise.inputs"
EVIDENCE: Final = "evidence.json"
PARENT: Final = "mlflow.parentRunId"
_DIGEST_LENGTH: Final = 36  # the longest that MLflow keeps of a data set's digest


@dataclass(frozen=True)
class StepRun:
    """A running step; everything that it logs is visible in MLflow at once.

    ``known`` are the tags that it was opened with, which the home records with its evidence.
    """

    client: PatientClient
    run_id: str
    home: Path
    known: Mapping[str, str]
    _files: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        """Write what the next steps and the gate read; the home records the run and its texts."""
        self.json(EVIDENCE, document.to_json())

    def text(self, path: str, content: str) -> None:
        """Write a text, for example a report in HTML or markdown, or a picture as SVG."""
        self.client.log_text(self.run_id, content, path)
        self._files[path] = sha256(content.encode())
        if EVIDENCE in self._files:
            write_record(self.home, self.run_id, Record(self.known, self._files))

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
    opened = StepRun(client, run.info.run_id, key.home, known)
    try:
        yield opened
    except BaseException:
        client.set_terminated(opened.run_id, "FAILED")
        raise
    flush_uri(run.info.artifact_uri)
    client.set_terminated(opened.run_id, "FINISHED")


def finished_run(key: StepKey) -> str | None:
    """Return the newest run of a step that finished with these very inputs and still counts, if any."""
    wanted = {"surface": key.surface, "step": key.step, INPUTS: key.inputs}
    return next((run for run in _recorded(key.home, wanted) if has_evidence(key.home, run)), None)


def has_evidence(home: Path, run_id: str) -> bool:
    """Return whether a run is recorded and its documents can be read; what is wrong with it is warned of.

    One whose documents were changed is found, and whoever reads them is told: that is no accident.
    """
    try:
        for path in {EVIDENCE, *require_record(home, run_id).files}:
            if path.endswith(".json"):
                json.loads(_read(_open_run(home, run_id, path), run_id, path))
    except (StoreError, ValueError) as error:
        _LOG.warning("The evidence of run %s does not count, so its step is run again: %s", run_id, error)
        return False
    return True


def newest_run(home: Path, surface: str, *, step: str, **tags: object) -> str | None:
    """Return the newest run of a step that finished and was recorded with these tags, if there is one."""
    wanted = {"surface": surface, "step": step, **{name: str(value) for name, value in tags.items()}}
    return next(_recorded(home, wanted), None)


def _recorded(home: Path, tags: Mapping[str, str]) -> Iterator[str]:
    """Yield the finished runs of a surface that the home recorded with these tags, newest first."""
    client = connect(home)
    wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    query = " and ".join([*wanted, "attributes.status = 'FINISHED'"])
    order, token = ["attributes.start_time DESC"], None
    experiments = [experiment_id(client, home, tags["surface"])]
    while token != "":
        page = client.search_runs(experiments, query, order_by=order, page_token=token)
        for run in page:
            record = read_record(home, run.info.run_id)
            if record is None or not record.carries(tags):
                _LOG.warning("Run %s does not count: the home has no such record of it", run.info.run_id)
                continue
            yield str(run.info.run_id)
        token = page.token or ""


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
    """Read the evidence of a run; raises as `read_text`, and ContractError where it is of another step."""
    return kind.read(read_text(home, run_id, EVIDENCE), where=f"Run {run_id}")


def has_text(home: Path, run_id: str, path: str) -> bool:
    """Return whether a run wrote a text, by its record in the home; raises StoreError where it has none."""
    return path in require_record(home, run_id).files


def read_text(home: Path, run_id: str, path: str) -> str:
    """Read a text that a run wrote, as the home recorded it.

    Raises
    ------
    StoreError
        There is no such run or it is not recorded, it wrote no such text, or the text was changed.
    """
    repository = _open_run(home, run_id, path)
    text = _read(repository, run_id, path)
    written, found = require_record(home, run_id).files.get(path), sha256(text.encode())
    if found != written:
        raise StoreError(
            f"{path} of run {run_id} is not what its step wrote: sha256 {found[:12]}, recorded is "
            f"{(written or 'none')[:12]}. Bring it back from a backup, or delete the run and run its step "
            "again."
        )
    return text


def read_pictures(home: Path, run_id: str, folder: str | None = None) -> dict[str, bytes]:
    """Return every picture that a run wrote into one of its folders, by path; earlier programs wrote PNG.

    Parameters
    ----------
    folder : by default the one that holds the others.
    """
    repository = _open_run(home, run_id, folder or "pictures")
    paths = [file.path for file in repository.list_artifacts(folder) if file.path.endswith((".svg", ".png"))]
    return {path: read_artifact(repository, path) for path in paths}


def _open_run(home: Path, run_id: str, path: str) -> ArtifactRepository:
    """Return where the artifacts of a run are, to read one of them."""
    client = connect(home)
    try:
        return get_artifact_repository(client.get_run(run_id).info.artifact_uri, client.tracking_uri)
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
