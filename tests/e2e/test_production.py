"""A retrain on every production part: PostgreSQL, Redis, an object store, Airflow on Celery with FAB, MLflow with logins."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.airflow_api import Airflow
from deploy.follow import Lines, failed_logs, follow
from deploy.supervisor import members
from tasks.errors import StoreError
from tests.e2e.production import ACCOUNTS, JOBS, LOGS, Production
from tests.e2e.rest import Client, open_page
from tests.feeds import mini

DAG, PROMOTE = f"{mini.NAME}__retrain", f"{mini.NAME}__promote"
ENDED = {"success", "failed", "upstream_failed"}
SETTLED = 8  # seconds after which Airflow takes an answer for certain
LASTING = {
    *("postgres", "redis", "object-store", "mlflow"),
    *("api-server", "scheduler", "dag-processor", "triggerer", "worker", "release-worker"),
}
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("production"),
    pytest.mark.skipif(
        shutil.which("redis-server") is None or not Path("/usr/lib/postgresql").exists(),
        reason="Debian's PostgreSQL and Redis are not installed: .ci/services does it",
    ),
]


@pytest.fixture(scope="module")
def production() -> Iterator[Production]:
    """The services in a folder that PostgreSQL's user may enter; at the end none of their processes is left."""
    folder = Path(tempfile.mkdtemp(prefix="equipoise-production-"))
    folder.chmod(0o755)
    mini.rewrite(mini.write_contracts(folder / "surfaces") / mini.NAME / "surface.yaml", mini.end_schedule)
    services = Production(folder)
    try:
        services.start()
        yield services
    finally:
        services.close()
    assert services.left() == set()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def judged(production: Production) -> dict[str, Any]:
    """What the gate returned at the end of the retrain that ana started."""
    days, requests, seed = str(mini.DAYS), str(mini.REQUESTS_PER_DAY), str(mini.SEED)
    world = ("--days", days, "--requests-per-day", requests, "--seed", seed)
    equipoise(production, "world", "generate", *world, "--out", f"{LOGS}/{mini.NAME}")
    ana = client(production, "ana")
    ana.unpause(DAG)
    run = ana.trigger(DAG, {"as_of": mini.AS_OF.isoformat()})
    assert follow(ana, DAG, run, Lines()), "\n".join(failed_logs(ana, DAG, run))
    found: dict[str, Any] = ana.result(DAG, run, "gate")
    return found


def client(production: Production, user: str) -> Client:
    return Client(production.layout.airflow_url, user, production.secrets[f"{user.upper()}_PASSWORD"])


def equipoise(production: Production, *words: str) -> Any:
    done = production.equipoise(*words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_every_part_lives_and_listens_on_this_machine_alone(production: Production) -> None:
    assert production.running == LASTING == set(production.services) - JOBS - {ACCOUNTS}
    if shutil.which("ss") is None:
        pytest.skip("ss lists who listens")
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = {f"pid={pid}," for pid in members(production.leaders)}
    heard = {line.split()[3].rpartition(":")[0] for line in lines if any(pid in line for pid in ours)}
    assert heard == {"127.0.0.1"}


def test_no_secret_stands_on_a_command_line(production: Production) -> None:
    secrets = production.secrets.values()
    ours = members(production.leaders)
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") for pid in ours]
    assert [line for line in lines if any(secret in line for secret in secrets)] == []


def test_people_log_in_with_their_roles(production: Production) -> None:
    eve = client(production, "eve")
    assert eve.knows(DAG)
    with pytest.raises(StoreError, match="403"):
        eve.trigger(DAG, {})
    with pytest.raises(StoreError, match="401"):
        Airflow(production.layout.airflow_url, "ana", "guessed").knows(DAG)


def test_mlflow_wants_the_same_login(production: Production) -> None:
    password = production.secrets["SAM_PASSWORD"]
    assert asked_for_experiments(production, "sam", password) == 200
    assert asked_for_experiments(production, "sam", "guessed") == 401


def asked_for_experiments(production: Production, user: str, password: str) -> int:
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - http:// always
        f"{production.layout.mlflow_url}/api/2.0/mlflow/experiments/search?max_results=1",
        headers={"Authorization": f"Basic {login}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_retrain_makes_a_release_whose_every_byte_verifies(
    judged: dict[str, Any], production: Production
) -> None:
    """The verdict is that of the same log and contracts on one machine: no bound of the mini feed is passed."""
    shown = equipoise(production, "release", "show", mini.NAME, "challenger")
    assert (judged["verdict"], shown["verdict"], shown["reasons"]) == ("promote", "promote", [])
    assert shown["version"] == judged["release"]
    assert set(shown["metrics"]) == set(mini.TASKS)
    done = production.equipoise("release", "verify", mini.NAME, "challenger", "--json")
    (problem,) = json.loads(done.stdout)["problems"]  # every byte is right, and nobody has approved it yet
    assert problem.startswith("No move of the audit made")


def test_a_viewer_reads_equipoise_s_pages_under_production_s_login(
    judged: dict[str, Any], production: Production
) -> None:
    eve, dossier = client(production, "eve"), f"{mini.NAME}/releases/{judged['release']}/dossier"
    page = eve.open(mini.NAME)
    assert (page.status, f"releases/{judged['release']}/dossier" in page.text) == (200, True)
    sealed = eve.open(dossier)
    assert (sealed.status, f"release {judged['release']}" in sealed.text) == (200, True)
    assert sealed.headers["Content-Security-Policy"].startswith("sandbox")
    for path in ("", mini.NAME, dossier):
        url = f"{production.layout.airflow_url}/equipoise/{path}"
        assert open_page(url).status == 401
        led = open_page(url, Accept="text/html")
        assert (led.status, "/login?next=" in led.headers["Location"]) == (303, True)


def test_tables_and_models_lie_in_the_object_store_alone(
    judged: dict[str, Any], production: Production
) -> None:
    assert judged
    kept = {path.name for path in production.home.iterdir()}
    assert not kept & {"labels", "snapshots", "shadow", "logs"}
    assert not (production.home / "mlflow" / "mlflow.db").exists()
    assert not (production.home / "mlflow" / "artifacts").exists()


def test_reviewers_are_known_by_their_user_names_and_promote(
    judged: dict[str, Any], production: Production
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
    assert equipoise(production, "release", "show", mini.NAME, "champion")["version"] == judged["release"]
    *approvals, moved = equipoise(production, "release", "history", mini.NAME)
    assert sorted((row["role"], row["by"]) for row in approvals) == sorted(asked.items())
    assert (moved["kind"], moved["by"], moved["why"]) == ("promote", "ana, sam", "the first")


def state(airflow: Airflow, run: str, step: str) -> str:
    (found,) = [one["state"] for one in airflow.instances(PROMOTE, run) if one["task_id"] == step]
    return str(found)


def test_where_postgresql_is_away_a_command_says_so_and_waits_for_nobody(
    judged: dict[str, Any], production: Production
) -> None:
    os.killpg(production.processes["postgres"].pid, signal.SIGINT)
    refused = production.equipoise("release", "list", mini.NAME)
    assert refused.returncode == StoreError.exit_code
    assert refused.stderr.startswith("StoreError: The MLflow server is unreachable or refused the request")
    assert "Traceback" not in refused.stderr


def test_what_was_made_is_there_when_the_services_were_stopped_and_started(
    judged: dict[str, Any], production: Production
) -> None:
    production.stop()
    assert production.running == {"object-store"}
    production.start()
    verified = equipoise(production, "release", "verify", mini.NAME, str(judged["release"]))
    assert verified["problems"] == []
