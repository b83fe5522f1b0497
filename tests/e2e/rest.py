"""What people do with Airflow besides starting and following a run: look around, answer, clear, mark."""

from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from tasks.deploy import installation
from tasks.deploy.airflow_api import Airflow, run_path
from tasks.deploy.layout import Layout


class Client(Airflow):
    """A logged-in client of everything that the tests do over REST."""

    def dag(self, dag: str) -> dict[str, Any]:
        """Return what a DAG says of itself."""
        return self._call("GET", f"/api/v2/dags/{quote(dag)}/details")

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

    def question(self, dag: str, run: str, step: str) -> dict[str, Any]:
        """Return what a step that waits for a person asks, and the answer where there is one."""
        return self._call("GET", f"{run_path(dag, run)}/taskInstances/{quote(step)}/-1/hitlDetails")

    def answer(self, dag: str, run: str, step: str, option: str, **changed: Any) -> None:
        """Answer a step that waits for a person with its form as it is filled in, but for what is changed."""
        path = f"{run_path(dag, run)}/taskInstances/{quote(step)}/-1/hitlDetails"
        asked = self.question(dag, run, step)["params"]
        form = {name: field["value"] for name, field in asked.items()} | changed
        self._call("PATCH", path, {"chosen_options": [option], "params_input": form})


def client(layout: Layout, user: str = "admin") -> Client:
    """Return a client of these parts' Airflow."""
    return Client(**asdict(installation.client(layout, user)))
