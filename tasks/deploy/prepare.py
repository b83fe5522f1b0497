"""`python -m tasks.deploy.prepare`: what the production services need before they start; made once.

::

    PostgreSQL      the databases airflow, mlflow, mlflow_auth
    object store    the bucket
    Airflow         its schema and the login of its administrator
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from tasks.deploy.production import BUCKET, password_of
from tasks.errors import StoreError

DATABASES = ("airflow", "mlflow", "mlflow_auth")


def main() -> int:
    """Prepare everything that is not there yet."""
    _make_databases()
    _make_bucket()
    _run("db", "migrate")
    _make_administrator(os.environ)
    return 0


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


def _make_administrator(environment: Mapping[str, str]) -> None:
    """Give the password twice on standard input, where no list of processes shows it."""
    password = environment[password_of("admin")]
    who = ("--firstname", "Admin", "--lastname", "Equipoise", "--email", "admin@equipoise.invalid")
    _run("users", "create", "--username", "admin", "--role", "Admin", *who, given=f"{password}\n{password}\n")


def _run(*words: str, given: str = "") -> None:
    done = subprocess.run(
        (sys.executable, "-m", "airflow", *words),
        input=given,
        text=True,
        start_new_session=True,  # without a terminal a password is read from standard input
        check=False,
    )
    if done.returncode != 0:
        raise StoreError(f"`airflow {' '.join(words[:2])}` ended with {done.returncode}; see above")


if __name__ == "__main__":
    sys.exit(main())
