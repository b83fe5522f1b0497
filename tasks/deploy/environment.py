"""What a part finds in its environment: Airflow's settings and MLflow's, and none of the shell's own."""

import os
from collections.abc import Mapping

from tasks.deploy.layout import HOST, MARK, Layout
from tasks.deploy.logins import USERS, ensure_keys, passwords_file
from tasks.settings import REPOSITORY


def surroundings(*without: str) -> dict[str, str]:
    """Return the shell's environment with a way past any proxy.

    Parameters
    ----------
    without : beginnings of further names to leave out, beside Airflow's and MLflow's.
    """
    strange = ("AIRFLOW", "MLFLOW_", "_AIRFLOW", *without)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), HOST)))
    return {**inherited, "NO_PROXY": direct, "no_proxy": direct}


def environment(layout: Layout) -> dict[str, str]:
    """Return the whole environment of a part, a step or a command of this installation."""
    return {
        **surroundings(),
        **_airflow(layout),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # two steps share the cores: a thread that waits must not spin
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "EQUIPOISE_HOME": str(layout.home),
        "EQUIPOISE_SURFACES": str(layout.surfaces),
        "EQUIPOISE_MLFLOW_URL": layout.mlflow_url,
        MARK: str(layout.home),
    }


def _airflow(layout: Layout) -> dict[str, str]:
    keys = ensure_keys(layout.airflow)
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": REPOSITORY / "dags",
            "PLUGINS_FOLDER": REPOSITORY / "dags" / "plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": 2,
            "EXECUTION_API_SERVER_URL": f"{layout.airflow_url}/execution/",
            "FERNET_KEY": keys["fernet"],
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords_file(layout.airflow),
        },
        "API": {
            "HOST": HOST,
            "PORT": layout.airflow_port,
            "BASE_URL": layout.airflow_url,
            "WORKERS": 1,
            "SECRET_KEY": keys["session"],
        },
        "API_AUTH": {"JWT_SECRET": keys["jwt"]},
        "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{layout.airflow / 'airflow.db'}"},
        "DAG_PROCESSOR": {"PARSING_PROCESSES": 1},
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    return {"AIRFLOW_HOME": str(layout.airflow), **airflow_variables(sections)}


def airflow_variables(sections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Write Airflow's settings, by section and key, as the variables that it reads.

    Examples
    --------
    >>> airflow_variables({"API": {"PORT": 8080}})
    {'AIRFLOW__API__PORT': '8080'}
    """
    return {
        f"AIRFLOW__{section}__{key}": str(value)
        for section, values in sections.items()
        for key, value in values.items()
    }
