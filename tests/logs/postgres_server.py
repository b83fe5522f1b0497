"""A real PostgreSQL for tests, on a free port, with a login that has a password; gone at the end.

PostgreSQL refuses root: where the tests run as root, Debian's user ``postgres`` runs it.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi

from deploy.debian import find_program
from tests.stores.object_store import free_port

USER = "owner"
NAME = "warehouse"
VARIABLE = "EQUIPOISE_POSTGRESQL_WAREHOUSE"
AS_OTHER = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}

installed = pytest.mark.skipif(
    not Path("/usr/lib/postgresql").exists(), reason="Debian's PostgreSQL is not installed"
)


@dataclass(frozen=True)
class Server:
    """A running server and the password of its owner."""

    port: int
    password: str

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


@contextmanager
def running_server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="equipoise-postgres-"))
    server = Server(free_port(), secrets.token_hex(16))
    password = folder / "password"
    password.write_text(server.password, encoding="utf-8")
    if AS_OTHER:
        for path in (folder, password):
            shutil.chown(path, "postgres", "postgres")
    data = folder / "data"
    make = ("--username", USER, "--pwfile", str(password), "--auth", "scram-sha-256", "--no-sync")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        _run(find_program("initdb"), "--pgdata", str(data), *make, environment=environment)
        serve = (f"port={server.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        command = (find_program("postgres"), "-D", str(data), *(w for s in serve for w in ("-c", s)))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, **_as_other())
        try:
            _wait(server, process)
            yield server
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def _as_other() -> dict[str, Any]:
    return dict(AS_OTHER)


def _run(*command: str, environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd="/", **_as_other())


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    ask = (find_program("pg_isready"), "--host", "127.0.0.1", "--port", str(server.port), "--quiet")
    deadline = time.monotonic() + 60
    while subprocess.run(ask, check=False).returncode != 0:
        assert process.poll() is None, "PostgreSQL ended"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.1)
