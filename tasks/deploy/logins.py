"""Who may log in to the Airflow of this machine, and the keys that its parts share.

Passwords and keys are made once, at random, and kept in files that only their owner may read. Airflow calls
this way of logging in one for development; production uses another (docs).
"""

import base64
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

USERS: Mapping[str, str] = {"admin": "admin", "ana": "user", "sam": "user", "max": "user", "eve": "viewer"}


def passwords_file(airflow: Path) -> Path:
    """Return the file that Airflow reads passwords from."""
    return airflow / "passwords.json"


def ensure_passwords(airflow: Path) -> dict[str, str]:
    """Return every user's password, making those that are lacking."""
    return _ensure(passwords_file(airflow), {user: lambda: secrets.token_urlsafe(12) for user in USERS})


def ensure_keys(airflow: Path) -> dict[str, str]:
    """Return the keys that the parts sign and encrypt with, making those that are lacking."""
    fernet = lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()  # noqa: E731  # one of three makers
    makers = {"jwt": lambda: secrets.token_urlsafe(48), "session": lambda: secrets.token_urlsafe(48)}
    return _ensure(airflow / "keys.json", {**makers, "fernet": fernet})


def ensure_secrets(airflow: Path) -> dict[str, str]:
    """Return the passwords and keys of the services around Airflow, making those that are lacking."""
    names = (
        "POSTGRES_PASSWORD",
        "REDIS_PASSWORD",
        "OBJECT_STORE_PASSWORD",
        "MLFLOW_PASSWORD",
        "MLFLOW_SECRET_KEY",
    )
    return _ensure(airflow / "secrets.json", {name: lambda: secrets.token_urlsafe(24) for name in names})


def _ensure(file: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(0o700)
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    made = {name: known.get(name) or make() for name, make in makers.items()}
    if made != known:
        write_private(file, json.dumps(made, indent=1) + "\n")
    file.chmod(0o600)
    return made


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)
