"""What people do with Airflow besides starting and following a run: look around, answer, clear, mark."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import requests

from deploy import supervisor
from deploy.airflow_api import Airflow, run_path
from deploy.layout import Layout
from deploy.services import DIRECT


@dataclass(frozen=True)
class Opened:
    """What the api-server answers to whoever opens a page."""

    status: int
    text: str
    headers: Mapping[str, str]


class Client(Airflow):
    """A logged-in client of everything that the tests do over REST."""

    def dag(self, dag: str) -> dict[str, Any]:
        """Return what a DAG says of itself."""
        return self._call("GET", f"/api/v2/dags/{quote(dag)}/details")

    def parse_file_of(self, dag: str) -> None:
        """Have the file of a DAG parsed now, with the DAGs that it has meanwhile."""
        token = self._call("GET", f"/api/v2/dags/{quote(dag)}")["file_token"]
        self._call("PUT", f"/api/v2/parseDagFile/{token}")

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the newest first."""
        path = f"/api/v2/dags/{quote(dag)}/dagRuns?order_by=-run_after&limit=100"
        return list(self._call("GET", path)["dag_runs"])

    def clear(self, dag: str, run: str, *steps: str) -> None:
        """Let steps run again, and those after them."""
        body = {
            "dry_run": False,
            "dag_run_id": run,
            "task_ids": list(steps),
            "only_failed": False,
            "include_downstream": True,
        }
        self._call("POST", f"/api/v2/dags/{quote(dag)}/clearTaskInstances", body)

    def set_state(self, dag: str, run: str, step: str, state: str) -> None:
        """Mark a step as success, failed or skipped, as a person may in the UI."""
        path = f"{run_path(dag, run)}/taskInstances/{quote(step)}"
        self._call("PATCH", path, {"new_state": state})

    def note_of(self, dag: str, run: str, step: str) -> str:
        """Return the words that a step handed on for the run's note."""
        path = f"{run_path(dag, run)}/taskInstances/{quote(step)}/xcomEntries/note?deserialize=true"
        return str(self._call("GET", path)["value"])

    def open(self, path: str) -> Opened:
        """Open one of Equipoise's pages as this user, without a browser."""
        if not self.token:
            self._call("GET", "/api/v2/dags?limit=1")  # logs in
        return open_page(f"{self.url}/equipoise/{path}", Authorization=f"Bearer {self.token}")


def open_page(url: str, **headers: str) -> Opened:
    """Open a page as nobody, but for what the headers say; who is sent elsewhere stays."""
    answer: requests.Response = DIRECT.get(url, headers=headers, timeout=60, allow_redirects=False)
    return Opened(answer.status_code, answer.text, answer.headers)


def client(layout: Layout, user: str = "admin") -> Client:
    """Return a client of these parts' Airflow."""
    return Client(**asdict(supervisor.client(layout, user)))
