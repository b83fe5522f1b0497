"""The two ways of running the parts on this machine, each as data.

::

    embedded      sqlite, local files, Airflow's simple logins            make up
    production    PostgreSQL, Redis, S3, Celery, FAB, MLflow with auth    make up PROFILE=production

A profile has a home of its own: `production` lies below that of `embedded`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.deploy import debian, embedded, production
from tasks.deploy.environment import environment, surroundings
from tasks.deploy.layout import HOST, MARK, Layout
from tasks.deploy.logins import ensure_keys, ensure_passwords, ensure_secrets
from tasks.deploy.production import Places
from tasks.deploy.services import Service
from tasks.settings import REPOSITORY


@dataclass(frozen=True)
class Profile:
    """One way of running the parts.

    Parameters
    ----------
    services : describes every service of an installation, in an order in which they can start.
    environment : what a step or a command of that installation finds in its environment.
    says : how people log in to MLflow.
    down : what stops it.
    """

    services: Callable[[Layout], tuple[Service, ...]]
    environment: Callable[[Layout], dict[str, str]]
    says: str
    down: str


def profile_of(layout: Layout) -> Profile:
    """Return the profile of an installation."""
    return PROFILES[layout.profile]


def services_of(layout: Layout) -> tuple[Service, ...]:
    """Describe every service of an installation."""
    return profile_of(layout).services(layout)


def _production_services(layout: Layout) -> tuple[Service, ...]:
    secrets, shared = secrets_of(layout), _around(layout)
    ours = production.services(_places(layout), secrets)
    return (
        *debian.infrastructure(layout, secrets, shared),
        *(_with(service, shared) for service in ours),
    )


def _production_environment(layout: Layout) -> dict[str, str]:
    return {**_around(layout), **production.environment(_places(layout), secrets_of(layout))}


def _around(layout: Layout) -> dict[str, str]:
    return {**surroundings("AWS_", "PG", "EQUIPOISE_"), MARK: str(layout.home)}


def _with(service: Service, shared: Mapping[str, str]) -> Service:
    return Service(
        service.name,
        service.command,
        {**shared, **service.environment},
        service.ready,
        service.after,
    )


def secrets_of(layout: Layout) -> dict[str, str]:
    """Return every secret of the production services by name, made where one is lacking."""
    keys = ensure_keys(layout.airflow)
    of_airflow = {
        "AIRFLOW_FERNET_KEY": keys["fernet"],
        "AIRFLOW_SECRET_KEY": keys["session"],
        "AIRFLOW_JWT_SECRET": keys["jwt"],
    }
    passwords = ensure_passwords(layout.airflow)
    of_people = {production.password_of(user): password for user, password in passwords.items()}
    return {**of_airflow, **ensure_secrets(layout.airflow), **of_people}


def _places(layout: Layout) -> Places:
    ports = layout.ports
    return Places(
        python=sys.executable,
        repository=str(REPOSITORY),
        home=str(layout.home),
        surfaces=str(layout.surfaces),
        listen=HOST,
        postgres_host=HOST,
        postgres_port=ports["postgres"],
        redis=f"{HOST}:{ports['redis']}",
        objects=f"http://{HOST}:{ports['object-store']}",
        airflow=layout.airflow_url,
        airflow_port=layout.airflow_port,
        airflow_page=layout.airflow_url,
        mlflow=layout.mlflow_url,
        mlflow_port=layout.mlflow_port,
        mlflow_page=layout.mlflow_url,
    )


PROFILES: Mapping[str, Profile] = {
    "embedded": Profile(
        embedded.services,
        environment,
        "no login: it listens on this machine alone, as Airflow does",
        "make down",
    ),
    "production": Profile(
        _production_services, _production_environment, "the same logins", "make down PROFILE=production"
    ),
}
