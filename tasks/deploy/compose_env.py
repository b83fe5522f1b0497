"""`python -m tasks.deploy.compose_env`: write `.env`, the secrets that docker-compose.yml asks for."""

import sys
import tempfile
from pathlib import Path

from tasks.deploy.layout import Layout
from tasks.deploy.logins import write_private
from tasks.deploy.profiles import secrets_of
from tasks.settings import REPOSITORY


def main() -> int:
    """Write the file, unless there is one: its secrets are those of the volumes."""
    file = Path(".env").absolute()
    if file.exists():
        print(f"{file} is there already, and the volumes were made with its secrets: nothing was written")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        secrets = secrets_of(Layout(Path(folder), REPOSITORY / "surfaces"))
    write_private(file, "".join(f"{name}={value}\n" for name, value in secrets.items()))
    print(f"wrote {file}: keep it, and keep it from others")
    return 0


if __name__ == "__main__":
    sys.exit(main())
