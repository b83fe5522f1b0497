"""What docker-compose.yml needs besides the services: `python -m deploy.compose VERB`.

::

    env            on the host: .env, with a random secret for each ${NAME:?} of docker-compose.yml
    prepare        before the services: databases and their users, Airflow's schema and its administrator
    users          after the services: people's logins in Airflow and MLflow, and the services' in MLflow
    healthcheck    URL [PART]: ends with 0 when the address answers and Airflow calls the component healthy
    ping           NAME: ends with 0 when this machine's Celery worker of that name answers

Each may run again: what exists stays.
"""

import argparse
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from deploy.airflow_api import Airflow
from deploy.credentials import USERS, fernet_key, write_private
from deploy.services import DIRECT, Web
from tasks.errors import StoreError
from tasks.settings import REPOSITORY

FILE = REPOSITORY / "docker-compose.yml"
SUPERUSER = "equipoise"
DATABASES: Mapping[str, str] = {
    "airflow": "airflow",
    "celery": "celery",
    "mlflow": "mlflow",
    "mlflow_auth": "mlflow",
}
"""Each database and the role that owns it; nobody else may connect, but `CELERY` to Celery's."""
CELERY: Sequence[str] = ("airflow", "worker", "releases")
"""The users that write and read Celery's results: each as the role `celery`, by which nobody logs in."""
GRANTS: Mapping[str, Mapping[str, str]] = {
    "pages": {},
    "worker": {"experiment": "EDIT"},
    "releases": {"experiment": "EDIT", "registered_model": "MANAGE"},
}
"""Each account of a service in MLflow, and what it may do with every experiment and every registered model.

Everybody may read. An alias, like a new version, needs EDIT of its registered model, which the account that
creates a registered model has: a worker has it of the models of tasks, and of no release.
"""
ROLES: Mapping[str, str] = {"admin": "Admin", "user": "User", "viewer": "Viewer"}
"""Each role of `USERS` and its name in FAB."""


def draw_secrets() -> dict[str, str]:
    """Draw a value for each secret that docker-compose.yml asks for."""
    names = dict.fromkeys(re.findall(r"\$\{(\w+):\?\}", FILE.read_text(encoding="utf-8")))
    return {name: _draw(name) for name in names}


def write_env() -> int:
    """Write `.env`, unless it exists: the volumes were made with its secrets."""
    file = Path(".env").absolute()
    if file.exists():
        print(f"{file} exists, and the volumes were made with its secrets: nothing was written")
        return 1
    write_private(file, "".join(f"{name}={value}\n" for name, value in draw_secrets().items()))
    print(f"wrote {file}, which holds the secrets: keep it private")
    return 0


def prepare() -> int:
    """Make databases, Airflow's schema and its administrator."""
    _make_databases()
    _run("db", "migrate")
    # standard input, because every list of processes shows a command line
    who = ("--firstname", "Admin", "--lastname", "Equipoise", "--email", "admin@equipoise.invalid")
    password = os.environ[password_of("admin")]
    _run("users", "create", "--username", "admin", "--role", "Admin", *who, typed=f"{password}\n{password}\n")
    return 0


def make_users() -> int:
    """Make every login that is missing."""
    passwords = {user: os.environ[password_of(user)] for user in USERS}
    address = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    airflow = Airflow(address, "admin", passwords["admin"])
    for user, role in USERS.items():
        if user != "admin" and not airflow.has_user(user):
            airflow.add_user(user, passwords[user], ROLES[role])
        add_to_mlflow(user, passwords[user], {})
    for account, grants in GRANTS.items():
        add_to_mlflow(account, os.environ[f"{account.upper()}_MLFLOW_PASSWORD"], grants)
    return 0


