"""MLflow runs of steps, and the home's record of their output.

::

    tags         surface, step, task, as_of, snapshot, equipoise.inputs (digest of all inputs)
    inputs       the label snapshot by its own digest, the models that were read
    outputs      the models that were created
    artifacts    evidence.json, which later steps and the gate read, tables and pictures for people

    evidence/<run>/run.json        the run's tags and the sha256 of each text that it wrote
    evidence/<run>/<model>.json    the tags of the version that the run registered, including its sha256

A run is valid only with its record: users with write access to MLflow can create a run with these tags, but
cannot write the record in `Store.root`. A failed run is closed as failed; a killed run is closed by the next
run with the same inputs. If the evidence of a run cannot be read, the run is ignored and its step runs again.
Altered evidence is refused.
"""

import json
import logging
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.errors import ContractError, StoreError
from tasks.evaluation.documents import Document
from tasks.privacy import process_account
from tasks.stores.files import flush_uri, sha256
from tasks.stores.location import Location, read_bytes, write_bytes
from tasks.stores.tracking import OWN_TAGS, PatientClient, pages, read_artifact, refuse_foreign

_LOG: Final = logging.getLogger("equipoise")
D = TypeVar("D", bound=Document)
INPUTS: Final = "equipoise.inputs"
EVIDENCE: Final = "evidence.json"
PARENT: Final = "mlflow.parentRunId"
_DIGEST_LENGTH: Final = 36  # maximum length of a dataset digest in MLflow
EVIDENCE_FOLDER: Final = "evidence"
_RUN: Final = "run"
_DESCRIPTION: Final = "mlflow.note.content"
_USER: Final = "mlflow.user"
_RUN_ID: Final = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True)
class Record:
    """The tags to find a run or a version by, and the sha256 of each text of a run by path."""

    tags: Mapping[str, str]
    files: Mapping[str, str]

    def carries(self, tags: Mapping[str, str]) -> bool:
        """Return whether the record contains all of these tags."""
        return tags.items() <= self.tags.items()


