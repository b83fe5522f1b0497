"""A real PostgreSQL for tests, on a free port, with a login that has a password; gone at the end.

PostgreSQL refuses root: where the tests run as root, Debian's user ``postgres`` runs it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi

from tests.stores.object_store import free_port

USER = "owner"
NAME = "warehouse"
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}
VARIABLE = "EQUIPOISE_POSTGRESQL_WAREHOUSE"
AS_OTHER = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}

installed = pytest.mark.skipif(
    not Path("/usr/lib/postgresql").exists(), reason="Debian's PostgreSQL is not installed"
)


@dataclass(frozen=True)
class Server:
    """A running server and the password of its owner; what it holds outlives a stop."""

    port: int
    password: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start it, or start it again."""
        self.processes.append(serve(self.folder, self.port))
        _wait(self, self.processes[-1])

    def stop(self) -> None:
        """Be down, whatever its clients are in the midst of."""
        self.processes[-1].send_signal(signal.SIGINT)
        self.processes[-1].wait(30)

    def address(self, *, user: str = USER, password: str | None = None, port: int | None = None) -> str:
        """Return a connection string as the environment holds it."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{port or self.port}/postgres"

    def run(self, *statements: str) -> None:
        with dbapi.connect(self.address(), autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def put(self, name: str, table: pa.Table, schema: str = "shop") -> None:
        """Make a table of these rows in place of an earlier one."""
        self.run(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        with dbapi.connect(self.address()) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(name, table, mode="replace", db_schema_name=schema)
            connection.commit()


def find_program(name: str) -> str:
    """Return where a program of Debian's PostgreSQL or Redis lies; the newest where there are several."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: int(file.parts[4]))
    program = str(newest[-1]) if newest else shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert program, f"{name} is missing: apt-get install postgresql redis-server"
    return program


def make_data(folder: Path, *, user: str, password: str) -> None:
    """Make a server's data in a folder that its user may enter."""
    file = folder / "password"
    file.write_text(password, encoding="utf-8")
    if AS_OTHER:
        for path in (folder, file):
            shutil.chown(path, "postgres", "postgres")
    login = ("--username", user, "--pwfile", str(file), "--auth", "scram-sha-256", "--no-sync")
    _run(find_program("initdb"), "--pgdata", str(folder / "data"), "--encoding", "UTF8", *login)


def serve(folder: Path, port: int, **variables: str) -> subprocess.Popen[bytes]:
    """Start a server on its data, on this machine alone."""
    options = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
    words = (word for option in (*options, "max_connections=200") for word in ("-c", option))
    command = (find_program("postgres"), "-D", str(folder / "data"), *words)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            env=ENVIRONMENT | variables,
            cwd="/",
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as_other(),
        )


@contextmanager
def running_server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="equipoise-postgres-"))
    server = Server(free_port(), secrets.token_hex(16), folder)
    try:
        make_data(folder, user=USER, password=server.password)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _as_other() -> dict[str, Any]:
    return dict(AS_OTHER)


def _run(*command: str) -> None:
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, cwd="/", **_as_other())


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    ask = (find_program("pg_isready"), "--host", "127.0.0.1", "--port", str(server.port), "--quiet")
    deadline = time.monotonic() + 60
    while subprocess.run(ask, check=False).returncode != 0:
        assert process.poll() is None, "PostgreSQL ended"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.1)
