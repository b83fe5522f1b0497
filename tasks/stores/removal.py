"""Permanent removal of a surface's runs, versions and logged models from MLflow.

::

    a version    files of its logged model removed -> logged model deleted -> version deleted
    a run        record in evidence/ removed -> files removed -> run deleted

After a killed removal, the next one finds the rest: a version or a run without files. Version numbers are
never reused. Deleted runs and logged models stay in MLflow's trash; `mlflow gc` removes those older than
`IN_BIN` from the database.
"""

import logging
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from mlflow.entities import LoggedModel, Run, ViewType
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from tasks.errors import StoreError
from tasks.stores.location import listing, locate
from tasks.stores.manifest import Part
from tasks.stores.store import Store
from tasks.stores.tracking import is_served, pages, tracking_uri

IN_BIN: Final = timedelta(days=30)
"""Time for which entities deleted by anyone in MLflow can still be viewed and restored."""
_PRUNED: Final = "equipoise.pruned"
"""Tag of a run with the instant of its deletion."""
_PAGE: Final = 1000


@dataclass(frozen=True)
class Inventory:
    """The MLflow entities of a surface.

    Parameters
    ----------
    runs, models : runs and logged models by id, without deleted ones.
    held : the registered version whose files each logged model contains.
    """

    store: Store
    runs: dict[str, Run]
    models: dict[str, LoggedModel]
    held: dict[str, Part]

    @classmethod
    def read(cls, store: Store, surface: str) -> "Inventory":
        """Read the current entities."""
        client, experiment = store.client, [store.runs.experiment_id(surface)]
        named = pages(lambda **page: client.search_registered_models(f"name LIKE '{surface}.%'", **page))
        names = [model.name for model in named if model.name.split(".")[0] == surface]
        parts = [part for name in names for part in store.registry.versions(name)]
        runs = pages(lambda **page: client.search_runs(experiment, max_results=_PAGE, **page))
        models = pages(lambda **page: client.search_logged_models(experiment, **page))
        return cls(
            store,
            {str(run.info.run_id): run for run in runs},
            {str(model.model_id): model for model in models},
            {store.registry.model_id(part): part for part in parts},
        )

    def began(self, run_id: str) -> datetime:
        """Return the start time of a run."""
        return _instant(self.runs[run_id].info.start_time)

    def made(self, model_id: str) -> datetime:
        """Return the creation time of a version, or of a logged model without a version."""
        if (part := self.held.get(model_id)) is not None:
            return self.store.registry.made_at(part)
        return _instant(self.models[model_id].creation_timestamp)

    def size_of_run(self, run_id: str) -> int:
        """Return the size in bytes of a run's artifacts and of the home's records of it."""
        records = listing(self.store.runs.records.folder / run_id, "*.json").values()
        return _size(self._open(self.runs[run_id].info.artifact_uri)) + sum(one.size for one in records)

    def size_of_model(self, model_id: str) -> int:
        """Return the size of a logged model in bytes; 0 if it is deleted."""
        if model_id not in self.models:
            return 0
        return _size(self._open(self.models[model_id].artifact_location))

    def remove_models(self, model_ids: Iterable[str]) -> None:
        """Remove logged models, and the versions whose files they contain."""
        client = self.store.client
        for model_id in model_ids:
            if model_id in self.models:
                self._remove_files(self.models[model_id].artifact_location)
                client.delete_logged_model(model_id)
            if (part := self.held.get(model_id)) is not None:
                client.delete_model_version(part.name, str(part.version))

    def remove_runs(self, run_ids: Iterable[str], *, now: datetime) -> None:
        """Remove runs and their records in the home."""
        for run_id in sorted(run_ids, key=self.began):
            records = self.store.runs.records.folder / run_id
            for name in listing(records, "*.json"):
                locate(name).unlink(missing_ok=True)
            if isinstance(records, Path):
                with suppress(OSError):
                    records.rmdir()
            self._remove_files(self.runs[run_id].info.artifact_uri)
            self.store.client.set_tag(run_id, _PRUNED, now.isoformat())
            self.store.client.delete_run(run_id)

    def _open(self, location: str) -> ArtifactRepository:
        return get_artifact_repository(location, self.store.client.tracking_uri)

    def _remove_files(self, location: str) -> None:
        repository = self._open(location)
        repository.delete_artifacts()
        if isinstance(repository, LocalArtifactRepository):
            with suppress(OSError):  # the folder may contain files of other programs
                Path(repository.artifact_dir).parent.rmdir()


def empty_bin(store: Store, surface: str, *, now: datetime) -> str:
    """Run `mlflow gc` on the home's own MLflow if a run of the surface was deleted long enough ago.

    Returns
    -------
    Remaining manual work: on a server, whose database this process does not open.
    """
    found = store.client.search_runs(
        [store.runs.experiment_id(surface)],
        f"tags.`{_PRUNED}` LIKE '%'",
        run_view_type=ViewType.DELETED_ONLY,
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if not found or now - datetime.fromisoformat(found[0].data.tags[_PRUNED]) < IN_BIN:
        return ""
    uri, age = tracking_uri(store.home), f"{IN_BIN.days}d"
    if is_served(uri):
        return f"Run `mlflow gc --older-than {age}` where the MLflow server runs: its bin is not empty"
    words = ["-m", "mlflow", "gc", "--older-than", age, "--backend-store-uri", uri, "--tracking-uri", uri]
    with store.registry.exclusive():
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [sys.executable, *words], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise StoreError(f"mlflow gc failed, run it again: {done.stderr.strip()[-500:]}")
    logging.getLogger("equipoise").info("mlflow gc removed what was deleted at least %s days ago", age[:-1])
    return ""


def _size(repository: ArtifactRepository, folder: str | None = None) -> int:
    total = 0
    for file in repository.list_artifacts(folder):
        total += _size(repository, file.path) if file.is_dir else int(file.file_size or 0)
    return total


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
