"""docker-compose.yml runs: a retrain on two workers, one of them killed; an approval; `down` and `up`; who has which secret."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from deploy.compose import password_of
from deploy.follow import Lines, failed_logs, follow
from tasks.stores.aliases import release_name
from tests.containers.stack import Stack, podman
from tests.e2e.rest import Client
from tests.feeds import mini

DAG, PROMOTE = f"{mini.NAME}__retrain", f"{mini.NAME}__promote"
LOGS = f"s3://equipoise/logs/{mini.NAME}"
SETTLED = 8  # seconds after which Airflow takes an answer for certain
MOVE_ALIAS = f"""
import mlflow
client, model = mlflow.MlflowClient(), {release_name(mini.NAME)!r}
try:
    client.set_registered_model_alias(model, "challenger", client.get_model_version_by_alias(model, "challenger").version)
except mlflow.MlflowException as error:
    print(error.error_code)
else:
    print("moved")
"""
OPEN_DATABASE = """
import psycopg2
try:
    psycopg2.connect(dbname="airflow")
except psycopg2.OperationalError as error:
    print(error)
"""
NAME_USER = """
import psycopg2
with psycopg2.connect(dbname="celery") as connection, connection.cursor() as cursor:
    cursor.execute("SELECT session_user, current_user, count(*) > 0 FROM celery_taskmeta")
    print(*cursor.fetchone())
"""
WRITE_AUDIT = """
import boto3, botocore
for prefix in ("store/audit", "mlflow", "logs"):
    try:
        boto3.client("s3").put_object(Bucket="equipoise", Key=f"{prefix}/forged", Body=b"")
    except botocore.exceptions.ClientError as error:
        print(error.response["ResponseMetadata"]["HTTPStatusCode"])
"""
pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group("containers"),
    pytest.mark.skipif("CONTAINERS_CONF" not in os.environ, reason="`make test-compose` makes the images"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every service of the file with two workers; at the end no container and no volume is left."""
    started = Stack(tmp_path_factory.mktemp("stack"), workers=2)
    try:
        started.up()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def judged(stack: Stack) -> dict[str, Any]:
    """What the gate returned at the end of a retrain, one of whose workers was killed while it trained."""
    root = {"AWS_ACCESS_KEY_ID": "equipoise", "AWS_SECRET_ACCESS_KEY": stack.secrets["OBJECT_STORE_PASSWORD"]}
    days, requests, seed = str(mini.DAYS), str(mini.REQUESTS_PER_DAY), str(mini.SEED)
    world = ("--days", days, "--requests-per-day", requests, "--seed", seed, "--out", LOGS)
    equipoise(stack, "world", "generate", *world, environment=root)
    ana = client(stack, "ana")
    ana.unpause(DAG)
    run = ana.trigger(DAG, {"as_of": mini.AS_OF.isoformat()})
    kill_worker_of(stack, ana, run, "models.train")
    assert follow(ana, DAG, run, Lines()), "\n".join(failed_logs(ana, DAG, run))
    found: dict[str, Any] = ana.result(DAG, run, "gate")
    steps = ana.instances(DAG, run)
    by_step = {
        step: {one["hostname"] for one in steps if one["task_id"] == step}
        for step in ("models.train", "release")
    }
    return {**found, "trained_on": by_step["models.train"], "released_on": by_step["release"], "steps": steps}


def kill_worker_of(stack: Stack, airflow: Client, run: str, step: str) -> None:
    """Kill the worker that runs a step, as the kernel does when memory is short."""
    deadline = time.monotonic() + 600
    running: list[dict[str, Any]] = []
    while not running:
        assert time.monotonic() < deadline, stack.tail()
        steps = airflow.instances(DAG, run)
        failed = [one["task_id"] for one in steps if one["state"] in {"failed", "upstream_failed"}]
        assert not failed, "\n".join(failed_logs(airflow, DAG, run))
        running = [one for one in steps if (one["task_id"], one["state"]) == (step, "running")]
        time.sleep(1)
    (victim,) = [one for one in stack.inspect("worker") if one["Id"].startswith(running[0]["hostname"])]
    os.kill(victim["State"]["Pid"], signal.SIGKILL)


def equipoise(stack: Stack, *words: str, environment: Mapping[str, str] | None = None) -> Any:
    command = ("python", "-m", "tasks.cli", *words, "--json")
    return json.loads(stack.run("release-worker", *command, environment=environment))


