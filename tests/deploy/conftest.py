"""A server that answers as Airflow and MLflow do."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from deploy.airflow_api import Airflow


class Server(BaseHTTPRequestHandler):
    """Answers as Airflow does: each path with its next answer, the last one for good."""

    answers: ClassVar[dict[str, list[Any]]] = {}
    refuses: ClassVar[dict[str, tuple[int, Any]]] = {}
    posted: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        known = self.answers.get(self.path.partition("?")[0], [])
        self._answer(404 if not known else 200, known.pop(0) if len(known) > 1 else (known or [{}])[0])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.posted.append((self.path, body.decode()))
        self._answer(*self.refuses.get(self.path, (201, {"access_token": "secret"})))

    def _answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.answers, Server.refuses, Server.posted = {}, {}, []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def airflow(address: str) -> Airflow:
    return Airflow(address, "admin", "x")
