"""What docker-compose.yml needs besides the services: `python -m deploy.compose VERB`.

::

    env            on the host: .env, with a random secret for each ${NAME:?} of docker-compose.yml
    prepare        before the services: three databases, the bucket, Airflow's schema and its administrator
    users          after the services: people's logins, in Airflow and in MLflow
    healthcheck    URL [PART]: ends with 0 when the address answers and Airflow calls the component healthy

Each may run again: what exists stays.
"""

import argparse
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from deploy.airflow_api import Airflow
from deploy.credentials import USERS, fernet_key, write_private
from deploy.services import DIRECT, Web
from tasks.errors import StoreError
from tasks.settings import REPOSITORY

FILE = REPOSITORY / "docker-compose.yml"
BUCKET = "equipoise"
DATABASES = ("airflow", "mlflow", "mlflow_auth")
ROLES: Mapping[str, str] = {"admin": "Admin", "user": "User", "viewer": "Viewer"}
"""Each role of `USERS` and its name in FAB."""


def draw_secrets() -> dict[str, str]:
    """Draw a value for each secret that docker-compose.yml asks for."""
    names = dict.fromkeys(re.findall(r"\$\{(\w+):\?\}", FILE.read_text(encoding="utf-8")))
    return {name: fernet_key() if "FERNET" in name else secrets.token_urlsafe(24) for name in names}


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
    """Make databases, bucket, Airflow's schema and its administrator."""
    _make_databases()
    _make_bucket()
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
        add_to_mlflow(user, passwords[user])
    return 0


def add_to_mlflow(user: str, password: str) -> None:
    """Make a login in MLflow unless it exists.

    Raises
    ------
    StoreError
        MLflow refuses it.
    """
    login = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    url = f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/users/create"
    answer = DIRECT.post(url, json={"username": user, "password": password}, auth=login, timeout=60)
    exists = answer.status_code == HTTPStatus.BAD_REQUEST and "RESOURCE_ALREADY_EXISTS" in answer.text
    if not answer.ok and not exists:
        raise StoreError(f"MLflow refused the login of {user}: {answer.status_code} {answer.text[:2000]}")


def password_of(user: str) -> str:
    """Return the name of the variable that holds a person's password."""
    return f"{user.upper()}_PASSWORD"


def main() -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose", description=__doc__)
    parser.add_argument("verb", choices=(*_VERBS, "healthcheck"))
    parser.add_argument("address", nargs="*", help="of the health check: URL [PART]")
    given = parser.parse_args()
    if given.verb == "healthcheck":
        return 0 if Web(*given.address).answers() else 1
    return _VERBS[given.verb]()


def _make_databases() -> None:
    import psycopg2
    from psycopg2 import sql

    connection = psycopg2.connect(dbname="postgres")
    connection.autocommit = True  # a database is not made inside a transaction
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        known = {name for (name,) in cursor.fetchall()}
        for name in DATABASES:
            if name not in known:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    connection.close()


def _make_bucket() -> None:
    import boto3

    client = boto3.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)


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
