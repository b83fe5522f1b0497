"""The services of the profile `production`, wherever they run: on this machine or under Compose.

::

    postgres   redis   object-store              brought by the machine (debian.py) or by Compose's images
        └── prepare                              a job: databases, bucket, Airflow's schema, administrator
              ├── mlflow                         basic auth, on PostgreSQL, artifacts in the object store
              └── api-server  scheduler  dag-processor  triggerer  worker
                    └── users                    a job: the people's logins, in Airflow and in MLflow

`docker-compose.yml` says the same of each of these; a test holds the two to one another. No secret stands in
a command: they travel by environment, PostgreSQL's by the variables that libpq reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tasks.deploy.environment import airflow_variables
from tasks.deploy.logins import USERS
from tasks.deploy.services import Asked, Ended, Service, Web

BUCKET = "equipoise"
STORE = f"s3://{BUCKET}/store"
LOGS = f"s3://{BUCKET}/logs"
ARTIFACTS = f"s3://{BUCKET}/mlflow"
ACCOUNT = "equipoise"
"""The name of the steps' own account in PostgreSQL, the object store and MLflow: there the administrator."""

INFRASTRUCTURE = ("postgres", "redis", "object-store")


@dataclass(frozen=True)
class Places:
    """Where the services find one another and their files.

    Parameters
    ----------
    listen : address that web servers listen at.
    airflow, mlflow : addresses that the services use among themselves.
    airflow_page, mlflow_page : addresses that people open.
    """

    python: str
    repository: str
    home: str
    surfaces: str
    listen: str
    postgres_host: str
    postgres_port: int
    redis: str
    objects: str
    airflow: str
    airflow_port: int
    airflow_page: str
    mlflow: str
    mlflow_port: int
    mlflow_page: str


def services(places: Places, secrets: Mapping[str, str]) -> tuple[Service, ...]:
    """Describe every service that the project's own image runs."""
    shared, of_airflow = _shared(places, secrets), environment(places, secrets)
    return (
        _job(places, "prepare", {**of_airflow, **_passwords(secrets, "admin")}, after=INFRASTRUCTURE),
        _mlflow(places, {**shared, **_mlflow_server(places, secrets)}),
        *_airflow_parts(places, of_airflow),
        _worker(places, of_airflow),
        _job(places, "users", {**of_airflow, **_passwords(secrets, *USERS)}, after=("api-server", "mlflow")),
    )


