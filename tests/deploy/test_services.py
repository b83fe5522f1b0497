import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.healthcheck import main as probe
from deploy.services import Asked, Ended, Ready, Service, Web, is_ready

HEALTH = {"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}, "dag_processor": None}


class Page(BaseHTTPRequestHandler):
    """Airflow's health page, and nothing else."""

    def do_GET(self) -> None:
        body = json.dumps(HEALTH).encode()
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def service(ready: Ready) -> Service:
    return Service("part", ("true",), {"SECRET": "hush"}, ready, files={Path("conf"): "hush"})


def test_an_address_that_answers_is_ready(address: str) -> None:
    assert is_ready(service(Web(f"{address}/health")))
    assert not is_ready(service(Web(f"{address}/elsewhere")))
    assert not is_ready(service(Web("http://127.0.0.1:9/health")))


@pytest.mark.parametrize(
    ("part", "ready"),
    [("scheduler", True), ("triggerer", False), ("dag_processor", False), ("unheard_of", False)],
)
def test_a_part_is_ready_when_the_health_page_calls_it_healthy(address: str, part: str, ready: bool) -> None:
    assert is_ready(service(Web(f"{address}/health", part))) is ready
    assert probe([f"{address}/health", part]) == (0 if ready else 1)


def test_no_page_no_healthy_part() -> None:
    assert not is_ready(service(Web("http://127.0.0.1:9/health", "scheduler")))


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_is_asked_with_the_environment_of_its_service(code: int) -> None:
    look = f"import os, sys; sys.exit({code} if os.environ['SECRET'] == 'hush' else 2)"
    assert is_ready(service(Asked((sys.executable, "-c", look)))) is (code == 0)


def test_a_job_that_runs_is_not_ready() -> None:
    assert service(Ended()).is_job
    assert not is_ready(service(Ended()))


def test_a_description_shows_no_secret() -> None:
    assert "hush" not in repr(service(Ended()))
