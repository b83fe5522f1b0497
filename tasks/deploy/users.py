"""`python -m tasks.deploy.users`: the people's logins in Airflow and in MLflow; those that are there stay."""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus

from tasks.deploy.logins import USERS
from tasks.deploy.production import password_of
from tasks.deploy.rest import Airflow
from tasks.errors import StoreError

ROLES: Mapping[str, str] = {"admin": "Admin", "user": "User", "viewer": "Viewer"}
"""Airflow's own names of what people may do."""


def main() -> int:
    """Make every login that is lacking."""
    passwords = {user: os.environ[password_of(user)] for user in USERS}
    address = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    airflow = Airflow(address, "admin", passwords["admin"])
    for user, role in USERS.items():
        if user != "admin" and not airflow.has_user(user):
            airflow.add_user(user, passwords[user], ROLES[role])
        _add_to_mlflow(user, passwords[user])
    return 0


def _add_to_mlflow(user: str, password: str) -> None:
    address, name, secret = (
        os.environ[f"MLFLOW_TRACKING_{part}"] for part in ("URI", "USERNAME", "PASSWORD")
    )
    login = base64.b64encode(f"{name}:{secret}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the address is the installation's own
        f"{address}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": user, "password": password}).encode(),
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60):  # noqa: S310 - as above
            return
    except urllib.error.HTTPError as error:
        reason = error.read(2000).decode(errors="replace")
        if error.code != HTTPStatus.BAD_REQUEST or "RESOURCE_ALREADY_EXISTS" not in reason:
            raise StoreError(f"MLflow refused the login of {user}: {error.code} {reason}") from error


if __name__ == "__main__":
    sys.exit(main())
