"""A retrain on every production part: PostgreSQL, Redis, an object store, Airflow on Celery with FAB, MLflow with logins."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.airflow_api import Airflow
from deploy.credentials import ensure_passwords
from deploy.follow import Lines, failed_logs, follow
from deploy.installation import running_layout
from deploy.layout import MARK, Layout
from deploy.processes import marked, members
from deploy.production import LOGS
from deploy.records import records
from tasks.errors import StoreError
from tasks.settings import REPOSITORY
from tests.e2e.rest import client, open_page
from tests.feeds import mini

DAG, PROMOTE = f"{mini.NAME}__retrain", f"{mini.NAME}__promote"
ENDED = {"success", "failed", "upstream_failed"}
SETTLED = 8  # seconds after which Airflow takes an answer for certain
LASTING = {
    *("postgres", "redis", "object-store", "mlflow"),
    *("api-server", "scheduler", "dag-processor", "triggerer", "worker"),
}
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("production"),
    pytest.mark.skipif(
        shutil.which("redis-server") is None or not Path("/usr/lib/postgresql").exists(),
        reason="Debian's PostgreSQL and Redis are not installed: .ci/services does it",
    ),
]


def local(verb: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    ports = Layout(home, home, 28080, 25000).with_free_ports()
    environment = {
        **os.environ,
        "EQUIPOISE_HOME": str(home),
        "EQUIPOISE_SURFACES": str(home / "surfaces"),
        "EQUIPOISE_AIRFLOW_PORT": str(ports.airflow_port),
        "EQUIPOISE_MLFLOW_PORT": str(ports.mlflow_port),
    }
    module = ("deploy", verb) if verb in {"up", "down", "status"} else (f"deploy.{verb}",)
    command = [sys.executable, "-m", *module, "--profile", "production", *words]
    return subprocess.run(
        command,
        env=environment,
        cwd=REPOSITORY,
        umask=0o022,  # a command that ran in this process keeps to itself what it writes
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def up(home: Path) -> Layout:
    started = local("up", home)
    assert started.returncode == 0, started.stdout + started.stderr
    layout = Layout(home / "production", home / "surfaces", profile="production")
    running = running_layout(layout)
    assert running is not None
    return running


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that PostgreSQL's user may pass too; at the end nothing of it runs."""
    folder = Path(tempfile.mkdtemp(prefix="equipoise-production-"))
    folder.chmod(0o755)
    mini.write_contracts(folder / "surfaces")
    yield folder
    leaders = [record.pid for record in records(Layout(folder / "production", folder))]
    stopped = local("down", folder)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert members(leaders) | marked(MARK, str(folder / "production")) == set()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def production(home: Path) -> Layout:
    return up(home)


@pytest.fixture(scope="module")
def judged(production: Layout, home: Path) -> dict[str, Any]:
    """What the gate handed on at the end of the retrain that ana started."""
    days, requests, seed = str(mini.DAYS), str(mini.REQUESTS_PER_DAY), str(mini.SEED)
    world = ("--days", days, "--requests-per-day", requests, "--seed", seed)
    equipoise(home, "world", "generate", *world, "--out", f"{LOGS}/{mini.NAME}")
    ana = client(production, "ana")
    ana.unpause(DAG)
    run = ana.trigger(DAG, {"as_of": mini.AS_OF.isoformat()})
    assert follow(ana, DAG, run, Lines()), "\n".join(failed_logs(ana, DAG, run))
    found: dict[str, Any] = ana.result(DAG, run, "gate")
    return found


