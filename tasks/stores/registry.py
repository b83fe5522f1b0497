"""Registered models: task models, calibrators, policies and releases, identified by their bytes.

::

    <surface>.task.<task>         LightGBM text and its encoder    MLflow's lightgbm flavour
    <surface>.calibrator.<task>   JSON                             a logged model without a flavour
    <surface>.utility_policy, <surface>.slate_policy               JSON
    <surface>.release                                              a pyfunc that includes its code

A version stores the sha256 of its files, which is checked whenever they are fetched. Equal bytes from equal
inputs are registered once: a killed step that runs again finds its version or creates it. The home records
each registration beforehand (`runs.py`), and only recorded versions are found by tags.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import mlflow
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.errors import ContractError, StoreError, unknown
from tasks.stores.files import flush_uri, write_files
from tasks.stores.manifest import Part, drop_caches, files_sha256, folder_sha256, without_caches
from tasks.stores.runs import INPUTS, Record, Runs
from tasks.stores.tracking import (
    OWN_TAGS,
    PatientClient,
    copy_artifacts,
    current,
    exclusive,
    pages,
    patient,
    read_artifacts,
    refuse_foreign,
)

SHA256: Final = "sha256"
_LOGGED: Final = "models:/"


@dataclass(frozen=True)
class NewVersion:
    """A new version: the registered model's ``name``, the run that created it, and the tags to find it by."""

    name: str
    run_id: str
    model_type: str
    tags: Mapping[str, str]
    params: Mapping[str, object] = field(default_factory=dict)


def log_folder(client: PatientClient, new: NewVersion, folder: Path) -> str:
    """Store a folder's files as a finished logged model and return its id; its name allows no dots."""
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


def make_model(client: PatientClient, name: str, tags: Mapping[str, str] = MappingProxyType({})) -> None:
    """Create a registered model with these tags if it does not exist."""
    try:
        client.create_registered_model(name, tags={**OWN_TAGS, **tags})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        refuse_foreign("registered model", name, client.get_registered_model(name).tags)


def create_version(client: PatientClient, new: NewVersion, model_id: str) -> Any:
    """Create MLflow's version of a logged model with its tags in one transaction."""
    make_model(client, new.name)
    with current(client.tracking_uri):
        return client.create_model_version(
            new.name, f"{_LOGGED}{model_id}", run_id=new.run_id, tags=dict(new.tags), model_id=model_id
        )


def link_output(client: PatientClient, run_id: str, model_id: str) -> None:
    """Record that a run created a logged model; MLflow refuses to record it twice."""
    made = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (made.model_outputs if made else ())}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def logged_model_of(part: Part, source: str) -> str:
    """Return the id of the logged model with a version's files."""
    if not source.startswith(_LOGGED):
        raise StoreError(f"{part} was registered by something else: its source is {source}.")
    return source.removeprefix(_LOGGED)


_LOG = logging.getLogger("equipoise")
_LARGEST: Final = 2**31 - 1
"""Largest version number that a 32-bit column holds."""