def environment(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what Airflow's parts, a step, and so a command of a person, find in their environment."""
    return {**_shared(places, secrets), **_airflow(places, secrets), **_steps(places, secrets)}


def password_of(user: str) -> str:
    """Return the name of the variable that holds a person's password."""
    return f"{user.upper()}_PASSWORD"


def _host(address: str) -> str:
    return address.removeprefix("http://")


def _job(places: Places, name: str, surroundings: Mapping[str, str], *, after: tuple[str, ...]) -> Service:
    return Service(name, (places.python, "-m", f"tasks.deploy.{name}"), surroundings, Ended(), after)


def _airflow_parts(places: Places, surroundings: Mapping[str, str]) -> Iterator[Service]:
    """Describe Airflow's own parts; nobody serves logs, since all parts write them into one folder."""
    page = f"{places.airflow}/api/v2/monitor/health"
    words: Mapping[str, tuple[tuple[str, ...], str]] = {
        "api-server": ((), ""),
        "scheduler": (("--skip-serve-logs",), "scheduler"),
        "dag-processor": ((), "dag_processor"),
        "triggerer": (("--skip-serve-logs",), "triggerer"),
    }
    for name, (flags, named) in words.items():
        command = (places.python, "-m", "airflow", name, *flags)
        yield Service(name, command, surroundings, Web(page, named), ("prepare",))


def _worker(places: Places, surroundings: Mapping[str, str]) -> Service:
    flags = ("--skip-serve-logs", "--without-gossip", "--without-mingle")
    app = "airflow.providers.celery.executors.celery_executor.app"
    ping = (places.python, "-m", "celery", "--app", app, "inspect", "ping", "--timeout", "10")
    command = (places.python, "-m", "airflow", "celery", "worker", *flags)
    return Service("worker", command, surroundings, Asked(ping), ("prepare",))


def _mlflow(places: Places, surroundings: Mapping[str, str]) -> Service:
    command = (
        *(places.python, "-m", "mlflow", "server", "--app-name", "basic-auth"),
        *("--host", places.listen, "--port", str(places.mlflow_port), "--workers", "1"),
        *("--artifacts-destination", ARTIFACTS),
    )
    return Service("mlflow", command, surroundings, Web(f"{places.mlflow}/health"), ("prepare",))


def _shared(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    """Databases and object store, which every service of ours speaks to."""
    return {
        "PYTHONPATH": places.repository,
        "PYTHONUNBUFFERED": "1",
        "PGHOST": places.postgres_host,
        "PGPORT": str(places.postgres_port),
        "PGUSER": ACCOUNT,
        "PGPASSWORD": secrets["POSTGRES_PASSWORD"],
        "AWS_ENDPOINT_URL": places.objects,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": secrets["OBJECT_STORE_PASSWORD"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _steps(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        "EQUIPOISE_HOME": places.home,
        "EQUIPOISE_SURFACES": places.surfaces,
        "EQUIPOISE_STORE": STORE,
        "EQUIPOISE_LOGS": LOGS,
        "EQUIPOISE_MLFLOW_URL": places.mlflow_page,
        "MLFLOW_TRACKING_URI": places.mlflow,
        "MLFLOW_TRACKING_USERNAME": ACCOUNT,
        "MLFLOW_TRACKING_PASSWORD": secrets["MLFLOW_PASSWORD"],
        "OMP_WAIT_POLICY": "PASSIVE",  # two steps share the cores: a thread that waits must not spin
    }


def _mlflow_server(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2:///mlflow",
        "MLFLOW_AUTH_CONFIG_PATH": f"{places.repository}/tasks/deploy/mlflow_auth.ini",
        "MLFLOW_AUTH_ADMIN_USERNAME": ACCOUNT,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets["MLFLOW_PASSWORD"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets["MLFLOW_SECRET_KEY"],
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
            map(_host, dict.fromkeys((places.mlflow, places.mlflow_page)))
        ),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _airflow(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": f"{places.repository}/dags",
            "PLUGINS_FOLDER": f"{places.repository}/dags/plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "CeleryExecutor",
            "AUTH_MANAGER": "dags.login.NamedFabAuthManager",
            "EXECUTION_API_SERVER_URL": f"{places.airflow}/execution/",
            "FERNET_KEY": secrets["AIRFLOW_FERNET_KEY"],
        },
        "CELERY": {
            "BROKER_URL": f"redis://:{secrets['REDIS_PASSWORD']}@{places.redis}/0",
            "RESULT_BACKEND": "db+postgresql+psycopg2:///airflow",
            "WORKER_CONCURRENCY": 2,
        },
        "API": {
            "HOST": places.listen,
            "PORT": places.airflow_port,
            "BASE_URL": places.airflow_page,
            "WORKERS": 1,
            "SECRET_KEY": secrets["AIRFLOW_SECRET_KEY"],
        },
        "API_AUTH": {"JWT_SECRET": secrets["AIRFLOW_JWT_SECRET"]},
        "DATABASE": {"SQL_ALCHEMY_CONN": "postgresql+psycopg2:///airflow"},
        "DAG_PROCESSOR": {"PARSING_PROCESSES": 1},
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    return {"AIRFLOW_HOME": f"{places.home}/airflow", **airflow_variables(sections)}


def _passwords(secrets: Mapping[str, str], *users: str) -> dict[str, str]:
    return {password_of(user): secrets[password_of(user)] for user in users}
