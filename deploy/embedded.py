"""The services of the profile `embedded`: Airflow and MLflow on sqlite and local files.

::

    airflow-db  mlflow-db                                  jobs: the databases, side by side
    mlflow                                                 MLflow's server
    api-server  scheduler  dag-processor  triggerer        Airflow
"""

import os
import sys

from deploy.airflow_parts import airflow_environment, describe_parts, site_here
from deploy.credentials import USERS, ensure_keys, passwords_file
from deploy.layout import HOST, Layout, inherited_environment
from deploy.services import Ended, Service, Web
from tasks.settings import REPOSITORY

_MAKE_STORE = (
    "import sys, pathlib; from tasks.stores.store import Store; Store.open(pathlib.Path(sys.argv[1])).client"
)


def describe_services(layout: Layout) -> tuple[Service, ...]:
    """Describe every service."""
    python, variables = sys.executable, environment(layout)
    return (
        Service(
            "airflow-db",
            (python, "-m", "airflow", "db", "migrate"),
            variables,
            Ended(makes=(layout.airflow / "airflow.db",)),
        ),
        Service(
            "mlflow-db",
            (python, "-c", _MAKE_STORE, str(layout.home)),
            variables,
            Ended(makes=(layout.home / "mlflow" / "mlflow.db",)),
        ),
        Service(
            "mlflow",
            (python, "-m", "mlflow", "server", *_mlflow_options(layout)),
            variables,
            Web(f"{layout.mlflow_url}/health"),
            after=("mlflow-db",),
        ),
        *describe_parts(site_here(layout), variables, after=("airflow-db",)),
    )


def environment(layout: Layout) -> dict[str, str]:
    """Return the whole environment of a part, a step or a command of this installation."""
    inherited = inherited_environment()
    return {
        **inherited,
        **_airflow(layout),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), inherited.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # two steps share the cores: a thread that waits must not spin
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "EQUIPOISE_HOME": str(layout.home),
        "EQUIPOISE_SURFACES": str(layout.surfaces),
        "EQUIPOISE_MLFLOW_URL": layout.mlflow_url,
        **layout.mark,
    }


def _airflow(layout: Layout) -> dict[str, str]:
    own: dict[str, dict[str, object]] = {
        "CORE": {
            "EXECUTOR": "dags.executor.PreloadingLocalExecutor",
            "PARALLELISM": 2,
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords_file(layout.airflow),
        },
        "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{layout.airflow / 'airflow.db'}"},
    }
    return airflow_environment(site_here(layout), ensure_keys(layout.airflow), own)


def _mlflow_options(layout: Layout) -> tuple[str, ...]:
    artifacts = (layout.home / "mlflow/artifacts").as_uri()
    return (
        *("--backend-store-uri", layout.mlflow_store),
        *("--no-serve-artifacts", "--default-artifact-root", artifacts),
        *("--host", HOST, "--port", str(layout.mlflow_port), "--workers", "1"),
    )