def add_to_mlflow(user: str, password: str, grants: Mapping[str, str]) -> None:
    """Make a login in MLflow unless it exists, and grant it permissions on every resource of a type.

    Raises
    ------
    StoreError
        MLflow refuses it.
    """
    _ask_mlflow("2.0/mlflow/users/create", user, {"username": user, "password": password})
    for resource, permission in grants.items():
        granted = {"resource_type": resource, "resource_id": "*", "permission": permission}
        _ask_mlflow("3.0/mlflow/users/permissions/grant", user, {"username": user, **granted})


def password_of(user: str) -> str:
    """Return the name of the variable that holds a person's password."""
    return f"{user.upper()}_PASSWORD"


def main() -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose", description=__doc__)
    parser.add_argument("verb", choices=(*_VERBS, "healthcheck", "ping"))
    parser.add_argument("which", nargs="*", help="healthcheck: URL [PART]; ping: NAME")
    given = parser.parse_args()
    if given.verb == "healthcheck":
        return 0 if Web(*given.which).answers() else 1
    if given.verb == "ping":
        return 0 if _worker_answers(*given.which) else 1
    return _VERBS[given.verb]()


def _draw(name: str) -> str:
    if "FERNET" in name:
        return fernet_key()
    return secrets.token_hex(32) if "AUDIT_KEY" in name else secrets.token_urlsafe(24)


def _ask_mlflow(path: str, user: str, what: Mapping[str, str]) -> None:
    login = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    url = f"{os.environ['MLFLOW_TRACKING_URI']}/api/{path}"
    answer = DIRECT.post(url, json=dict(what), auth=login, timeout=60)
    exists = answer.status_code == HTTPStatus.BAD_REQUEST and "RESOURCE_ALREADY_EXISTS" in answer.text
    if not answer.ok and not exists:
        raise StoreError(f"MLflow refused the login of {user}: {answer.status_code} {answer.text[:2000]}")


def _worker_answers(name: str) -> bool:
    from airflow.providers.celery.executors.celery_executor import app

    return bool(app.control.inspect([f"{name}@{socket.gethostname()}"], timeout=10).ping())


def _make_databases() -> None:
    import psycopg2
    from psycopg2 import sql

    password = os.environ["POSTGRES_PASSWORD"]
    connection = psycopg2.connect(dbname="postgres", user=SUPERUSER, password=password)
    connection.autocommit = True  # a database is not made inside a transaction
    with connection.cursor() as cursor:

        def run(statement: str, *names: str, values: tuple[str, ...] = ()) -> None:
            cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)), values)

        def known(column: str, table: str) -> set[str]:
            cursor.execute(f"SELECT {column} FROM {table}")  # noqa: S608 - two names of this function
            return {name for (name,) in cursor.fetchall()}

        users, databases = known("rolname", "pg_roles"), known("datname", "pg_database")
        for user in dict.fromkeys((*DATABASES.values(), *CELERY)):
            if user not in users:
                run("CREATE ROLE {}", user)
            if user != "celery":
                password = os.environ.get(f"{user.upper()}_DB_PASSWORD") or os.environ["PGPASSWORD"]
                run("ALTER ROLE {} LOGIN PASSWORD %s", user, values=(password,))
        for database, owner in DATABASES.items():
            if database not in databases:
                run("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0", database, owner)
            run("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database)
        for user in CELERY:  # whoever makes a table there makes it for all
            run("GRANT celery TO {}", user)
            run("ALTER ROLE {} IN DATABASE celery SET ROLE celery", user)
    connection.close()


def _run(*words: str, typed: str = "") -> None:
    done = subprocess.run(
        (sys.executable, "-m", "airflow", *words),
        input=typed,
        text=True,
        start_new_session=True,  # without a terminal a password is read from standard input
        check=False,
    )
    if done.returncode != 0:
        raise StoreError(f"`airflow {' '.join(words[:2])}` ended with {done.returncode}; see above")


_VERBS: Mapping[str, Callable[[], int]] = {"env": write_env, "prepare": prepare, "users": make_users}

if __name__ == "__main__":
    sys.exit(main())
