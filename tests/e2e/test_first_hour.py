"""The first hour of a newcomer with a log of their own: from the wheel and `init` to a rollback.

The tests run in order and share one surface, beside the other surfaces of the installation. `--durations`
prints the seconds of each step.
"""

import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import yaml
from playwright.sync_api import expect

from tasks.errors import ContractError
from tasks.settings import REPOSITORY
from tasks.stores.store import Store
from tests.e2e.browser import chromium, no_complaints
from tests.e2e.installation import Installation
from tests.feeds.newsletter import write_newsletter
from tests.release.model_server import served

NAME = "newsletter"
AS_OF = "2026-03-02T00:00:00Z"
PROMOTE = f"{NAME}__promote"

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("installation")]
Equipoise = Callable[..., str]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel; what the wheel depends on is found where we have it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    installed = folder / "venv/bin/python"
    subprocess.run(
        [installed, "-m", "pip", "install", "--no-deps", "--no-index", wheel], check=True, capture_output=True
    )
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return installed


@pytest.fixture(scope="module")
def equipoise(
    python: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Equipoise:
    """Run a command of the wheel as somebody types it in an empty folder; return what it prints."""
    here = tmp_path_factory.mktemp("newcomer")
    folders = {"EQUIPOISE_HOME": installation.home, "EQUIPOISE_SURFACES": installation.surfaces}
    environment = {**bare_environment(), **{name: str(folder) for name, folder in folders.items()}}

    def typed(*words: str) -> str:
        command = [str(python.with_name("equipoise")), *words]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    return typed


def bare_environment() -> dict[str, str]:
    """Return the environment without what points to the repository or to other state."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("EQUIPOISE_", "PYTHON"))
    }


def test_the_program_is_that_of_the_wheel(python: Path) -> None:
    code = "import tasks.cli; print(tasks.cli.__file__)"
    words = [str(python), "-c", code]
    found = subprocess.run(
        words, cwd=python.parent, env=bare_environment(), capture_output=True, text=True, check=True
    )
    assert str(python.parents[1]) in found.stdout


def test_without_a_surface_the_way_to_one_is_named(python: Path, tmp_path: Path) -> None:
    command, bare = [str(python.with_name("equipoise")), "check"], bare_environment()
    refused = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert refused.returncode == ContractError.exit_code
    assert "or draft a surface: equipoise init NAME --impressions FILE --events FILE" in refused.stderr


@pytest.fixture(scope="module")
def drafted(installation: Installation, equipoise: Equipoise) -> Path:
    """The folder of four drafted files, with the few lines that their comments ask for."""
    logs = installation.home / "logs" / NAME
    write_newsletter(logs)
    tables = ("--impressions", str(logs / "shown.parquet"), "--events", str(logs / "reactions.parquet"))
    equipoise("init", NAME, *tables)
    folder = installation.surfaces / NAME
    change(folder / "surface.yaml", shown_is_all=True, reviewers={"product": ["ana"]}, promotion=None)
    change(folder / "slate.yaml", length=4)
    return folder


def change(file: Path, **keys: object) -> None:
    """Set keys of a contract; None removes one."""
    content = {**yaml.safe_load(file.read_text(encoding="utf-8")), **keys}
    kept = {key: value for key, value in content.items() if value is not None}
    file.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")


def test_the_draft_is_valid_and_names_test_days(drafted: Path, equipoise: Equipoise) -> None:
    assert f"valid: {NAME}" in equipoise("check", NAME)
    assert "shared test days: 2026-02-16 to 02-22" in equipoise("plan", NAME, "--as-of", AS_OF)


def test_labels_are_built_and_counted(drafted: Path, equipoise: Equipoise) -> None:
    equipoise("labels", "build", NAME, "--as-of", AS_OF)
    assert "mute_7d" in equipoise("labels", "show", NAME)


def test_a_retrain_makes_a_release_that_the_gates_let_pass(drafted: Path, equipoise: Equipoise) -> None:
    assert "release 1: promote" in equipoise("retrain", NAME, "--as-of", AS_OF)


def test_the_dossier_opens_in_a_browser(installation: Installation, drafted: Path) -> None:
    page = installation.home / "reports" / NAME / "dossier-release-1.html"
    with chromium() as browser:
        opened = browser.new_page()
        with no_complaints(opened):
            opened.goto(page.as_uri())
            assert NAME in opened.get_by_role("heading", level=1).inner_text()
            expect(opened.get_by_text("open_30m").first).to_be_attached()


def test_another_user_approves_by_the_api(installation: Installation, drafted: Path) -> None:
    promote(installation, "the first release")
    assert champion(installation) == 1


def promote(installation: Installation, why: str, **form: str) -> None:
    """Ask for the promotion of the challenger as max, and approve it as ana."""
    run = installation.run(PROMOTE, {"release": "challenger", "why": why, **form}, user="max")
    states = ("awaiting_input", "success", "failed")
    while installation.wait_for_step(PROMOTE, run, "approve_product", *states)["state"] == "awaiting_input":
        installation.airflow("ana").answer(PROMOTE, run, "approve_product", "Approve")
        time.sleep(2)
    installation.succeed(PROMOTE, run)


def champion(installation: Installation) -> int:
    found = installation.mlflow.get_registered_model(f"{NAME}.release").aliases
    return int(found["champion"])


@pytest.fixture(scope="module")
def server(installation: Installation, drafted: Path) -> Iterator[str]:
    with served(installation.home, NAME, EQUIPOISE_REQUIRE_VERIFIED="1") as url:
        yield url


def test_the_champion_ranks_a_request(installation: Installation, server: str) -> None:
    answered = ask(server, first_session(installation))
    slots = sorted(row["slate_position"] for row in answered if row["slate_position"] is not None)
    assert slots == [1, 2, 3, 4]
    assert {row["release"] for row in answered} == {1}


def first_session(installation: Installation) -> list[dict[str, Any]]:
    """Return the articles of the first session, by the names that a release reads."""
    log = pd.read_parquet(installation.home / "logs" / NAME / "shown.parquet")
    names = {"session": "request_id", "reader": "user_id", "article": "item_id"}
    session = log[log["session"] == log["session"].iloc[0]].drop(columns="seen_at").rename(columns=names)
    records: list[dict[str, Any]] = session.to_dict("records")
    return records


def ask(server: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{server}/invocations", json={"dataframe_records": rows}, timeout=60)
    assert answer.status_code == 200, answer.text
    ranked: list[dict[str, Any]] = answer.json()["predictions"]
    return ranked


def test_a_changed_policy_becomes_champion_without_training(
    installation: Installation, drafted: Path, equipoise: Equipoise
) -> None:
    policy = yaml.safe_load((drafted / "utility.yaml").read_text(encoding="utf-8"))
    weights = {**policy["weights"], "read_1d": {"weight": 1.5, "why": "a read is worth more than an open"}}
    change(drafted / "utility.yaml", version=2, weights=weights)
    assert "release 2: promote" in equipoise("policy", "apply", NAME)
    promote(installation, "reads count for more", waiver="the surface has no experiments yet")
    assert champion(installation) == 2


def test_a_rollback_returns_to_the_first_release(
    installation: Installation, drafted: Path, equipoise: Equipoise
) -> None:
    equipoise("rollback", NAME, "--why", "opens fell", "--by", "ana")
    assert champion(installation) == 1
    assert len(list(Store.open(installation.home).audit(NAME).entries())) >= 3
