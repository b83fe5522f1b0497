"""The MLflow store of a home, for use by several processes at once, and reading of its artifacts.

::

    home/mlflow/mlflow.db     runs, registered models, aliases     (or the server at MLFLOW_TRACKING_URI)
    home/mlflow/artifacts/    files of runs and models
    home/mlflow/.lock         held while the database is created and during registrations
    home/mlflow/format        version of the home's format (tasks/stores/database.py)

Nothing is unpickled, and no telemetry is sent. MLflow's current URI is set only temporarily, because it
writes MLFLOW_TRACKING_URI, which would redirect later homes of the process to this one.
"""

import functools
import logging
import os
import shutil
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a command prints only its result
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")  # half a minute; Airflow retries the step
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from requests.exceptions import RequestException

from tasks.errors import StoreError
from tasks.settings import Settings
from tasks.stores.database import address_of, database_of, follow_home, is_made, is_passing, make_database
from tasks.stores.files import hold

P = ParamSpec("P")
R = TypeVar("R")
ATTEMPTS: Final = 8
CALLS: Final = (
    "create_experiment",
    "create_model_version",
    "create_registered_model",
    "create_run",
    "delete_logged_model",
    "delete_model_version",
    "delete_model_version_tag",
    "delete_registered_model_alias",
    "delete_registered_model_tag",
    "delete_run",
    "download_artifacts",
    "finalize_logged_model",
    "get_experiment",
    "get_experiment_by_name",
    "get_logged_model",
    "get_metric_history",
    "get_model_version",
    "get_registered_model",
    "get_run",
    "log_artifacts",
    "log_batch",
    "log_inputs",
    "log_metric",
    "log_model_artifacts",
    "log_outputs",
    "log_param",
    "log_table",
    "log_text",
    "search_logged_models",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_model_version_tag",
    "set_registered_model_alias",
    "set_registered_model_tag",
    "set_tag",
    "set_terminated",
    "update_model_version",
)
"""Calls that are retried while the database is locked: all that Equipoise makes."""
OWN_TAGS: Final = {"equipoise.made_by": "equipoise"}
"""Tags of every experiment and registered model that Equipoise creates."""
_QUIET: Final = {"mlflow": logging.ERROR, "mlflow.store.db.utils": logging.CRITICAL, "alembic": logging.ERROR}


class PatientClient(MlflowClient):
    """MLflow's client; the calls of `CALLS` wait while another process holds the database.

    MLflow retries requests to a server but not failed sqlite transactions. sqlite's own timeout cannot
    resolve two writers that both read before they write.
    """


def connect(home: Path) -> PatientClient:
    """Open the store of a home; creates its database if it is missing."""
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    uri = tracking_uri(home)
    try:
        return _open(uri, home)
    except OSError as error:
        raise StoreError(f"The MLflow store at {uri} cannot be opened or made: {error}") from error
    except (MlflowException, sqlite3.Error, *_database_errors()) as error:
        raise StoreError(
            f"The MLflow store at {uri} cannot be opened: {error}. Check the server, or move the database "
            "away or run `mlflow db upgrade` on it if another MLflow made it."
        ) from error


def _database_errors() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError  # not needed with a server

    return (SQLAlchemyError,)


def refuse_foreign(kind: str, name: str, tags: Mapping[str, str], *, place: str = "") -> None:
    """Refuse an experiment or a registered model that Equipoise did not create."""
    if OWN_TAGS.items() <= tags.items():
        return
    files = f", and its artifacts go to {place}" if place else ""
    ((tag, value),) = OWN_TAGS.items()
    raise StoreError(
        f"Something else made the MLflow {kind} '{name}'{files}. Rename it in MLflow, or set its tag "
        f"{tag} to {value} where it is meant to be used."
    )