@dataclass(frozen=True)
class Registry:
    """The registered models of a home (or of the server at MLFLOW_TRACKING_URI).

    Parameters
    ----------
    client : the open MLflow store.
    runs : the runs that registered versions.
    home : folder of the lock that is held during registration.
    """

    client: PatientClient
    runs: Runs
    home: Path
    _seen: dict[tuple[str, int], Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """MLflow's versions by name and number, for facts that never change: source, run and creation time."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Prevent other processes on this machine from registering and from updating aliases."""
        return exclusive(self.home)

    def register(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        run_id: str,
        tags: Mapping[str, object],
        model_type: str,
        params: Mapping[str, object] | None = None,
    ) -> Part:
        """Register files as a version, or return the existing version with these files.

        Parameters
        ----------
        name : registered model, such as ``home_feed.calibrator.click_30m``.
        files : contents by relative path.
        run_id : the run that created them; it is linked to the version.
        tags : the inputs of the version; with ``equipoise.inputs``, only a version with exactly these inputs
            is reused.
        """
        known = {key: str(value) for key, value in tags.items()}
        known[SHA256] = files_sha256(files)
        identity = {key: value for key, value in known.items() if key in {SHA256, INPUTS}}
        new = NewVersion(name, run_id, model_type, known, params or {})
        with self.exclusive():
            self.runs.records.write(run_id, Record(known, {}), of=name)
            part = self._first(name, identity)
            if part is None:
                part = self._keep_earliest(self._create(new, files), identity)
            elif not self._has_its_bytes(part):
                self._write_again(part, files)
            link_output(self.client, run_id, self.model_id(part))
        return part

    def log_metrics(self, part: Part, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log a run's metrics for the version's model, if there are any."""
        if metrics:
            self.runs.log_metrics(run_id, metrics, model_id=self.model_id(part))

    def find(self, name: str, tags: Mapping[str, str]) -> Part | None:
        """Return the newest version that the home recorded with all of these tags."""
        return max(self._recorded(name, tags), key=lambda part: part.version, default=None)

    def recorded_tags(self, part: Part) -> Mapping[str, str]:
        """Return the tags that a version was registered with, from the home's record.

        Returns
        -------
        Empty if no record confirms that its run registered exactly these bytes.
        """
        record = self.runs.records.read(self.run_id(part), of=part.name)
        return record.tags if record is not None and record.tags.get(SHA256) == part.sha256 else {}

    def find_lost_run(self, name: str, tags: Mapping[str, str]) -> str | None:
        """Return the run of a damaged version with these tags, to be completed in place.

        A run that the home recorded for other inputs is ignored, since the version's tags were copied.
        """
        for part in map(self._part_of, self._search(_having(name, tags))):
            records = [self.runs.records.read(self.run_id(part), of=of) for of in (name, "run")]
            if all(record is None or record.carries(tags) for record in records):
                return self.run_id(part)
        return None

    def having(self, name: str, tags: Mapping[str, str]) -> list[int]:
        """Return every version with all of these tags, oldest first."""
        return sorted(int(found.version) for found in self._search(_having(name, tags)))

    def versions(self, name: str) -> tuple[Part, ...]:
        """Return every version of a model, newest first."""
        parts = map(self._part_of, self._search(_having(name, {})))
        return tuple(sorted(parts, key=lambda part: -part.version))

    def part(self, name: str, version: int) -> Part:
        """Return a version."""
        return self._part_of(self._version(name, version))

    def resolve(self, name: str, ref: str) -> Part:
        """Return the version for a reference: digits are a version, anything else is an alias."""
        if ref.isdecimal():
            return self.part(name, int(ref))
        aliases = self.aliases(name)
        if ref not in aliases:
            raise ContractError(unknown("alias", ref, aliases, where=name))
        return self.part(name, aliases[ref])

    def files(self, part: Part) -> dict[str, bytes]:
        """Read a version's files by path, and verify them with the digest; raises as `fetch`."""
        location = self._location(part)
        try:
            files = without_caches(read_artifacts(self._artifacts(location)))
        except (MlflowException, OSError) as error:
            raise StoreError(f"The files of {part} cannot be read: {error}") from error
        _refuse_other_bytes(part, files_sha256(files))
        return files

    def fetch(self, part: Part, folder: Path) -> Path:
        """Copy a version's files to a folder and verify them with the digest."""
        location = self._location(part)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copy_artifacts(self._artifacts(location), folder)
        except (MlflowException, OSError) as error:
            raise StoreError(f"The files of {part} cannot be read: {error}") from error
        drop_caches(folder)
        _refuse_other_bytes(part, folder_sha256(folder))
        return folder

    def is_whole(self, part: Part) -> bool:
        """Return whether a version's files and its run's evidence are readable and unaltered."""
        return self._has_its_bytes(part) and self.runs.has_evidence(self.run_id(part))

    def tags(self, part: Part) -> dict[str, str]:
        """Return the tags of a version."""
        return dict(self._version(part.name, part.version).tags)

    def set_tags(self, part: Part, tags: Mapping[str, object]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(part.name, str(part.version), key, str(value))

    def describe(self, part: Part, description: str) -> None:
        """Set the Markdown description of a version."""
        self.client.update_model_version(part.name, str(part.version), description=description)

    def description(self, part: Part) -> str:
        """Return the description of a version."""
        return str(self._version(part.name, part.version).description or "")

    def run_id(self, part: Part) -> str:
        """Return the run that created a version."""
        return str(self._origin(part).run_id)

    def made_at(self, part: Part) -> datetime:
        """Return the time at which a version was registered."""
        return datetime.fromtimestamp(self._origin(part).creation_timestamp / 1000, UTC)

    def model_id(self, part: Part) -> str:
        """Return the logged model with a version's files."""
        return logged_model_of(part, str(self._origin(part).source))

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version by alias; empty if the model is not registered yet."""
        return self.tags_and_aliases(name)[1]

    def set_alias(self, part: Part, alias: str) -> None:
        """Set an alias to this version."""
        self.client.set_registered_model_alias(part.name, alias, str(part.version))
        held = self.aliases(part.name).get(alias)
        if held != part.version:
            raise StoreError(
                f"Alias {alias} of {part.name} was moved to {held} meanwhile, not to {part.version}. Run the "
                "step again, and let only one process update aliases."
            )

    def delete_alias(self, name: str, alias: str) -> None:
        """Delete an alias; a missing alias is no error."""
        if alias in self.aliases(name):
            self.client.delete_registered_model_alias(name, alias)

    def delete_tag(self, part: Part, tag: str) -> None:
        """Delete a tag of a version, if it exists."""
        if tag in self.tags(part):
            self.client.delete_model_version_tag(part.name, str(part.version), tag)

    def model_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a registered model; empty if it is not registered yet."""
        return self.tags_and_aliases(name)[0]

    def tags_and_aliases(self, name: str) -> tuple[dict[str, str], dict[str, int]]:
        """Return the tags of a registered model and the version by alias, from one read."""
        try:
            found = self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}, {}
            raise
        return dict(found.tags), {alias: int(version) for alias, version in found.aliases.items()}

    def set_model_tag(self, name: str, tag: str, value: str) -> None:
        """Set a tag of a registered model."""
        self.client.set_registered_model_tag(name, tag, value)

    def delete_model_tag(self, name: str, tag: str) -> None:
        """Delete a tag of a registered model, if it exists."""
        self.client.delete_registered_model_tag(name, tag)

    def _location(self, part: Part) -> str:
        """Return the location of a version's files; raises StoreError if its logged model was deleted."""
        try:
            return str(self.client.get_logged_model(self.model_id(part)).artifact_location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise StoreError(
                f"The logged model of {part} was deleted in MLflow. Restore it from a backup, or delete the "
                "version in MLflow and make it again."
            ) from error

    def _artifacts(self, location: str) -> ArtifactRepository:
        return get_artifact_repository(location, self.client.tracking_uri)

    def _create(self, new: NewVersion, files: Mapping[str, bytes]) -> Part:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), files)
            model_id = log_folder(self.client, new, Path(folder))
        return self._part_of(create_version(self.client, new, model_id))

    def _has_its_bytes(self, part: Part) -> bool:
        try:
            self.files(part)
        except StoreError as error:
            _LOG.warning("%s is lost or torn, so it is made again: %s", part, error)
            return False
        return True

    def _write_again(self, part: Part, files: Mapping[str, bytes]) -> None:
        """Restore lost files of a version with exactly the same bytes."""
        location = self._location(part)
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), files)
            self._artifacts(location).log_artifacts(folder)
        flush_uri(location)

    def _first(self, name: str, identity: Mapping[str, str]) -> Part | None:
        return min(self._recorded(name, identity), key=lambda part: part.version, default=None)

    def _recorded(self, name: str, tags: Mapping[str, str]) -> Iterator[Part]:
        """Yield the versions that the home recorded with all of these tags."""
        found = map(self._part_of, self._search(_having(name, tags)))
        return (part for part in found if tags.items() <= self.recorded_tags(part).items())

    def _keep_earliest(self, made: Part, identity: Mapping[str, str]) -> Part:
        """Return the earliest version of an identity, and delete this version if another was first.

        Another machine may have registered it at the same time, or a request was repeated after a lost
        response. Every writer sees the earliest version, so all keep that version and delete their own.
        """
        first = self._first(made.name, identity)
        if first is None or first.version >= made.version:
            return made
        self.client.delete_model_version(made.name, str(made.version))
        return first

    def _part_of(self, version: Any) -> Part:
        """Convert MLflow's version to a part, and remember its origin."""
        self._seen[version.name, int(version.version)] = version
        part = Part(version.name, int(version.version), version.tags.get(SHA256, ""))
        if not part.sha256:
            raise StoreError(f"{part} carries no sha256: it was not registered by Equipoise.")
        return part

    def _origin(self, part: Part) -> Any:
        """Return MLflow's version, of which only facts that never change may be read."""
        return self._seen.get((part.name, part.version)) or self._version(part.name, part.version)

    def _search(self, query: str) -> Iterator[Any]:
        return pages(partial(self.client.search_model_versions, query))

    def _version(self, name: str, version: int) -> Any:
        try:
            return self.client.get_model_version(name, str(version))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST" and version <= _LARGEST:
                raise
            known = [str(part.version) for part in self.versions(name)]
            raise ContractError(unknown("version", str(version), known, where=name)) from None


def _refuse_other_bytes(part: Part, found: str) -> None:
    if found != part.sha256:
        raise StoreError(
            f"{part} holds other bytes than were registered: sha256 {found}, registered {part.sha256}. "
            "Nothing of it was used. Restore the artifact store, or delete the version and make it again."
        )


def _having(name: str, tags: Mapping[str, str]) -> str:
    return " and ".join((f"name = '{name}'", *(f"tags.`{key}` = '{value}'" for key, value in tags.items())))


def mark_overridden(description: str, override: str) -> str:
    """Prepend the override under which a release serves to its description, once.

    Examples
    --------
    >>> marked = mark_overridden("The gates say hold.", "a fire sale (lead lifts decision block: click_rate)")
    >>> marked.splitlines()[0]
    '**Overridden**: a fire sale (lead lifts decision block: click_rate)'
    >>> mark_overridden(marked, "a fire sale (lead lifts decision block: click_rate)") == marked
    True
    """
    first = f"**Overridden**: {override}"
    if not override or description.startswith(first):
        return description
    return f"{first}\n\n{description}"