@dataclass(frozen=True)
class Records:
    """The records of a home: one file per run and per version, written atomically."""

    root: Location

    @property
    def folder(self) -> Location:
        """Folder of all records."""
        return self.root / EVIDENCE_FOLDER

    def write(self, run_id: str, record: Record, *, of: str = _RUN) -> None:
        """Record a run, or the version of the model ``of`` that it registers."""
        content = json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
        write_bytes(self._file(run_id, of), content.encode())

    def read(self, run_id: str, *, of: str = _RUN) -> Record | None:
        """Return the record of a run or of the version of ``of`` that it registered, or None."""
        if not _RUN_ID.fullmatch(run_id):  # a version may name any text as its run, even a path
            return None
        file = self._file(run_id, of)
        if not file.is_file():
            return None
        try:
            return Record(**json.loads(read_bytes(file)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"The record {file} cannot be read: {error}. Run its step again.") from error

    def require(self, run_id: str) -> Record:
        """Return the record of a run; raises StoreError if it is missing."""
        record = self.read(run_id)
        if record is None:
            raise StoreError(
                f"Run {run_id} is not recorded in {self.folder}, so MLflow's record of it is not valid "
                "evidence. "
                "Run its step again."
            )
        return record

    def _file(self, run_id: str, of: str) -> Location:
        return self.folder / run_id / f"{of}.json"


@dataclass(frozen=True)
class StepRun:
    """A running step, whose logged data are visible in MLflow immediately.

    ``known`` are the tags that it was opened with, which the home records with its evidence.
    """

    runs: "Runs"
    run_id: str
    known: Mapping[str, str]
    _files: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def client(self) -> PatientClient:
        """The MLflow client of the home."""
        return self.runs.client

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters."""
        params = [Param(name, str(value)) for name, value in values.items()]
        self.client.log_batch(self.run_id, params=params)

    def metrics(self, values: Mapping[str, float], *, model_id: str | None = None) -> None:
        """Log finite metrics, optionally of a model."""
        self.runs.log_metrics(self.run_id, values, model_id=model_id)

    def tags(self, values: Mapping[str, object]) -> None:
        """Set tags."""
        tags = [RunTag(name, str(value)) for name, value in values.items()]
        self.client.log_batch(self.run_id, tags=tags)

    def dataset(self, name: str, *, digest: str, source: str, context: str) -> None:
        """Link a table as a dataset by its own digest, which covers all of it."""
        data = Dataset(name, digest[:_DIGEST_LENGTH], "delta_table", json.dumps({"path": source}))
        used_as = [InputTag("mlflow.data.context", context)]
        self.client.log_inputs(self.run_id, datasets=[DatasetInput(data, used_as)])

    def reads_models(self, model_ids: Iterable[str]) -> None:
        """Link logged models that this step read; MLflow refuses to link a model twice."""
        inputs = self.client.get_run(self.run_id).inputs
        known = {model.model_id for model in (inputs.model_inputs if inputs else ())}
        if new := [model_id for model_id in dict.fromkeys(model_ids) if model_id not in known]:
            self.client.log_inputs(self.run_id, models=[LoggedModelInput(model_id) for model_id in new])

    def json(self, path: str, content: object) -> None:
        """Write plain JSON; non-finite numbers are refused, use null instead."""
        self.text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def evidence(self, document: Document) -> None:
        """Write evidence for later steps and the gate; the home records the run and its texts."""
        self.json(EVIDENCE, document.to_json())

    def text(self, path: str, content: str) -> None:
        """Write a text, for example an HTML or Markdown report, or an SVG picture."""
        self.client.log_text(self.run_id, content, path)
        self._files[path] = sha256(content.encode())
        if EVIDENCE in self._files:
            self.runs.records.write(self.run_id, Record(self.known, self._files))

    def name(self, *, version: int) -> None:
        """Append the registered version to the run's name."""
        named = self.client.get_run(self.run_id).info.run_name
        ending = f"version {version}"
        if not named.endswith(f" {ending}"):
            self.client.update_run(self.run_id, name=f"{named} {ending}")

    def describe(self, markdown: str) -> None:
        """Set the description that MLflow shows with the run."""
        self.tags({_DESCRIPTION: markdown})

    def table(self, path: str, frame: pd.DataFrame) -> None:
        """Write a table that MLflow displays."""
        texts = frame.columns[[isinstance(kind, pd.StringDtype) for kind in frame.dtypes]]
        self.client.log_table(self.run_id, frame.astype(dict.fromkeys(texts, object)), path)


@dataclass(frozen=True)
class StepKey:
    """Key of a step's runs: surface, step, task, and the digest of all inputs."""

    surface: str
    step: str
    inputs: str
    task: str | None = None

    @property
    def condition(self) -> str:
        """Search condition of MLflow for these runs."""
        return f"tags.step = '{self.step}' and tags.`{INPUTS}` = '{self.inputs}'"


@dataclass(frozen=True)
class Runs:
    """The MLflow runs of a home.

    Parameters
    ----------
    client : the open MLflow store.
    records : the home's records of the runs.
    artifacts : URI of the folder of the experiments' artifacts; None if an MLflow server chooses it.
    """

    client: PatientClient
    records: Records
    artifacts: str | None

    @contextmanager
    def step(
        self,
        key: StepKey,
        *,
        parent_run: str | None = None,
        tags: Mapping[str, object] | None = None,
        again: str | None = None,
    ) -> Iterator[StepRun]:
        """Open a step's run; close it as finished once its artifacts are durable, else as failed.

        Parameters
        ----------
        parent_run : the parent run.
        tags : further tags, such as as_of and snapshot.
        again : a run with lost artifacts, which are written again in place.
        """
        experiment = self.experiment_id(key.surface)
        if parent_run is not None:
            self.require(parent_run)
        self._close_killed(experiment, key)
        named = {
            "surface": key.surface,
            "step": key.step,
            "task": key.task,
            INPUTS: key.inputs,
            PARENT: parent_run,
        }
        known = {name: str(value) for name, value in {**named, **(tags or {})}.items() if value is not None}
        if again is None:
            release = f"release {known['release']}" if "release" in known else ""
            name = " ".join(filter(None, (key.surface, key.step, key.task, release)))
            run = self.client.create_run(
                experiment, run_name=name, tags={**known, _USER: process_account() or str(os.getuid())}
            )
        else:
            run = self.client.get_run(again)
        opened = StepRun(self, run.info.run_id, known)
        try:
            yield opened
        except BaseException:
            self.client.set_terminated(opened.run_id, "FAILED")
            raise
        flush_uri(run.info.artifact_uri)
        self.client.set_terminated(opened.run_id, "FINISHED")

    def finished(self, key: StepKey) -> str | None:
        """Return the newest finished run of a step with these inputs and readable evidence."""
        wanted = {"surface": key.surface, "step": key.step, INPUTS: key.inputs}
        return next((run for run in self._recorded(wanted) if self.has_evidence(run)), None)

    def newest(self, surface: str, *, step: str, **tags: object) -> str | None:
        """Return the newest finished run of a step that was recorded with these tags, or None."""
        return next(self.recorded(surface, step=step, **tags), None)

    def recorded(self, surface: str, *, step: str, **tags: object) -> Iterator[str]:
        """Yield all finished runs of a step that were recorded with these tags, newest first."""
        wanted = {"surface": surface, "step": step, **{name: str(value) for name, value in tags.items()}}
        yield from self._recorded(wanted)

    def requester(self, run_id: str) -> str:
        """Return the requester of a run: a person or a schedule in Airflow, else the process's account."""
        return str(self.client.get_run(run_id).data.tags.get(_USER, ""))

    def set_requester(self, run_id: str, name: str) -> None:
        """Set the requester of a run."""
        self.client.set_tag(run_id, _USER, name)

    def finish(self, run_id: str) -> None:
        """Close a run whose step was killed after all of its work was done."""
        if self.client.get_run(run_id).info.status != "FINISHED":
            self.client.set_terminated(run_id, "FINISHED")

    def require(self, run_id: str) -> None:
        """Refuse the id of a parent run that does not exist."""
        try:
            self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise
            raise ContractError(
                f"There is no MLflow run '{run_id}' to belong under. Give the id that MLflow shows for a run "
                "of this same store, or leave the parent out."
            ) from None

    def experiment_id(self, surface: str) -> str:
        """Return the surface's experiment; creates it if it is missing."""
        found = self.client.get_experiment_by_name(surface)
        if found is None:
            for model in self.client.search_registered_models(f"name LIKE '{surface}.%'"):
                if model.name.split(".")[0] == surface:  # "_" is a wildcard in LIKE
                    refuse_foreign("registered model", model.name, model.tags)
            location = None if self.artifacts is None else f"{self.artifacts}/{quote(surface)}"
            try:
                return str(
                    self.client.create_experiment(surface, artifact_location=location, tags=dict(OWN_TAGS))
                )
            except MlflowException as error:  # another process created it first
                found = self.client.get_experiment_by_name(surface)
                if found is None:
                    raise StoreError(f"No MLflow experiment '{surface}' can be made: {error}") from error
        refuse_foreign("experiment", surface, found.tags, place=found.artifact_location)
        if found.lifecycle_stage != "active":
            raise StoreError(f"The MLflow experiment '{surface}' was deleted; restore it in MLflow.")
        return str(found.experiment_id)

    def log_metrics(self, run_id: str, values: Mapping[str, float], *, model_id: str | None = None) -> None:
        """Log finite metrics of a run, optionally of a model."""
        now = int(time.time() * 1000)
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        metrics = [Metric(name, value, now, 0, model_id=model_id) for name, value in finite.items()]
        self.client.log_batch(run_id, metrics=metrics)

    def has_evidence(self, run_id: str) -> bool:
        """Return whether a run is recorded and its documents are readable; a warning describes problems.

        Altered documents count as readable, because their reader refuses them.
        """
        try:
            for path in {EVIDENCE, *self.records.require(run_id).files}:
                if path.endswith(".json"):
                    json.loads(_read(self._open(run_id, path), run_id, path))
        except (StoreError, ValueError) as error:
            _LOG.warning("The evidence of run %s does not count, so its step is run again: %s", run_id, error)
            return False
        return True

    def read_evidence(self, run_id: str, kind: type[D]) -> D:
        """Read a run's evidence; raises as `read_text`, and ContractError for another step's evidence."""
        return kind.read(self.read_text(run_id, EVIDENCE), where=f"Run {run_id}")

    def read_text(self, run_id: str, path: str) -> str:
        """Read a text that a run wrote, verified with the home's record."""
        text = _read(self._open(run_id, path), run_id, path)
        written, found = self.records.require(run_id).files.get(path), sha256(text.encode())
        if found != written:
            raise StoreError(
                f"{path} of run {run_id} is not what its step wrote: sha256 {found[:12]}, recorded is "
                f"{(written or 'none')[:12]}. Restore it from a backup, or delete the run and run its step "
                "again."
            )
        return text

    def read_pictures(self, run_id: str, folder: str | None = None) -> dict[str, bytes]:
        """Return the SVG pictures in a folder of a run's artifacts (default: the root), by path."""
        repository = self._open(run_id, folder or "pictures")
        paths = [file.path for file in repository.list_artifacts(folder) if file.path.endswith(".svg")]
        return {path: read_artifact(repository, path) for path in paths}

    def _recorded(self, tags: Mapping[str, str]) -> Iterator[str]:
        """Yield the finished runs of a surface that the home recorded with these tags, newest first."""
        wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
        query = " and ".join([*wanted, "attributes.status = 'FINISHED'"])
        order, experiments = ["attributes.start_time DESC"], [self.experiment_id(tags["surface"])]
        for run in pages(partial(self.client.search_runs, experiments, query, order_by=order)):
            record = self.records.read(run.info.run_id)
            if record is None or not record.carries(tags):
                _LOG.warning("Run %s does not count: the home has no such record of it", run.info.run_id)
                continue
            yield str(run.info.run_id)

    def _open(self, run_id: str, path: str) -> ArtifactRepository:
        """Return the repository of a run's artifacts, to read one of them."""
        try:
            return get_artifact_repository(
                self.client.get_run(run_id).info.artifact_uri, self.client.tracking_uri
            )
        except (MlflowException, OSError, ValueError) as error:
            raise _unreadable(run_id, path, error) from error

    def _close_killed(self, experiment: str, key: StepKey) -> None:
        query = f"{key.condition} and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([experiment], query):
            self.client.set_terminated(run.info.run_id, "KILLED")


def _read(repository: ArtifactRepository, run_id: str, path: str) -> str:
    try:
        return read_artifact(repository, path).decode()
    except (MlflowException, OSError, ValueError) as error:
        raise _unreadable(run_id, path, error) from error


def _unreadable(run_id: str, path: str, error: Exception) -> StoreError:
    return StoreError(f"Run {run_id} has no readable {path}: {error}. Run its step again.")
