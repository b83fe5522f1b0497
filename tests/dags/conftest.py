"""An Airflow of the tests' own: its home is set before anything imports airflow, which happens in fixtures only."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Start = Callable[..., "Ended"]
REPOSITORY = Path(__file__).parents[2]
SURFACE = """
surface: {name}
version: 1
owner: recsys-ranking
reviewers: {{product: [ana], safety: [sam]}}
sources: {{impressions: "{name}/impressions/*.parquet", events: "{name}/events/*.parquet"}}
features: {{numeric: [price], categorical: [source]}}
split: {{train: P7D, calibrate: P2D, test: P2D}}
{more}
"""
TASKS = """
contract: labels
version: 1
tasks:
  click_30m: {family: engagement, positive: {event: click, within: PT30M}}
  purchase_7d: {family: conversion, positive: {event: purchase, within: P7D}}
"""
UTILITY = """
policy: utility
version: 1
owner: recsys-ranking
approvals: [product]
weights: {click_30m: 0.4, purchase_7d: 20.0}
"""
SLATE = """
policy: slate
version: 1
length: 3
"""


def write_surface(root: Path, name: str, *, more: str = "", utility: str = UTILITY) -> None:
    """Write the four files of a small surface."""
    folder = root / name
    folder.mkdir(parents=True)
    files = {
        "surface": SURFACE.format(name=name, more=more),
        "tasks": TASKS,
        "utility": utility,
        "slate": SLATE,
    }
    for kind, text in files.items():
        (folder / f"{kind}.yaml").write_text(text, encoding="utf-8")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one process, which imports Airflow once, and let Airflow's libraries warn themselves."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("airflow"))
            item.add_marker(pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"))


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set Airflow's environment for the rest of this process."""
    home = tmp_path_factory.mktemp("airflow")
    settings = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": REPOSITORY / "dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": REPOSITORY / "dags" / "plugins",
        "AIRFLOW__CORE__LOAD_EXAMPLES": False,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": False,
        "EQUIPOISE_HOME": home / "equipoise",
        "EQUIPOISE_MLFLOW_URL": "http://127.0.0.1:1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
            patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, str(value))
        yield home


@pytest.fixture(scope="session")
def migrated(airflow_home: Path) -> Path:
    """Give Airflow a database."""
    from airflow.utils.db import initdb

    initdb()
    return airflow_home


@contextmanager
def api_server(folder: Path, roles: Mapping[str, str]) -> Iterator[Any]:
    """Give a client of Airflow's API server; each user's password is the user's name."""
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({user: user for user in roles}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        users = ",".join(f"{user}:{role}" for user, role in roles.items())
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", users)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of the tests alone" * 3)
        from airflow.api_fastapi.app import create_app
        from fastapi.testclient import TestClient

        with TestClient(create_app(apps="core"), follow_redirects=False) as client:
            yield client


def log_in(client: Any, user: str) -> dict[str, str]:
    """Return the header of a user's requests."""
    token = client.post("/auth/token", json={"username": user, "password": user}).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good surfaces, one of which has ended, and two bad ones."""
    root = tmp_path_factory.mktemp("surfaces")
    write_surface(root, "feed")
    write_surface(
        root, "shop", more='schedule: {labels: "0 * * * *", retrain: "30 4 * * 2"}\narrival: {deadline: PT3H}'
    )
    write_surface(root, "ended", more="until: 2017-12-31")
    write_surface(root, "misspelt", utility=UTILITY.replace("click_30m", "clikc_30m"))
    write_surface(root, "no_such_hour", more='schedule: {retrain: "0 99 * * 1"}')
    return root


@pytest.fixture(scope="session")
def bag(airflow_home: Path, surfaces: Path) -> SimpleNamespace:
    """Every DAG of those surfaces, and what could not be imported."""
    return parse(surfaces)


def parse(surfaces: Path) -> SimpleNamespace:
    """Parse the DAG files as Airflow does."""
    from airflow.dag_processing.dagbag import DagBag

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_SURFACES", str(surfaces))
        found = DagBag(REPOSITORY / "dags")
    return SimpleNamespace(dags=found.dags, import_errors=found.import_errors)


@pytest.fixture
def copied_surfaces(surfaces: Path, tmp_path: Path) -> Path:
    """The same surfaces, to be changed."""
    return Path(shutil.copytree(surfaces, tmp_path / "surfaces"))


def steps_of(dag: Any) -> Mapping[str, Any]:
    """Return a DAG's steps by name."""
    return {step.task_id: step for step in dag.tasks}


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its state, its steps' states by name, and what they handed on."""

    state: str
    steps: Mapping[tuple[str, str | None], str]
    tries: Mapping[tuple[str, str | None], int]
    handed_on: Mapping[tuple[str, int, str], Any]
    note: str

    def result(self, step: str) -> Any:
        return self.handed_on[step, -1, "return_value"]


@pytest.fixture(scope="session")
def start(migrated: Path) -> Start:
    """Run a DAG of a folder of surfaces in a home, and wait for its end."""

    def run(dag_id: str, *, surfaces: Path, home: Path, **conf: Any) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EQUIPOISE_SURFACES", str(surfaces))
            patch.setenv("EQUIPOISE_HOME", str(home))
            dag = parse(surfaces).dags[dag_id]
            return _ended(dag.test(logical_date=datetime.now(UTC), run_conf=conf))

    return run


@dataclass(frozen=True)
class RetrainedFeed:
    """A home with the simulated feed, retrained whole as of an instant; its log goes on for seven days."""

    home: Path
    as_of: datetime
    ended: Ended


@pytest.fixture(scope="session")
def home_feed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> RetrainedFeed:
    """The simulated feed of 139 days, retrained by Airflow as of the 132nd."""
    from tasks.datasets.world.generate import generate

    home, as_of = tmp_path_factory.mktemp("home_feed"), datetime(2026, 5, 13, tzinfo=UTC)
    generate(days=139, requests_per_day=500, seed=7, out=home / "logs" / "home_feed")
    ended = start("home_feed__retrain", surfaces=REPOSITORY / "surfaces", home=home, as_of=f"{as_of:%FT%TZ}")
    return RetrainedFeed(home, as_of, ended)


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The surface and home of a champion that learned clicks and hides; two days have passed since."""
    from tasks.datasets.world.generate import generate
    from tests.feeds import mini

    folder = tmp_path_factory.mktemp("kept")
    world = folder / "world"
    generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=world)
    workspace = mini.with_log(mini.write_contracts(folder / "all"), world, folder, days=mini.DAYS)
    changes = {"surface": mini.surface_of_two, "tasks": mini.two_tasks, "utility": mini.utility_of_two}
    first = mini.Retrained.run(mini.changed(workspace, folder, **changes), as_of=mini.AS_OF)
    mini.set_champion(first.workspace, first.result.release)
    return first.workspace


def _ended(run: Any) -> Ended:
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    instances = run.get_task_instances()
    with create_session() as session:
        note = str(session.get(DagRun, run.id).note)
        rows = session.query(XComModel).filter(XComModel.run_id == run.run_id, XComModel.dag_id == run.dag_id)
        handed_on = {(row.task_id, row.map_index, row.key): XComModel.deserialize_value(row) for row in rows}
    return Ended(
        state=str(run.state),
        steps={(i.task_id, i.rendered_map_index): str(i.state) for i in instances},
        tries={(i.task_id, i.rendered_map_index): i.try_number for i in instances},
        handed_on=handed_on,
        note=note,
    )
