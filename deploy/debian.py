"""PostgreSQL, Redis and an object store on this machine, where Compose brings images of them.

::

    <home>/postgres/        PostgreSQL's data and the file with its first password
    <home>/redis/           Redis' data and its configuration, which holds the password
    <home>/objects/         what lies in the object store while it is stopped (objects.py)

The programs of PostgreSQL and Redis are Debian's. PostgreSQL refuses root: where root starts it, the user
`postgres` runs it, and the folders above its data must let that user through.
"""

import os
import pwd
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.credentials import ACCOUNT
from deploy.layout import HOST, Layout
from deploy.services import Asked, Ended, Service, Web
from tasks.errors import StoreError
from tasks.settings import REPOSITORY

_USER = "postgres"


def describe_services(
    layout: Layout, secrets: Mapping[str, str], shared: Mapping[str, str]
) -> tuple[Service, ...]:
    """Describe the three, with a job before PostgreSQL that makes its data folder."""
    port = str(layout.ports["object-store"])
    return (
        *_postgres(layout, secrets, shared),
        _redis(layout, secrets, shared),
        Service(
            "object-store",
            (sys.executable, "-m", "deploy.objects", port, str(layout.home / "objects")),
            {**shared, "PYTHONPATH": str(REPOSITORY)},
            Web(f"http://{HOST}:{port}/moto-api/"),
        ),
    )


def find_program(name: str) -> str:
    """Return where a program of Debian's lies; the newest PostgreSQL where there are several.

    Raises
    ------
    StoreError
        It is not installed.
    """
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: int(file.parts[4]))
    program = str(newest[-1]) if newest else shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not program:
        raise StoreError(
            f"The program {name} is missing. On Debian and Ubuntu: apt-get install postgresql redis-server"
        )
    return program


def _postgres(
    layout: Layout, secrets: Mapping[str, str], shared: Mapping[str, str]
) -> tuple[Service, Service]:
    folder, port = layout.home / "postgres", str(layout.ports["postgres"])
    data, password, user = folder / "data", folder / "password", _unprivileged()
    cluster = ("--pgdata", str(data), "--encoding", "UTF8", "--locale", "C.UTF-8")
    login = ("--username", ACCOUNT, "--pwfile", str(password), "--auth", "scram-sha-256")
    options = (f"listen_addresses={HOST}", f"port={port}", "unix_socket_directories=", "max_connections=200")
    variables = {**shared, "LC_ALL": "C.UTF-8"}
    return (
        Service(
            "postgres-data",
            (find_program("initdb"), *cluster, *login),
            variables,
            Ended(makes=(data / "PG_VERSION",), once=True),
            user=user,
            files={password: secrets["POSTGRES_PASSWORD"] + "\n"},
        ),
        Service(
            "postgres",
            (find_program("postgres"), "-D", str(data), *(w for option in options for w in ("-c", option))),
            variables,
            Asked((find_program("pg_isready"), "--host", HOST, "--port", port, "--quiet")),
            after=("postgres-data",),
            user=user,
        ),
    )


def _redis(layout: Layout, secrets: Mapping[str, str], shared: Mapping[str, str]) -> Service:
    folder, port = layout.home / "redis", str(layout.ports["redis"])
    configuration = (
        f"bind {HOST}\nport {port}\ndir {folder}\nappendonly yes\nrequirepass {secrets['REDIS_PASSWORD']}\n"
    )
    return Service(
        "redis",
        (find_program("redis-server"), str(folder / "redis.conf")),
        {**shared, "REDISCLI_AUTH": secrets["REDIS_PASSWORD"]},
        Asked((find_program("redis-cli"), "-h", HOST, "-p", port, "-e", "ping")),
        files={folder / "redis.conf": configuration},
    )


def _unprivileged() -> str | None:
    """Return who runs PostgreSQL: nobody else where we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER).pw_name
    except KeyError:
        raise StoreError(
            f"PostgreSQL does not run as root and there is no user {_USER}. Install Debian's postgresql, "
            "or start the parts as another user"
        ) from None
