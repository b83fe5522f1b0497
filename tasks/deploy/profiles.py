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
from tasks.deploy.logins import ensure_keys, ensure_passwords, ensure_secrets
from tasks.deploy.production import Places
from tasks.deploy.services import Service
from tasks.deploy.settings import HOST, MARK, REPOSITORY, Settings


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

    services: Callable[[Settings], tuple[Service, ...]]
    environment: Callable[[Settings], dict[str, str]]
    says: str
    down: str


def profile_of(settings: Settings) -> Profile:
    """Return the profile of an installation."""
    return PROFILES[settings.profile]


def services_of(settings: Settings) -> tuple[Service, ...]:
    """Describe every service of an installation."""
    return profile_of(settings).services(settings)


def _production_services(settings: Settings) -> tuple[Service, ...]:
    secrets, shared = secrets_of(settings), _around(settings)
    ours = production.services(_places(settings), secrets)
    return (
        *debian.infrastructure(settings, secrets, shared),
        *(_with(service, shared) for service in ours),
    )


def _production_environment(settings: Settings) -> dict[str, str]:
    return {**_around(settings), **production.environment(_places(settings), secrets_of(settings))}


def _around(settings: Settings) -> dict[str, str]:
    return {**surroundings("AWS_", "PG", "EQUIPOISE_"), MARK: str(settings.home)}


def _with(service: Service, shared: Mapping[str, str]) -> Service:
    return Service(
        service.name,
        service.command,
        {**shared, **service.environment},
        service.ready,
        service.after,
    )


def secrets_of(settings: Settings) -> dict[str, str]:
    """Return every secret of the production services by name, made where one is lacking."""
    keys = ensure_keys(settings.airflow)
    of_airflow = {
        "AIRFLOW_FERNET_KEY": keys["fernet"],
        "AIRFLOW_SECRET_KEY": keys["session"],
        "AIRFLOW_JWT_SECRET": keys["jwt"],
    }
    passwords = ensure_passwords(settings.airflow)
    of_people = {production.password_of(user): password for user, password in passwords.items()}
    return {**of_airflow, **ensure_secrets(settings.airflow), **of_people}


def _places(settings: Settings) -> Places:
    ports = settings.ports
    return Places(
        python=sys.executable,
        repository=str(REPOSITORY),
        home=str(settings.home),
        surfaces=str(settings.surfaces),
        listen=HOST,
        postgres_host=HOST,
        postgres_port=ports["postgres"],
        redis=f"{HOST}:{ports['redis']}",
        objects=f"http://{HOST}:{ports['object-store']}",
        airflow=settings.airflow_url,
        airflow_port=settings.airflow_port,
        airflow_page=settings.airflow_url,
        mlflow=settings.mlflow_url,
        mlflow_port=settings.mlflow_port,
        mlflow_page=settings.mlflow_url,
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
