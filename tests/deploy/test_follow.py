import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tasks.deploy.follow import Lines, failed_logs, follow
from tasks.deploy.rest import Airflow
from tasks.errors import StoreError

RUN = "/api/v2/dags/d/dagRuns/r"


class Server(BaseHTTPRequestHandler):
    """Answers as Airflow does: each path with its next answer, the last one for good."""

    answers: ClassVar[dict[str, list[Any]]] = {}

    def do_GET(self) -> None:
        known = self.answers.get(self.path.partition("?")[0], [])
        self._answer(404 if not known else 200, known.pop(0) if len(known) > 1 else (known or [{}])[0])

    def do_POST(self) -> None:
        self._answer(201, {"access_token": "secret"})

    def _answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.answers = {}
    yield Airflow(f"http://127.0.0.1:{server.server_port}", "admin", "x")
    server.shutdown()
    server.server_close()


def instance(step: str, state: str | None, **more: Any) -> dict[str, Any]:
    plain = {
        "task_id": step,
        "map_index": -1,
        "state": state,
        "duration": 4.0,
        "try_number": 1,
        "end_date": "1",
    }
    return {**plain, **more}


def test_a_line_for_each_step_that_ends_and_one_for_what_runs(airflow: Airflow) -> None:
    Server.answers = {
        RUN: [{"state": "running"}, {"state": "success"}],
        f"{RUN}/taskInstances": [
            {"task_instances": [instance("plan", "success"), instance("labels", "running")]},
            {"task_instances": [instance("plan", "success"), instance("labels", "success", duration=102)]},
        ],
    }
    out = io.StringIO()
    assert follow(airflow, "d", "r", Lines(out), pause=0.01)
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert lines == [
        "[ 1/2] plan success 4 s",
        "[ 1/2] running labels 0 s so far",
        "[ 2/2] labels success 1 min 42 s",
    ]


def test_a_mapped_step_is_named_by_its_task(airflow: Airflow) -> None:
    mapped = instance("models.train", "failed", map_index=1, rendered_map_index="purchase_7d")
    Server.answers = {
        RUN: [{"state": "failed"}],
        f"{RUN}/taskInstances": [{"task_instances": [mapped]}],
    }
    out = io.StringIO()
    assert not follow(airflow, "d", "r", Lines(out), pause=0.01)
    assert "models.train (purchase_7d)" in out.getvalue()


def test_a_failure_shows_the_end_of_its_log_and_the_first_to_fail_stands_first(airflow: Airflow) -> None:
    entries = [
        {"event": "::group::Pre Execute"},
        {
            "event": "Task failed with exception",
            "error_detail": [{"exc_type": "DataError", "exc_value": "a\nb"}],
        },
    ]
    Server.answers = {
        f"{RUN}/taskInstances": [
            {"task_instances": [instance("gate", "failed", end_date="9"), instance("labels", "failed")]}
        ],
        f"{RUN}/taskInstances/labels/logs/1": [{"content": entries}],
        f"{RUN}/taskInstances/gate/logs/1": [{"content": ["a plain line"]}],
    }
    assert [line.strip() for line in failed_logs(airflow, "d", "r")] == [
        "labels failed. The end of its log:",
        "Task failed with exception",
        "DataError: a",
        "b",
        "gate failed. The end of its log:",
        "a plain line",
    ]


def test_a_dag_that_is_not_parsed_yet_is_not_known(airflow: Airflow) -> None:
    assert not airflow.knows("d")
    Server.answers = {"/api/v2/dags/d": [{"has_import_errors": False}]}
    assert airflow.knows("d")


def test_a_refusal_says_what_was_asked_and_why(airflow: Airflow) -> None:
    with pytest.raises(StoreError, match=r"refused GET /api/v2/dags/d/dagRuns/r: 404"):
        airflow.run("d", "r")


def test_an_airflow_that_is_down_is_said_to_be() -> None:
    with pytest.raises(StoreError, match="does not answer"):
        Airflow("http://127.0.0.1:9", "admin", "x").knows("d")


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(Airflow("http://127.0.0.1:9", "admin", "hush"))
