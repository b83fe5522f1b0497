"""An S3 object store for tests: moto's server in a process of its own, behind a door.

The door can be shut, refuse whatever would write (read-only, or full), or let each piece wait (slow).

::

    program  ->  door (a port)  ->  moto (in memory)
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tasks.stores.location import ObjectPath, objects

BUCKET = "equipoise"
_DOOR = """
import asyncio, contextlib, sys

port, inner, manner = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
refused = {"read-only": "403 AccessDenied", "full": "507 InsufficientStorage"}.get(manner)

async def ask(reader, inside, client):
    try:
        while data := await reader.read(65536):
            if refused and data.startswith((b"PUT ", b"POST ", b"DELETE ")):
                body = f"<Error><Code>{refused[4:]}</Code><Message>it is {manner}</Message></Error>"
                head = f"HTTP/1.1 {refused}\\r\\nContent-Length: {len(body)}\\r\\nConnection: close\\r\\n\\r\\n"
                client.write((head + body).encode())
                await client.drain()
                with contextlib.suppress(asyncio.TimeoutError):
                    while await asyncio.wait_for(reader.read(65536), 1):
                        pass
                break
            await asyncio.sleep(0.1 if manner == "slow" else 0)
            inside.write(data)
            await inside.drain()
    finally:
        inside.close()

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

async def enter(reader, writer):
    out, into = await asyncio.open_connection("127.0.0.1", inner)
    await asyncio.gather(ask(reader, into, writer), copy(out, writer), return_exceptions=True)

async def main():
    async with await asyncio.start_server(enter, "127.0.0.1", port) as server:
        await server.serve_forever()

asyncio.run(main())
"""


@dataclass
class ObjectStore:
    """A running object store and its door."""

    port: int
    inner: int
    door: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program use it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests-secret",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def empty_bucket(self, patch: pytest.MonkeyPatch) -> ObjectPath:
        """Let this process use the store until the patch is undone; return a bucket that holds nothing."""
        for name, value in self.environment.items():
            patch.setenv(name, value)
        number = 0
        while objects().exists(f"{BUCKET}-{number}"):
            number += 1
        objects().mkdir(f"{BUCKET}-{number}")
        return ObjectPath(f"s3://{BUCKET}-{number}")

    def open(self, manner: str = "open") -> None:
        """Let requests in: as they come, or as ``read-only``, ``full`` or ``slow`` lets them."""
        ports = str(self.port), str(self.inner)
        self.door = subprocess.Popen([sys.executable, "-c", _DOOR, *ports, manner])
        _wait_for(self.port)

    def shut(self) -> None:
        """Be down: whoever asks is refused, and what was under way is cut off."""
        assert self.door is not None
        self.door.kill()
        self.door.wait()


@contextmanager
def running_store() -> Iterator[ObjectStore]:
    """Start an object store with an empty bucket; end it afterwards."""
    store = ObjectStore(free_port(), free_port())
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(store.inner)]
    moto = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(store.inner)
        store.open()
        yield store
    finally:
        if store.door is not None:
            store.shut()
        moto.kill()
        moto.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline, opener = time.monotonic() + 60, urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            with opener.open(f"http://127.0.0.1:{port}/", timeout=10):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at port {port}, pid {os.getpid()}")
