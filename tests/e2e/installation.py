"""An installation of the tests' own: Airflow's real parts and MLflow's server over the mini home_feed.

::

    home/logs/home_feed     40 days of the simulated feed, to AS_OF; `deliver` brings the other two
    surfaces/home_feed      contracts with windows of days; the logs end with those 42 days, and the schedule too
    surfaces/timed_feed     the same log up to the last midnight, for a timer that is due at once
    surfaces/staged_feed    that log once more, for releases that serve as the canary first
    installation.airflow("ana")                 a client of Airflow's REST API, logged in
    installation.run("home_feed__retrain", {"as_of": "2026-02-10T00:00:00Z"})      the run's id
    installation.wait("home_feed__retrain", run)                                   the run, once it has ended
    installation.mlflow                         a client of MLflow's server
    installation.workspace                        the same home for steps in this process
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient

from deploy.credentials import ensure_passwords
from deploy.follow import failed_logs
from deploy.layout import Layout
from deploy.supervisor import marked, members, records, require_living
from tasks.datasets.world.generate import generate
from tasks.settings import REPOSITORY
from tasks.stores.workspace import Workspace
from tests.docs.pages import DOCS, blocks
from tests.e2e.rest import Client, client
from tests.feeds import mini
from tests.feeds.staged_feed import add_staged_feed
from tests.feeds.timed_feed import add_timed_feed

T = TypeVar("T")
PATIENCE = 300.0
FIRST_PORTS = (18280, 15200)
"""At which the first worker of a test run looks for free ports for Airflow and MLflow."""
PORTS_APART = 50
ENDED = frozenset({"success", "failed"})
_START = """
import sys
from deploy.layout import Layout
from deploy.services import describe_services
from deploy.supervisor import start
layout = Layout.from_environment()
(part,) = [service for service in describe_services(layout) if service.name == sys.argv[1]]
start(layout, part)
"""


@dataclass(frozen=True)
class Installation:
    """Running parts, the home that they work on and the whole world that its log is of."""

    layout: Layout
    world: Path

    @property
    def home(self) -> Path:
        return self.layout.home

    @property
    def surfaces(self) -> Path:
        return self.layout.surfaces

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(mini.NAME, surfaces=self.surfaces, home=self.home)

    @cached_property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(self.layout.mlflow_url, self.layout.mlflow_url)

    def airflow(self, user: str = "admin") -> Client:
        return client(self.layout, user)

    def ready(self, dag: str) -> str:
        """Wait until a DAG was parsed, let it run, and return its id."""
        admin, same_file = self.airflow(), f"{mini.NAME}__{dag.split('__')[1]}"
        if not admin.knows(dag) and admin.knows(same_file):  # a surface that was added since
            admin.parse_file_of(same_file)
        self.until(lambda: admin.knows(dag), f"{dag} is parsed: {admin.import_errors()}")
        admin.unpause(dag)
        return dag

    def run(self, dag: str, conf: Mapping[str, Any] | None = None, *, user: str = "ana") -> str:
        return self.airflow(user).trigger(self.ready(dag), conf or {})

    def wait(self, dag: str, run: str, *, patience: float = PATIENCE) -> dict[str, Any]:
        """Return a run once it has ended."""
        admin = self.airflow()

        def ended() -> dict[str, Any] | None:
            found = admin.run(dag, run)
            return found if found["state"] in ENDED else None

        return self.until(ended, f"{dag} {run} has ended", patience=patience)

    def succeed(self, dag: str, run: str, *, patience: float = PATIENCE) -> dict[str, Any]:
        """Return a run that ended well; else fail with the logs of its failed steps."""
        ended = self.wait(dag, run, patience=patience)
        assert ended["state"] == "success", "\n".join(failed_logs(self.airflow(), dag, run))
        return ended

    def wait_for_step(self, dag: str, run: str, step: str, *states: str) -> dict[str, Any]:
        """Return a step's instance once it is in one of these states."""
        admin = self.airflow()

        def there() -> dict[str, Any] | None:
            found = [i for i in admin.instances(dag, run) if i["task_id"] == step and i["state"] in states]
            return found[0] if found else None

        return self.until(there, f"{step} of {dag} {run} is {' or '.join(states)}")

    def backfilled(self, dag: str, count: int) -> list[dict[str, Any]]:
        """Return the runs of backfills of a DAG, once there are so many and all have ended."""
        admin = self.airflow()

        def ended() -> list[dict[str, Any]] | None:
            found = [run for run in admin.runs(dag) if run["run_type"] == "backfill"]
            return found if len(found) == count and {run["state"] for run in found} <= ENDED else None

        return self.until(ended, f"{count} backfilled runs of {dag} have ended")

    def type(self, page: str, words: str) -> str:
        """Type the shell block of a page that holds these words, as ana; return what it printed."""
        (text,) = [b.text for b in blocks(DOCS / page) if b.language == "bash" and words in b.text]
        here = text.replace("http://127.0.0.1:8080", self.layout.airflow_url)
        password = ensure_passwords(self.layout.airflow)["ana"]
        bash = ["bash", "-euo", "pipefail", "-c", here]
        return _run(bash, self.layout, PASSWORD=password, NO_PROXY="127.0.0.1")

    def until(self, look: Callable[[], T | None], what: str, *, patience: float = PATIENCE) -> T:
        """Look again and again until there is something to see."""
        deadline = time.monotonic() + patience
        while not (found := look()):
            require_living(self.layout)
            assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain until {what}"
            time.sleep(0.5)
        return found

    def start(self, part: str) -> None:
        """Start a part anew that was killed, as a child of nobody."""
        subprocess.run(
            [sys.executable, "-c", _START, part], env=_environment(self.layout), cwd=REPOSITORY, check=True
        )

    def deliver(self) -> None:
        """Bring the log of the last two days."""
        shutil.copytree(self.world, self.home / "logs" / mini.NAME, dirs_exist_ok=True)

    def withhold(self) -> None:
        """Take the log of the last two days away."""
        logs = self.home / "logs" / mini.NAME
        shutil.rmtree(logs)
        mini.write_log_until(self.world, logs, mini.AS_OF)


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """Start an installation below a folder; stop every process of it afterwards, also where the start failed."""
    world = folder / "world" / mini.NAME
    generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=world)
    plain = mini.with_log(mini.write_contracts(folder / "plain"), world, folder)
    workspace = mini.changed(plain, folder, surface=mini.end_schedule)
    add_timed_feed(workspace, world)
    add_staged_feed(workspace)
    airflow, mlflow = _first_ports()
    layout = Layout(workspace.home, workspace.surfaces, airflow, mlflow).with_free_ports()
    try:
        run_make("up", layout)
        yield Installation(layout, world)
    finally:
        leaders = [record.pid for record in records(layout)]
        run_make("down", layout)
    assert members(leaders) | marked(layout) == set()


def _first_ports() -> tuple[int, int]:
    """Return where to look: workers that begin at the same time would find the same port free."""
    apart = PORTS_APART * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    airflow, mlflow = FIRST_PORTS
    return airflow + apart, mlflow + apart


def run_make(verb: str, layout: Layout) -> None:
    """Do what `make` does with this verb: the parts outlive the process that starts them."""
    _run([sys.executable, "-m", "deploy", verb], layout)


def _run(command: list[str], layout: Layout, **more: str) -> str:
    """Run a command to its end; return what it printed."""
    environment = {**_environment(layout), **more}
    done = subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment(layout: Layout) -> dict[str, str]:
    ours = {
        "EQUIPOISE_HOME": layout.home,
        "EQUIPOISE_SURFACES": layout.surfaces,
        "EQUIPOISE_AIRFLOW_PORT": layout.airflow_port,
        "EQUIPOISE_MLFLOW_PORT": layout.mlflow_port,
    }
    return {**os.environ, **{name: str(value) for name, value in ours.items()}}
