"""The few calls of Airflow's REST API that starting and following a run needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests

from deploy.services import DIRECT
from tasks.errors import StoreError


@dataclass
class Airflow:
    """A logged-in client."""

    url: str
    user: str
    password: str = field(repr=False)
    token: str = field(default="", repr=False)

    def unpause(self, dag: str) -> None:
        """Let a DAG run."""
        self._call("PATCH", f"/api/v2/dags/{quote(dag)}?update_mask=is_paused", {"is_paused": False})

    def knows(self, dag: str) -> bool:
        """Whether the DAG was parsed and can be triggered."""
        found = self._find(dag)
        return found is not None and not found["has_import_errors"]

    def import_errors(self) -> list[str]:
        """Return what keeps DAG files from being parsed."""
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def trigger(self, dag: str, conf: Mapping[str, Any], *, note: str | None = None) -> str:
        """Start a run by hand and return its id."""
        body = {"logical_date": None, "conf": dict(conf), "note": note}
        return str(self._call("POST", f"/api/v2/dags/{quote(dag)}/dagRuns", body)["dag_run_id"])

    def give_up(self, dag: str, why: str) -> list[str]:
        """Mark the runs of a DAG that have not ended as failed; return their ids. A new DAG has none."""
        if self._find(dag) is None:
            return []
        runs = self._call("GET", f"/api/v2/dags/{quote(dag)}/dagRuns?state=running&state=queued")["dag_runs"]
        for run in runs:
            self._call("PATCH", run_path(dag, run["dag_run_id"]), {"state": "failed", "note": why})
        return [str(run["dag_run_id"]) for run in runs]

    def _find(self, dag: str) -> dict[str, Any] | None:
        """Return a DAG; None if it was never parsed, as in an installation that has just started."""
        try:
            return self._call("GET", f"/api/v2/dags/{quote(dag)}")
        except StoreError as error:
            answer = getattr(error.__cause__, "response", None)
            if answer is not None and answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def run(self, dag: str, run: str) -> dict[str, Any]:
        """Return a run."""
        return self._call("GET", run_path(dag, run))

    def instances(self, dag: str, run: str) -> list[dict[str, Any]]:
        """Return the run's step instances."""
        path = f"{run_path(dag, run)}/taskInstances?limit=1000"
        return list(self._call("GET", path)["task_instances"])

    def result(self, dag: str, run: str, step: str) -> Any:
        """Return what a step handed on."""
        path = f"{run_path(dag, run)}/taskInstances/{quote(step)}/xcomEntries/return_value?deserialize=true"
        return self._call("GET", path)["value"]

    def log(self, dag: str, run: str, instance: Mapping[str, Any]) -> list[str]:
        """Return the lines that a step instance logged at its last try."""
        step, attempt = quote(instance["task_id"]), max(int(instance["try_number"]), 1)
        query = f"?full_content=true&map_index={instance['map_index']}"
        log = self._call("GET", f"{run_path(dag, run)}/taskInstances/{step}/logs/{attempt}{query}")
        return [line for entry in log["content"] for line in _lines(entry)]

    def question(self, dag: str, run: str, step: str) -> dict[str, Any]:
        """Return what a step that waits for a person asks, and the answer where there is one."""
        return self._call("GET", f"{run_path(dag, run)}/taskInstances/{quote(step)}/-1/hitlDetails")

    def answer(self, dag: str, run: str, step: str, option: str, **changed: Any) -> None:
        """Answer a step that waits for a person with its form as it is filled in, but for what is changed."""
        path = f"{run_path(dag, run)}/taskInstances/{quote(step)}/-1/hitlDetails"
        asked = self.question(dag, run, step)["params"]
        form = {name: field["value"] for name, field in asked.items()} | changed
        self._call("PATCH", path, {"chosen_options": [option], "params_input": form})

    def has_user(self, user: str) -> bool:
        """Whether a login is known, where Airflow keeps logins itself (FAB)."""
        users = self._call("GET", "/auth/fab/v1/users?limit=1000")["users"]
        return user in {known["username"] for known in users}

    def add_user(self, user: str, password: str, role: str) -> None:
        """Make a login, where Airflow keeps logins itself (FAB)."""
        body = {
            "username": user,
            "first_name": user.capitalize(),
            "last_name": "Equipoise",
            "email": f"{user}@equipoise.invalid",
            "roles": [{"name": role}],
            "password": password,
        }
        self._call("POST", "/auth/fab/v1/users", body)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if not self.token:
            login = {"username": self.user, "password": self.password}
            self.token = _send("POST", f"{self.url}/auth/token", login)["access_token"]
        return _send(method, f"{self.url}{path}", body, Authorization=f"Bearer {self.token}")


def run_path(dag: str, run: str) -> str:
    """Return the path of a run in the API."""
    return f"/api/v2/dags/{quote(dag)}/dagRuns/{quote(run, safe='')}"


def _send(method: str, url: str, body: Mapping[str, Any] | None, **headers: str) -> dict[str, Any]:
    try:
        answer = DIRECT.request(method, url, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return dict(answer.json() or {})
    except requests.HTTPError as error:
        reason = f"{answer.status_code} {answer.text[:2000]}"
        raise StoreError(f"Airflow refused {method} {answer.request.path_url}: {reason}") from error
    except requests.RequestException as error:
        raise StoreError(f"Airflow at {url} does not answer: {error}") from error


def _lines(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return entry.splitlines()
    raised = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return [line for text in (str(entry.get("event", "")), *raised) for line in text.splitlines()]
