"""MLflow runs of steps, and the home's record of what each run wrote.

::

    tags         surface, step, task, as_of, snapshot, equipoise.inputs (digest of everything that went in)
    inputs       the label snapshot by its own digest, the models that were read
    outputs      the models that were made
    artifacts    evidence.json, which the next steps and the gate read, tables and pictures for people

    evidence/<run>/run.json        the run's tags and the sha256 of each text that it wrote
    evidence/<run>/<model>.json    the tags of the version that the run registered, its sha256 among them

A run counts only with its record: whoever may write to MLflow can make a run with these tags, and cannot
write the record below `Store.root`. A failed run is closed as failed; a killed one is closed by the next run
of the same inputs. A run whose evidence cannot be read does not count and its step runs again; changed
evidence is refused.
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
_DIGEST_LENGTH: Final = 36  # the longest that MLflow keeps of a data set's digest
EVIDENCE_FOLDER: Final = "evidence"
_RUN: Final = "run"
_DESCRIPTION: Final = "mlflow.note.content"
_USER: Final = "mlflow.user"
_RUN_ID: Final = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True)
class Record:
    """The tags by which a run or a version is found, and the sha256 of each text of a run by its path."""

    tags: Mapping[str, str]
    files: Mapping[str, str]

    def carries(self, tags: Mapping[str, str]) -> bool:
        """Return whether it was recorded with all of these tags."""
        return tags.items() <= self.tags.items()


@dataclass(frozen=True)
class Records:
    """The records of a home: a file for each run and each version, written whole or not at all."""

    root: Location

    @property
    def folder(self) -> Location:
        """The folder of all records."""
        return self.root / EVIDENCE_FOLDER

    def write(self, run_id: str, record: Record, *, of: str = _RUN) -> None:
        """Record a run, or the version of the model ``of`` that it registers."""
        content = json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
        write_bytes(self._file(run_id, of), content.encode())

    def read(self, run_id: str, *, of: str = _RUN) -> Record | None:
        """Return the record of a run or of the version of ``of`` that it registered, None without one."""
        if not _RUN_ID.fullmatch(run_id):  # a version may name any text as its run, also a path
            return None
        file = self._file(run_id, of)
        if not file.is_file():
            return None
        try:
            return Record(**json.loads(read_bytes(file)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"The record {file} cannot be read: {error}. Run its step again.") from error

    def require(self, run_id: str) -> Record:
        """Return the record of a run; raises StoreError without a record."""
        record = self.read(run_id)
        if record is None:
            raise StoreError(
                f"Run {run_id} is not recorded in {self.folder}, so what MLflow holds of it is no evidence. "
                "Run its step again."
            )
        return record

    def _file(self, run_id: str, of: str) -> Location:
        return self.folder / run_id / f"{of}.json"


@dataclass(frozen=True)
class StepRun:
    """A running step; everything that it logs is visible in MLflow at once.

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
        """Log metrics, of a model where one is given; what is not finite is left out."""
        self.runs.log_metrics(self.run_id, values, model_id=model_id)

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
            self.runs.records.write(self.run_id, Record(self.known, self._files))

    def name(self, *, version: int) -> None:
        """Let the run's name end with the version that it registered."""
        named = self.client.get_run(self.run_id).info.run_name
        ending = f"version {version}"
        if not named.endswith(f" {ending}"):
            self.client.update_run(self.run_id, name=f"{named} {ending}")

    def describe(self, markdown: str) -> None:
        """Set the description that MLflow shows with the run."""
        self.tags({_DESCRIPTION: markdown})

    def table(self, path: str, frame: pd.DataFrame) -> None:
        """Write a table that MLflow shows."""
        texts = frame.columns[[isinstance(kind, pd.StringDtype) for kind in frame.dtypes]]
        self.client.log_table(self.run_id, frame.astype(dict.fromkeys(texts, object)), path)


@dataclass(frozen=True)
class StepKey:
    """What the runs of a step are found by: whose they are, and the digest of everything that went in."""

    surface: str
    step: str
    inputs: str
    task: str | None = None

    @property
    def condition(self) -> str:
        """The condition of MLflow's search that finds these runs."""
        return f"tags.step = '{self.step}' and tags.`{INPUTS}` = '{self.inputs}'"


