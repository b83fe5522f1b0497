"""Who may log in, and the passwords and keys that the services share.

Passwords and keys are drawn once and kept in files that only their owner may read. Airflow calls this way of
logging in one for development; docker-compose.yml uses FAB.
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

USERS: Mapping[str, str] = {"admin": "admin", "ana": "user", "sam": "user", "max": "user", "eve": "viewer"}
"""Each login and its role in Airflow."""


def passwords_file(airflow: Path) -> Path:
    """Return the file that Airflow reads passwords from."""
    return airflow / "passwords.json"


def ensure_passwords(airflow: Path) -> dict[str, str]:
    """Return every user's password, drawing those that are missing."""
    return _ensure(passwords_file(airflow), {user: secrets.token_urlsafe(12) for user in USERS})


def ensure_keys(airflow: Path) -> dict[str, str]:
    """Return the keys that Airflow's components sign and encrypt with, drawing those that are missing."""
    fresh = {"jwt": secrets.token_urlsafe(48), "session": secrets.token_urlsafe(48), "fernet": fernet_key()}
    return _ensure(airflow / "keys.json", fresh)


def ensure_audit_key(file: Path) -> None:
    """Draw the key that signs a home's audits, unless it is there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.parent.chmod(0o700)
        write_private(file, secrets.token_hex(32) + "\n")


def fernet_key() -> str:
    """Draw a key of the kind that Airflow encrypts its connections with."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)


def _ensure(file: Path, fresh: Mapping[str, str]) -> dict[str, str]:
    """Return the content of a file, with a fresh value for each that is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(0o700)
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    complete = {name: known.get(name) or value for name, value in fresh.items()}
    if complete != known:
        write_private(file, json.dumps(complete, indent=1) + "\n")
    file.chmod(0o600)
    return complete
