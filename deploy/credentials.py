"""Who may log in, and the passwords and keys that the parts share.

Passwords and keys are made once, at random, and kept in files that only their owner may read. Airflow calls
this way of logging in one for development; production uses another (docs).
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

USERS: Mapping[str, str] = {"admin": "admin", "ana": "user", "sam": "user", "max": "user", "eve": "viewer"}
ACCOUNT = "equipoise"
"""The name of the steps' own account in PostgreSQL, the object store and MLflow: there the administrator."""
KEYS = {"AIRFLOW_FERNET_KEY": "fernet", "AIRFLOW_SECRET_KEY": "session", "AIRFLOW_JWT_SECRET": "jwt"}
SERVICE_SECRETS = (
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "OBJECT_STORE_PASSWORD",
    "MLFLOW_PASSWORD",
    "MLFLOW_SECRET_KEY",
)


def passwords_file(airflow: Path) -> Path:
    """Return the file that Airflow reads passwords from."""
    return airflow / "passwords.json"


def ensure_passwords(airflow: Path) -> dict[str, str]:
    """Return every user's password, making those that are lacking."""
    return _ensure(passwords_file(airflow), {user: secrets.token_urlsafe(12) for user in USERS})


def ensure_keys(airflow: Path) -> dict[str, str]:
    """Return the keys that Airflow's parts sign and encrypt with, making those that are lacking."""
    fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    fresh = {"jwt": secrets.token_urlsafe(48), "session": secrets.token_urlsafe(48), "fernet": fernet}
    keys = _ensure(airflow / "keys.json", fresh)
    return {name: keys[key] for name, key in KEYS.items()}


def ensure_secrets(airflow: Path) -> dict[str, str]:
    """Return every secret of the production services by name, making those that are lacking."""
    fresh = {name: secrets.token_urlsafe(24) for name in SERVICE_SECRETS}
    services = _ensure(airflow / "secrets.json", fresh)
    people = {password_of(user): password for user, password in ensure_passwords(airflow).items()}
    return {**ensure_keys(airflow), **services, **people}


def password_of(user: str) -> str:
    """Return the name of the variable that holds a person's password."""
    return f"{user.upper()}_PASSWORD"


def _ensure(file: Path, fresh: Mapping[str, str]) -> dict[str, str]:
    """Return what a file keeps, with a fresh value in the place of each that it lacks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(0o700)
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    complete = {name: known.get(name) or value for name, value in fresh.items()}
    if complete != known:
        write_private(file, json.dumps(complete, indent=1) + "\n")
    file.chmod(0o600)
    return complete


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)


def secret_names() -> tuple[str, ...]:
    """Return the name of every secret of the production services."""
    return (*SERVICE_SECRETS, *KEYS, *map(password_of, USERS))
