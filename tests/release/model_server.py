"""A model server as the documentation starts it, on a free port of this machine."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.docs.pages import DOCS, blocks

PAGE = blocks(DOCS / "serving.md")
COMMAND, CURL = (
    next(line for block in PAGE for line in block.text.splitlines() if line.startswith(command))
    for command in ("mlflow models serve", "curl ")
)


@contextmanager
def served(home: Path, surface: str, **environment: str) -> Iterator[str]:
    """Serve the champion of a surface by the command of docs/serving.md; yield the server's URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    typed = COMMAND.replace("home_feed.release", f"{surface}.release").replace("-p 5001", f"-p {port}")
    programs = Path(sys.executable).parent
    log = home / "served.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(programs / "mlflow"), *shlex.split(typed)[1:]],
            env={
                **os.environ,
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow/mlflow.db",
                "EQUIPOISE_HOME": str(home),
                "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                **environment,
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log)
            yield url
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while process.poll() is None:
        try:
            if httpx.get(f"{url}/ping").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8"))