def equipoise(home: Path, *words: str) -> Any:
    done = local("command", home, *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_every_part_lives_and_listens_on_this_machine_alone(production: Layout) -> None:
    assert {record.name for record in records(production) if record.lives} == LASTING
    if shutil.which("ss") is None:
        pytest.skip("ss lists who listens")
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = {f"pid={pid}," for pid in members(record.pid for record in records(production))}
    heard = {line.split()[3].rpartition(":")[0] for line in lines if any(pid in line for pid in ours)}
    assert heard == {"127.0.0.1"}


def test_no_secret_stands_on_a_command_line(production: Layout) -> None:
    files = (production.airflow / f"{name}.json" for name in ("passwords", "secrets", "keys"))
    secrets = [secret for file in files for secret in json.loads(file.read_text(encoding="utf-8")).values()]
    ours = members(record.pid for record in records(production))
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") for pid in ours]
    assert [line for line in lines if any(secret in line for secret in secrets)] == []


def test_people_log_in_with_their_roles(production: Layout) -> None:
    eve = client(production, "eve")
    assert eve.knows(DAG)
    with pytest.raises(StoreError, match="403"):
        eve.trigger(DAG, {})
    with pytest.raises(StoreError, match="401"):
        Airflow(production.airflow_url, "ana", "guessed").knows(DAG)


def test_mlflow_wants_the_same_login(production: Layout) -> None:
    password = ensure_passwords(production.airflow)["sam"]
    assert asked_for_experiments(production, "sam", password) == 200
    assert asked_for_experiments(production, "sam", "guessed") == 401


def asked_for_experiments(layout: Layout, user: str, password: str) -> int:
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - http:// always
        f"{layout.mlflow_url}/api/2.0/mlflow/experiments/search?max_results=1",
        headers={"Authorization": f"Basic {login}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_retrain_makes_a_release_whose_every_byte_verifies(
    judged: dict[str, Any], production: Layout, home: Path
) -> None:
    """The verdict is that of the same log and contracts on one machine: no bound of the mini feed is passed."""
    shown = equipoise(home, "release", "show", mini.NAME, "challenger")
    assert (judged["verdict"], shown["verdict"], shown["reasons"]) == ("promote", "promote", [])
    assert shown["version"] == judged["release"]
    assert set(shown["metrics"]) == set(mini.TASKS)
    assert equipoise(home, "release", "verify", mini.NAME, "challenger")["problems"] == []


def test_a_viewer_reads_equipoise_s_pages_under_production_s_login(
    judged: dict[str, Any], production: Layout
) -> None:
    eve, dossier = client(production, "eve"), f"{mini.NAME}/releases/{judged['release']}/dossier"
    page = eve.open(mini.NAME)
    assert (page.status, f"releases/{judged['release']}/dossier" in page.text) == (200, True)
    sealed = eve.open(dossier)
    assert (sealed.status, f"release {judged['release']}" in sealed.text) == (200, True)
    assert sealed.headers["Content-Security-Policy"].startswith("sandbox")
    for path in ("", mini.NAME, dossier):
        url = f"{production.airflow_url}/equipoise/{path}"
        assert open_page(url).status == 401
        led = open_page(url, Accept="text/html")
        assert (led.status, "/login?next=" in led.headers["Location"]) == (303, True)


def test_tables_and_models_lie_in_the_object_store_alone(judged: dict[str, Any], production: Layout) -> None:
    assert judged
    kept = {path.name for path in production.home.iterdir()}
    assert not kept & {"labels", "snapshots", "shadow", "logs"}
    assert not (production.home / "mlflow" / "mlflow.db").exists()
    assert not (production.home / "mlflow" / "artifacts").exists()


def test_reviewers_are_known_by_their_user_names_and_promote(
    judged: dict[str, Any], production: Layout, home: Path
) -> None:
    """FAB numbers its users, and surface.yaml names them."""
    ana = client(production, "ana")
    ana.unpause(PROMOTE)
    run = ana.trigger(PROMOTE, {"release": str(judged["release"]), "why": "the first"})
    asked = {"product": "ana", "safety": "sam"}
    while waiting := [role for role in asked if state(ana, run, f"approve_{role}") not in ENDED]:
        for role in waiting:
            if state(ana, run, f"approve_{role}") == "awaiting_input":
                time.sleep(SETTLED)
                with pytest.raises(StoreError, match="403"):
                    client(production, "max").answer(PROMOTE, run, f"approve_{role}", "Approve")
                client(production, asked[role]).answer(PROMOTE, run, f"approve_{role}", "Approve")
        time.sleep(1)
    assert follow(ana, PROMOTE, run, Lines()), "\n".join(failed_logs(ana, PROMOTE, run))
    assert equipoise(home, "release", "show", mini.NAME, "champion")["version"] == judged["release"]
    *approvals, moved = equipoise(home, "release", "history", mini.NAME)
    assert sorted((row["role"], row["by"]) for row in approvals) == sorted(asked.items())
    assert (moved["kind"], moved["by"], moved["why"]) == ("promote", "ana, sam", "the first")


def state(airflow: Airflow, run: str, step: str) -> str:
    (found,) = [one["state"] for one in airflow.instances(PROMOTE, run) if one["task_id"] == step]
    return str(found)


def test_where_postgresql_is_away_a_command_says_so_and_waits_for_nobody(
    judged: dict[str, Any], production: Layout, home: Path
) -> None:
    (postgres,) = [record.pid for record in records(production) if record.name == "postgres"]
    os.killpg(postgres, signal.SIGINT)
    refused = local("command", home, "release", "list", mini.NAME)
    assert refused.returncode == StoreError.exit_code
    unreachable = "StoreError: The MLflow server is unreachable or refused the request"
    ended = "StoreError: These parts have ended: "  # where PostgreSQL was quicker than the command
    assert refused.stderr.startswith((unreachable, ended))
    assert refused.stderr.startswith(unreachable) or "postgres" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_was_made_is_there_when_the_parts_were_stopped_and_started(
    judged: dict[str, Any], home: Path
) -> None:
    down = local("down", home)
    assert down.returncode == 0
    assert "object-store" in down.stdout  # what needs PostgreSQL may have ended with it
    assert local("status", home).returncode == 1
    up(home)
    assert local("status", home).returncode == 0
    assert equipoise(home, "release", "verify", mini.NAME, str(judged["release"]))["problems"] == []
