"""The first release of the tour is promoted in Airflow: asked for by max, approved there by its reviewers."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from benchmarks.operating_worlds.surface import SURFACE
from benchmarks.tour.surface import REVIEWERS
from benchmarks.tour.team import FirstApproval
from deploy.follow import failed_logs
from deploy.layout import Layout
from deploy.supervisor import client, require_living
from tasks.errors import GateRefused, StoreError
from tasks.stores.workspace import Workspace

T = TypeVar("T")
PROMOTE: Final = f"{SURFACE}__promote"
_PATIENCE: Final = 300.0
_ENDED: Final = frozenset({"success", "failed"})


def approve_in(layout: Layout, say: Callable[[str], object]) -> FirstApproval:
    """Return what has a release promoted in a running Airflow."""

    def approve(workspace: Workspace, release: int) -> None:
        admin = client(layout)
        _wait(layout, lambda: admin.knows(PROMOTE), f"Airflow knows {PROMOTE}")
        admin.unpause(PROMOTE)
        run = client(layout, "max").trigger(PROMOTE, {"release": str(release), "why": "the first release"})
        say(f"max asks for release {release}: {layout.airflow_url}/dags/{PROMOTE}/runs/{run}")
        for role, user in REVIEWERS.items():
            answered = partial(_answered, layout, run, role, user)
            _wait(layout, answered, f"{user} has answered for {role}")
            say(f"{user} approves for {role}")
        _wait(layout, lambda: admin.run(PROMOTE, run)["state"] in _ENDED, f"{run} has ended")
        if admin.run(PROMOTE, run)["state"] == "failed":
            raise GateRefused("\n".join(failed_logs(admin, PROMOTE, run)))

    return approve


def _answered(layout: Layout, run: str, role: str, user: str) -> bool:
    """Answer a step that waits; return whether it has its answer, or the run has ended without."""
    admin, step = client(layout), f"approve_{role}"
    states = {one["state"] for one in admin.instances(PROMOTE, run) if one["task_id"] == step}
    if "awaiting_input" in states:
        with suppress(StoreError):  # answered a moment ago
            client(layout, user).answer(PROMOTE, run, step, "Approve")
    return bool(states & _ENDED) or admin.run(PROMOTE, run)["state"] in _ENDED


def _wait(layout: Layout, ready: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + _PATIENCE
    while not (found := ready()):
        require_living(layout)
        if time.monotonic() > deadline:
            raise StoreError(f"Airflow did not get so far within {_PATIENCE:.0f} s: {what}")
        time.sleep(1)
    return found