@dataclass(frozen=True)
class Runs:
    """The MLflow runs of a home.

    Parameters
    ----------
    client : the open MLflow store.
    records : what the home knows of the runs.
    artifacts : URI of the folder of the experiments' artifacts; None where an MLflow server decides it.
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
        """Open a step's run; close it as finished once its artifacts are on the disk, else as failed.

        Parameters
        ----------
        parent_run : the run that this one belongs under.
        tags : further tags, such as as_of and snapshot.
        again : a run whose artifacts were lost, to be written once more in its place.
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
            name = " ".join(filter(None, (key.surface, key.step, key.task, _name_release(known))))
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
        """Return the newest run of a step that finished with these inputs and whose evidence can be read."""
        wanted = {"surface": key.surface, "step": key.step, INPUTS: key.inputs}
        return next((run for run in self._recorded(wanted) if self.has_evidence(run)), None)

    def newest(self, surface: str, *, step: str, **tags: object) -> str | None:
        """Return the newest run of a step that finished and was recorded with these tags, if there is one."""
        return next(self.recorded(surface, step=step, **tags), None)

    def recorded(self, surface: str, *, step: str, **tags: object) -> Iterator[str]:
        """Yield every run of a step that finished and was recorded with these tags, newest first."""
        wanted = {"surface": surface, "step": step, **{name: str(value) for name, value in tags.items()}}
        yield from self._recorded(wanted)

    def requester(self, run_id: str) -> str:
        """Return who asked for a run: a person or a schedule of Airflow, else the account of its process."""
        return str(self.client.get_run(run_id).data.tags.get(_USER, ""))

    def set_requester(self, run_id: str, name: str) -> None:
        """Set who asked for a run."""
        self.client.set_tag(run_id, _USER, name)

    def finish(self, run_id: str) -> None:
        """Close a run whose step was killed when all of its work was done."""
        if self.client.get_run(run_id).info.status != "FINISHED":
            self.client.set_terminated(run_id, "FINISHED")

    def require(self, run_id: str) -> None:
        """Refuse the id of a parent run that the store does not hold."""
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
        """Return the surface's experiment, made where there is none."""
        found = self.client.get_experiment_by_name(surface)
        if found is None:
            for model in self.client.search_registered_models(f"name LIKE '{surface}.%'"):
                if model.name.split(".")[0] == surface:  # "_" stands for any character in LIKE
                    refuse_foreign("registered model", model.name, model.tags)
            location = None if self.artifacts is None else f"{self.artifacts}/{quote(surface)}"
            try:
                return str(
                    self.client.create_experiment(surface, artifact_location=location, tags=dict(OWN_TAGS))
                )
            except MlflowException as error:  # another process was first
                found = self.client.get_experiment_by_name(surface)
                if found is None:
                    raise StoreError(f"No MLflow experiment '{surface}' can be made: {error}") from error
        refuse_foreign("experiment", surface, found.tags, place=found.artifact_location)
        if found.lifecycle_stage != "active":
            raise StoreError(f"The MLflow experiment '{surface}' was deleted; restore it in MLflow.")
        return str(found.experiment_id)

    def log_metrics(self, run_id: str, values: Mapping[str, float], *, model_id: str | None = None) -> None:
        """Log metrics of a run, and of a model where one is given; what is not finite is left out."""
        now = int(time.time() * 1000)
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        metrics = [Metric(name, value, now, 0, model_id=model_id) for name, value in finite.items()]
        self.client.log_batch(run_id, metrics=metrics)

    def has_evidence(self, run_id: str) -> bool:
        """Return whether a run is recorded and its documents can be read; a warning names what is wrong.

        Changed documents count as readable: their reader refuses them.
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

    def has_text(self, run_id: str, path: str) -> bool:
        """Return whether a run wrote a text, by its record; raises StoreError without a record."""
        return path in self.records.require(run_id).files

    def read_text(self, run_id: str, path: str) -> str:
        """Read a text that a run wrote, as the home recorded it."""
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
        """Return the SVG pictures in a folder of a run's artifacts (default: the topmost), by path."""
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
        """Return where the artifacts of a run are, to read one of them."""
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


def _name_release(tags: Mapping[str, str]) -> str:
    """Name the release that a run is about; empty for a run of no release."""
    return f"release {tags['release']}" if "release" in tags else ""


def _read(repository: ArtifactRepository, run_id: str, path: str) -> str:
    try:
        return read_artifact(repository, path).decode()
    except (MlflowException, OSError, ValueError) as error:
        raise _unreadable(run_id, path, error) from error


def _unreadable(run_id: str, path: str, error: Exception) -> StoreError:
    return StoreError(f"Run {run_id} has no readable {path}: {error}. Run its step again.")


def _as_json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
