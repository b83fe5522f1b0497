"""A release is promoted in Airflow: asked for by max, approved there by its reviewers."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, TypeVar

from benchmarks.tour.surface import REVIEWERS
from benchmarks.tour.team import FirstApproval
from deploy.follow import failed_logs
from deploy.layout import Layout
from deploy.supervisor import client, require_living
from tasks.errors import GateRefused, StoreError
from tasks.stores.workspace import Workspace

T = TypeVar("T")
_PATIENCE: Final = 300.0
_ENDED: Final = frozenset({"success", "failed"})
_FIRST: Final[Mapping[str, str]] = {"why": "the first release"}


def approve_in(
    layout: Layout, say: Callable[[str], object], form: Mapping[str, str] = _FIRST
) -> FirstApproval:
    """Return what has a release promoted in a running Airflow, asked for with a form."""

    def approve(workspace: Workspace, release: int) -> None:
        admin, dag = client(layout), f"{workspace.surface}__promote"
        _wait(layout, lambda: admin.knows(dag), f"Airflow knows {dag}")
        admin.unpause(dag)
        run = client(layout, "max").trigger(dag, {"release": str(release), **form})
        say(f"max asks for release {release}: {layout.airflow_url}/dags/{dag}/runs/{run}")
        for role, user in REVIEWERS.items():
            approve_role(layout, dag, run, role=role, user=user)
            say(f"{user} approves for {role}")
        _wait(layout, lambda: admin.run(dag, run)["state"] in _ENDED, f"{run} has ended")
        if admin.run(dag, run)["state"] == "failed":
            raise GateRefused("\n".join(failed_logs(admin, dag, run)))

    return approve


def approve_role(layout: Layout, dag: str, run: str, *, role: str, user: str) -> None:
    """Approve for a role once it is asked, again where it asks again; return when the answer was taken."""
    admin, step = client(layout), f"approve_{role}"

    def answered() -> bool:
        states = {one["state"] for one in admin.instances(dag, run) if one["task_id"] == step}
        if "awaiting_input" in states:
            with suppress(StoreError):  # answered a moment ago
                client(layout, user).answer(dag, run, step, "Approve")
        return bool(states & _ENDED) or admin.run(dag, run)["state"] in _ENDED

    _wait(layout, answered, f"{user} has answered for {role}")


def _wait(layout: Layout, ready: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + _PATIENCE
    while not (found := ready()):
        require_living(layout)
        if time.monotonic() > deadline:
            raise StoreError(f"Airflow did not get so far within {_PATIENCE:.0f} s: {what}")
        time.sleep(1)
    return found
