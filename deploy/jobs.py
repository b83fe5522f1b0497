"""`python -m deploy.jobs prepare | users`: what the production services need; what is there stays.

::

    prepare, before the services    PostgreSQL: the databases airflow, mlflow, mlflow_auth
                                    object store: the bucket
                                    Airflow: its schema and the login of its administrator
    users, when they are ready      the people's logins, in Airflow and in MLflow
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus

from deploy.airflow_api import Airflow
from deploy.credentials import USERS, password_of
from deploy.production import BUCKET
from deploy.services import DIRECT
from tasks.errors import StoreError

DATABASES = ("airflow", "mlflow", "mlflow_auth")
ROLES: Mapping[str, str] = {"admin": "Admin", "user": "User", "viewer": "Viewer"}
"""Airflow's own names of what people may do."""


def prepare() -> None:
    """Prepare everything that is not there yet."""
    _make_databases()
    _make_bucket()
    _run("db", "migrate")
    _make_administrator(os.environ[password_of("admin")])


def make_users() -> None:
    """Make every login that is lacking."""
    passwords = {user: os.environ[password_of(user)] for user in USERS}
    address = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    airflow = Airflow(address, "admin", passwords["admin"])
    for user, role in USERS.items():
        if user != "admin" and not airflow.has_user(user):
            airflow.add_user(user, passwords[user], ROLES[role])
        add_to_mlflow(user, passwords[user])


def add_to_mlflow(user: str, password: str) -> None:
    """Make a login in MLflow unless it is there.

    Raises
    ------
    StoreError
        MLflow refuses it.
    """
    login = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    url = f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/users/create"
    answer = DIRECT.post(url, json={"username": user, "password": password}, auth=login, timeout=60)
    there = answer.status_code == HTTPStatus.BAD_REQUEST and "RESOURCE_ALREADY_EXISTS" in answer.text
    if not answer.ok and not there:
        raise StoreError(f"MLflow refused the login of {user}: {answer.status_code} {answer.text[:2000]}")


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


def _make_administrator(password: str) -> None:
    """Give the password twice on standard input, where no list of processes shows it."""
    who = ("--firstname", "Admin", "--lastname", "Equipoise", "--email", "admin@equipoise.invalid")
    _run("users", "create", "--username", "admin", "--role", "Admin", *who, typed=f"{password}\n{password}\n")


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


if __name__ == "__main__":
    {"prepare": prepare, "users": make_users}[sys.argv[1]]()