def tracking_uri(home: Path) -> str:
    """Return MLFLOW_TRACKING_URI, else the sqlite database of a home."""
    return Settings().tracking_uri or _own_uri(home)


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Keep other processes on this machine out while the body runs."""
    with hold(home / "mlflow" / ".lock", doing="writing to the registry of this home"):
        yield


@contextmanager
def current(uri: str) -> Iterator[None]:
    """Set MLflow's current URI temporarily, because registering a logged model reads it."""
    before = Settings().tracking_uri
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def patient(call: Callable[P, R]) -> Callable[P, R]:
    """Retry a call that conflicts with another writer, with growing pauses.

    The wrapped call raises StoreError if the database stays locked, or the server is down or refuses access.
    """

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(ATTEMPTS):
            try:
                return call(*args, **kwargs)
            except RequestException as error:
                raise _away(error) from error
            except MlflowException as error:
                if _of_server(error):
                    raise _away(error) from error
                if not _passing(error):
                    raise
                last = error
            time.sleep(0.05 * 2**attempt)
        raise StoreError(f"The MLflow store stayed locked by another process: {last}. Run the step again.")

    return wrapped


for _call in CALLS:
    setattr(PatientClient, _call, patient(getattr(MlflowClient, _call)))


def _open(uri: str, home: Path) -> PatientClient:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="mlflow")
        if uri != _own_uri(home):
            return PatientClient(uri, uri)
        if not is_made(home):
            with exclusive(home):
                make_database(home)
        follow_home(home)
        address = address_of(home)
        return PatientClient(address, address)


def _of_server(error: MlflowException) -> bool:
    """Whether the server did not answer, had an internal error or rejected the login."""
    if isinstance(error, RestException) and not _passing(error):
        return bool(error.get_http_status_code() >= HTTPStatus.INTERNAL_SERVER_ERROR)
    return str(error).startswith(("API request to", "INTERNAL_ERROR: API request to"))


def _away(error: Exception) -> StoreError:
    return StoreError(
        f"The MLflow server is unreachable or refused the request: {error}. Check that it and its "
        "stores are up and that MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are right, then run "
        "the step again."
    )


def _passing(error: MlflowException) -> bool:
    """Whether the error is temporary: a locked database, or two writers of one unique key."""
    return is_passing(error) and (
        error.error_code == "TEMPORARILY_UNAVAILABLE" or "IntegrityError" in str(error)
    )


def _own_uri(home: Path) -> str:
    return f"sqlite:///{database_of(home)}"


def pages(search: Callable[..., Any]) -> Iterator[Any]:
    """Yield the entries of every page of a search, called with each ``page_token`` in turn."""
    token = None
    while token != "":
        page = search(page_token=token)
        yield from page
        token = page.token or ""


def is_served(uri: str) -> bool:
    """Whether a server hosts the store, which then chooses the location of artifacts."""
    return uri.startswith(("http://", "https://"))


def read_artifact(repository: ArtifactRepository, path: str) -> bytes:
    """Return the bytes of a file."""
    if isinstance(repository, LocalArtifactRepository):
        return Path(repository.download_artifacts(path)).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        return Path(repository.download_artifacts(path, folder)).read_bytes()


def read_artifacts(repository: ArtifactRepository) -> dict[str, bytes]:
    """Return the bytes of every file, by path."""
    if isinstance(repository, LocalArtifactRepository):
        return _read_below(Path(repository.artifact_dir))
    with tempfile.TemporaryDirectory(prefix="equipoise-part-") as folder:
        repository.download_artifacts("", folder)
        return _read_below(Path(folder))


def copy_artifacts(repository: ArtifactRepository, into: Path) -> None:
    """Copy every file to a folder, without permissions."""
    if not isinstance(repository, LocalArtifactRepository):
        repository.download_artifacts("", str(into))
        return
    for place, _, names in os.walk(repository.artifact_dir, onerror=_refuse):
        folder = into / Path(place).relative_to(repository.artifact_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(Path(place, name), folder / name)


def _read_below(folder: Path) -> dict[str, bytes]:
    files = (Path(place, name) for place, _, names in os.walk(folder, onerror=_refuse) for name in names)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def _refuse(error: OSError) -> None:
    raise error