def client(stack: Stack, user: str) -> Client:
    return Client(stack.airflow_url, user, stack.secrets[password_of(user)])


def test_every_service_is_healthy_and_every_job_has_ended(stack: Stack) -> None:
    assert stack.lacking() == set()
    assert len(stack.inspect("worker")) == 2


def test_a_retrain_runs_on_two_workers_and_its_release_is_made_by_a_third(
    judged: dict[str, Any], stack: Stack
) -> None:
    workers = {one["Id"][:12] for one in stack.inspect("worker")}
    assert judged["trained_on"] == workers
    assert judged["released_on"] == {one["Id"][:12] for one in stack.inspect("release-worker")}
    assert judged["verdict"] == "promote"


def test_a_worker_that_was_killed_in_mid_step_is_started_again(judged: dict[str, Any], stack: Stack) -> None:
    assert sorted(one["RestartCount"] for one in stack.inspect("worker")) == [0, 1]
    assert max(one["try_number"] for one in judged["steps"] if one["task_id"] == "models.train") == 2


def test_an_approval_moves_the_alias(judged: dict[str, Any], stack: Stack) -> None:
    ana = client(stack, "ana")
    ana.unpause(PROMOTE)
    run = ana.trigger(PROMOTE, {"release": str(judged["release"]), "why": "the first"})
    asked = {"approve_product": "ana", "approve_safety": "sam"}
    answered: set[str] = set()
    while answered != set(asked):
        states = {one["task_id"]: one["state"] for one in ana.instances(PROMOTE, run)}
        for step, user in asked.items():
            if states.get(step) == "awaiting_input":
                time.sleep(SETTLED)
                client(stack, user).answer(PROMOTE, run, step, "Approve")
            elif states.get(step) in {"success", "failed", "upstream_failed"}:
                answered.add(step)
        time.sleep(1)
    assert follow(ana, PROMOTE, run, Lines()), "\n".join(failed_logs(ana, PROMOTE, run))
    assert equipoise(stack, "release", "show", mini.NAME, "champion")["version"] == judged["release"]


def test_a_worker_moves_no_alias_writes_no_audit_and_opens_no_database_of_airflow(
    judged: dict[str, Any], stack: Stack
) -> None:
    assert judged
    assert stack.run("worker", "python", "-c", MOVE_ALIAS).strip() == "PERMISSION_DENIED"
    assert stack.run("release-worker", "python", "-c", MOVE_ALIAS).strip() == "moved"
    assert stack.run("worker", "python", "-c", WRITE_AUDIT).split() == ["403", "403", "403"]
    assert "permission denied for database" in stack.run("worker", "python", "-c", OPEN_DATABASE)


def test_each_worker_reads_celery_s_results_with_a_login_of_its_own(
    judged: dict[str, Any], stack: Stack
) -> None:
    assert judged
    for service, user in {"worker": "worker", "release-worker": "releases", "scheduler": "airflow"}.items():
        assert stack.run(service, "python", "-c", NAME_USER).split() == [user, "celery", "True"]


def test_what_was_made_is_there_after_down_and_up(judged: dict[str, Any], stack: Stack) -> None:
    stack.down()
    assert podman("ps", "--all", "--quiet", "--filter", stack.label) == ""
    stack.up()
    assert equipoise(stack, "release", "show", mini.NAME, "champion")["version"] == judged["release"]
    assert equipoise(stack, "release", "verify", mini.NAME, "champion")["problems"] == []


def test_a_secret_is_in_no_log_and_in_no_container_that_does_not_need_it(stack: Stack) -> None:
    """`docker-compose.yml` says who needs it: tests/deploy/test_compose.py holds that list."""
    printed = stack.log.read_text(errors="replace") + stack.run(
        "api-server", "sh", "-c", "cat $(find /var/lib/equipoise/airflow/logs -type f)"
    )
    assert [name for name, secret in stack.secrets.items() if secret in printed] == []
    for service, declared in stack.declared.items():
        known = json.dumps(stack.inspect(service))
        found = {name for name, secret in stack.secrets.items() if secret in known}
        assert found == {name for name in stack.secrets if f"${{{name}:?}}" in json.dumps(declared)}, service
