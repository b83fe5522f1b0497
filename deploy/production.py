"""The services of the profile `production`, wherever they run: on this machine or under Compose.

::

    postgres   redis   object-store              brought by the machine (debian.py) or by Compose's images
        └── prepare                              a job: databases, bucket, Airflow's schema, administrator
              ├── mlflow                         basic auth, on PostgreSQL, artifacts in the object store
              └── api-server  scheduler  dag-processor  triggerer  worker
                    └── users                    a job: the people's logins, in Airflow and in MLflow

No secret is part of a command: secrets travel by environment, PostgreSQL's by the variables that libpq reads.
`compose.py` writes the same services into docker-compose.yml.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.airflow_parts import Site, airflow_environment, describe_parts, site_here
from deploy.credentials import ACCOUNT, USERS, password_of
from deploy.layout import HOST, Layout
from deploy.services import Asked, Ended, Service, Web

BUCKET = "equipoise"
STORE = f"s3://{BUCKET}/store"
LOGS = f"s3://{BUCKET}/logs"
ARTIFACTS = f"s3://{BUCKET}/mlflow"

INFRASTRUCTURE = ("postgres", "redis", "object-store")


@dataclass(frozen=True)
class Places:
    """Where the services find one another and their files.

    Parameters
    ----------
    airflow : what Airflow's parts need to know.
    mlflow : address that the services use among themselves; ``mlflow_page`` is the one that people open.
    """

    airflow: Site
    surfaces: str
    postgres_host: str
    postgres_port: int
    redis: str
    objects: str
    mlflow: str
    mlflow_port: int
    mlflow_page: str


def places_here(layout: Layout) -> Places:
    """Return the places of an installation on this machine."""
    ports = layout.ports
    return Places(
        airflow=site_here(layout),
        surfaces=str(layout.surfaces),
        postgres_host=HOST,
        postgres_port=ports["postgres"],
        redis=f"{HOST}:{ports['redis']}",
        objects=f"http://{HOST}:{ports['object-store']}",
        mlflow=layout.mlflow_url,
        mlflow_port=layout.mlflow_port,
        mlflow_page=layout.mlflow_url,
    )


def describe_services(places: Places, secrets: Mapping[str, str]) -> tuple[Service, ...]:
    """Describe every service that the project's own image runs."""
    shared, steps = shared_environment(places, secrets), environment(places, secrets)
    return (
        _job(places, "prepare", {**steps, **_passwords(secrets, "admin")}, after=INFRASTRUCTURE),
        _mlflow(places, {**shared, **_mlflow_server(places, secrets)}),
        *describe_parts(places.airflow, steps, after=("prepare",)),
        _worker(places, steps),
        _job(places, "users", {**steps, **_passwords(secrets, *USERS)}, after=("api-server", "mlflow")),
    )


def environment(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what Airflow's parts, a step, and so a command of a person, find in their environment."""
    return {
        **shared_environment(places, secrets),
        **_airflow(places, secrets),
        "EQUIPOISE_HOME": places.airflow.home,
        "EQUIPOISE_SURFACES": places.surfaces,
        "EQUIPOISE_STORE": STORE,
        "EQUIPOISE_LOGS": LOGS,
        "EQUIPOISE_MLFLOW_URL": places.mlflow_page,
        "MLFLOW_TRACKING_URI": places.mlflow,
        "MLFLOW_TRACKING_USERNAME": ACCOUNT,
        "MLFLOW_TRACKING_PASSWORD": secrets["MLFLOW_PASSWORD"],
        "OMP_WAIT_POLICY": "PASSIVE",  # two steps share the cores: a thread that waits must not spin
    }


def _job(places: Places, name: str, variables: Mapping[str, str], *, after: tuple[str, ...]) -> Service:
    return Service(name, (places.airflow.python, "-m", "deploy.jobs", name), variables, Ended(), after)


def _worker(places: Places, variables: Mapping[str, str]) -> Service:
    flags = ("--skip-serve-logs", "--without-gossip", "--without-mingle")
    app = "airflow.providers.celery.executors.celery_executor.app"
    ping = (places.airflow.python, "-m", "celery", "--app", app, "inspect", "ping", "--timeout", "10")
    command = (places.airflow.python, "-m", "airflow", "celery", "worker", *flags)
    return Service("worker", command, variables, Asked(ping), ("prepare",))


def _mlflow(places: Places, variables: Mapping[str, str]) -> Service:
    command = (
        *(places.airflow.python, "-m", "mlflow", "server", "--app-name", "basic-auth"),
        *("--host", places.airflow.listen, "--port", str(places.mlflow_port), "--workers", "1"),
        *("--artifacts-destination", ARTIFACTS),
    )
    return Service("mlflow", command, variables, Web(f"{places.mlflow}/health"), ("prepare",))


def shared_environment(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    """Databases and object store, which every service of ours speaks to."""
    return {
        "PYTHONPATH": places.airflow.repository,
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


def _mlflow_server(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2:///mlflow",
        "MLFLOW_AUTH_CONFIG_PATH": f"{places.airflow.repository}/deploy/mlflow_auth.ini",
        "MLFLOW_AUTH_ADMIN_USERNAME": ACCOUNT,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets["MLFLOW_PASSWORD"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets["MLFLOW_SECRET_KEY"],
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
            url.removeprefix("http://") for url in dict.fromkeys((places.mlflow, places.mlflow_page))
        ),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _airflow(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    own: dict[str, dict[str, object]] = {
        "CORE": {"EXECUTOR": "CeleryExecutor", "AUTH_MANAGER": "dags.login.NamedFabAuthManager"},
        "CELERY": {
            "BROKER_URL": f"redis://:{secrets['REDIS_PASSWORD']}@{places.redis}/0",
            "RESULT_BACKEND": "db+postgresql+psycopg2:///airflow",
            "WORKER_CONCURRENCY": 2,
            "CELERY_CONFIG_OPTIONS": "dags.celery_options.OPTIONS",
        },
        "DATABASE": {"SQL_ALCHEMY_CONN": "postgresql+psycopg2:///airflow"},
    }
    return airflow_environment(places.airflow, secrets, own)


def _passwords(secrets: Mapping[str, str], *users: str) -> dict[str, str]:
    return {password_of(user): secrets[password_of(user)] for user in users}
