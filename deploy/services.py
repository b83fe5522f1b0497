"""The services of `make up` as data: Airflow and MLflow on sqlite and local files.

::

    airflow-db  mlflow-db                                  jobs: each makes a database
    mlflow                                                 MLflow's server
    api-server  scheduler  dag-processor  triggerer        Airflow

``airflow standalone`` is not used: its triggerer serves logs on every address of the machine, and it
neither notices a component that ends nor stops its components when it is asked to end.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import requests

from deploy.credentials import USERS, ensure_keys, passwords_file
from deploy.layout import HOST, Layout, inherited_environment
from tasks.settings import REPOSITORY

DIRECT = requests.Session()
"""Speaks to the services of this machine, which are never behind a proxy."""
DIRECT.trust_env = False
DIRECT.headers["Connection"] = "close"  # a service that is being stopped does not wait for this client

_COMPONENTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "api-server": (("airflow", "api-server"), ""),
    "scheduler": (("dags.scheduler", "--skip-serve-logs"), "scheduler"),
    "dag-processor": (("airflow", "dag-processor"), "dag_processor"),
    "triggerer": (("airflow", "triggerer", "--skip-serve-logs"), "triggerer"),
}
"""Airflow's components: module, options, and their key on the health page. All write logs into one folder."""
_LOCKED = 60
"""Seconds that a part of Airflow waits for the write of another one; a backfill needs more than five."""
_REPARSED = 120
"""Seconds after which the DAG files are parsed again. Airflow's default of 30 keeps a tenth of a core busy in
an idle installation. Steps read the contracts themselves; only new and changed DAGs are shown later."""
_MAKE_STORE = (
    "import sys, pathlib; from tasks.stores.store import Store; Store.open(pathlib.Path(sys.argv[1])).client"
)


@dataclass(frozen=True)
class Web:
    """Ready when an address answers with success and, with ``part``, Airflow calls that component healthy."""

    url: str
    part: str = ""

    def answers(self) -> bool:
        """Ask once."""
        try:
            page = DIRECT.get(self.url, timeout=60)
            parts = page.json() if self.part else {}
        except requests.RequestException:
            return False
        healthy = not self.part or (parts.get(self.part) or {}).get("status") == "healthy"
        return healthy and page.status_code == HTTPStatus.OK


@dataclass(frozen=True)
class Service:
    """One process.

    Parameters
    ----------
    ready : how it is asked; None for a job, which is ready when it has ended with 0.
    after : jobs that must have ended before this service starts.
    makes : file of a job; while it is there the job is left out.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ready: Web | None = None
    after: tuple[str, ...] = ()
    makes: Path | None = None

    @property
    def is_job(self) -> bool:
        """Whether it ends by itself."""
        return self.ready is None


def describe_services(layout: Layout) -> tuple[Service, ...]:
    """Describe every service, in an order in which they can start."""
    return tuple(_describe(layout, environment(layout)))


def environment(layout: Layout) -> dict[str, str]:
    """Return the whole environment of a service, a step or a command of this installation."""
    inherited = inherited_environment()
    return {
        **inherited,
        **_airflow_settings(layout),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), inherited.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # two steps share the cores: a thread that waits must not spin
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "EQUIPOISE_HOME": str(layout.home),
        "EQUIPOISE_SURFACES": str(layout.surfaces),
        "EQUIPOISE_MLFLOW_URL": layout.mlflow_url,
        "EQUIPOISE_REQUIRE_VERIFIED": "1",
        **layout.mark,
    }


def _describe(layout: Layout, variables: Mapping[str, str]) -> Iterator[Service]:
    python, health = sys.executable, f"{layout.airflow_url}/api/v2/monitor/health"
    migrate = (python, "-m", "airflow", "db", "migrate")
    yield Service("airflow-db", migrate, variables, makes=layout.airflow / "airflow.db")
    make_store = (python, "-c", _MAKE_STORE, str(layout.home))
    yield Service("mlflow-db", make_store, variables, makes=layout.database)
    server = (
        *(python, "-m", "mlflow", "server", "--host", HOST, "--port", str(layout.mlflow_port)),
        *("--workers", "1", "--backend-store-uri", layout.mlflow_store),
        *("--no-serve-artifacts", "--default-artifact-root", (layout.home / "mlflow/artifacts").as_uri()),
    )
    yield Service("mlflow", server, variables, Web(f"{layout.mlflow_url}/health"), ("mlflow-db",))
    # a page of Equipoise reports soon that MLflow is away; a step waits longer
    pages = {**variables, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    for name, (command, part) in _COMPONENTS.items():
        own = pages if name == "api-server" else variables
        yield Service(name, (python, "-m", *command), own, Web(health, part), ("airflow-db",))


def _airflow_settings(layout: Layout) -> dict[str, str]:
    keys = ensure_keys(layout.airflow)
    settings: Mapping[str, object] = {
        "CORE__DAGS_FOLDER": REPOSITORY / "dags",
        "CORE__PLUGINS_FOLDER": REPOSITORY / "dags/plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTION_API_SERVER_URL": f"{layout.airflow_url}/execution/",
        "CORE__FERNET_KEY": keys["fernet"],
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 2,
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords_file(layout.airflow),
        "API__HOST": HOST,
        "API__PORT": layout.airflow_port,
        "API__BASE_URL": layout.airflow_url,
        "API__WORKERS": 1,
        "API__SECRET_KEY": keys["session"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": _REPARSED,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{layout.airflow / 'airflow.db'}?timeout={_LOCKED}",
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    named = {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
    return {"AIRFLOW_HOME": str(layout.airflow), **named}
