"""The services of the profile `embedded`: Airflow and MLflow on sqlite and local files.

::

    airflow-db  mlflow-db                                  jobs: the databases, side by side
    mlflow                                                 MLflow's server
    api-server  scheduler  dag-processor  triggerer        Airflow
"""

import sys

from tasks.deploy.environment import environment
from tasks.deploy.layout import HOST, Layout
from tasks.deploy.services import Ended, Service, Web

_MAKE_STORE = (
    "import sys, pathlib; from tasks.stores.tracking import connect; connect(pathlib.Path(sys.argv[1]))"
)


def services(layout: Layout) -> tuple[Service, ...]:
    """Describe every service."""
    airflow, surroundings = (sys.executable, "-m", "airflow"), environment(layout)
    healthy = f"{layout.airflow_url}/api/v2/monitor/health"
    parts = {
        "api-server": (("api-server",), Web(healthy)),
        "scheduler": (("scheduler", "--skip-serve-logs"), Web(healthy, "scheduler")),
        "dag-processor": (("dag-processor",), Web(healthy, "dag_processor")),
        "triggerer": (("triggerer", "--skip-serve-logs"), Web(healthy, "triggerer")),
    }
    return (
        Service(
            "airflow-db",
            (*airflow, "db", "migrate"),
            surroundings,
            Ended(makes=(layout.airflow / "airflow.db",)),
        ),
        Service(
            "mlflow-db",
            (sys.executable, "-c", _MAKE_STORE, str(layout.home)),
            surroundings,
            Ended(makes=(layout.home / "mlflow" / "mlflow.db",)),
        ),
        Service(
            "mlflow",
            (sys.executable, "-m", "mlflow", "server", *_mlflow_options(layout)),
            surroundings,
            Web(f"{layout.mlflow_url}/health"),
            after=("mlflow-db",),
        ),
        *(
            Service(name, (*airflow, *words), surroundings, ready, after=("airflow-db",))
            for name, (words, ready) in parts.items()
        ),
    )


def _mlflow_options(layout: Layout) -> tuple[str, ...]:
    artifacts = (layout.home / "mlflow/artifacts").as_uri()
    return (
        *("--backend-store-uri", layout.mlflow_store),
        *("--no-serve-artifacts", "--default-artifact-root", artifacts),
        *("--host", HOST, "--port", str(layout.mlflow_port), "--workers", "1"),
    )
