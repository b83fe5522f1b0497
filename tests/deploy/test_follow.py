import io
from typing import Any

from deploy.airflow_api import Airflow
from deploy.follow import Lines, failed_logs, follow
from tests.deploy.conftest import Server

RUN = "/api/v2/dags/d/dagRuns/r"


def instance(step: str, state: str | None, **more: Any) -> dict[str, Any]:
    plain = {
        "task_id": step,
        "map_index": -1,
        "state": state,
        "duration": 4.0,
        "try_number": 1,
        "end_date": "1",
    }
    return {**plain, **more}


def test_a_line_for_each_step_that_ends_and_one_for_what_runs(airflow: Airflow) -> None:
    Server.answers = {
        RUN: [{"state": "running"}, {"state": "success"}],
        f"{RUN}/taskInstances": [
            {"task_instances": [instance("plan", "success"), instance("labels", "running")]},
            {"task_instances": [instance("plan", "success"), instance("labels", "success", duration=102)]},
        ],
    }
    out = io.StringIO()
    assert follow(airflow, "d", "r", Lines(out), pause=0.01)
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert lines == [
        "[ 1/2] plan success 4 s",
        "[ 1/2] running labels 0 s so far",
        "[ 2/2] labels success 1 min 42 s",
    ]


def test_a_mapped_step_is_named_by_its_task(airflow: Airflow) -> None:
    mapped = instance("models.train", "failed", map_index=1, rendered_map_index="purchase_7d")
    Server.answers = {
        RUN: [{"state": "failed"}],
        f"{RUN}/taskInstances": [{"task_instances": [mapped]}],
    }
    out = io.StringIO()
    assert not follow(airflow, "d", "r", Lines(out), pause=0.01)
    assert "models.train (purchase_7d)" in out.getvalue()


def test_a_failure_shows_the_end_of_its_log_and_the_first_to_fail_stands_first(airflow: Airflow) -> None:
    entries = [
        {"event": "::group::Pre Execute"},
        {
            "event": "Task failed with exception",
            "error_detail": [{"exc_type": "DataError", "exc_value": "a\nb"}],
        },
    ]
    Server.answers = {
        f"{RUN}/taskInstances": [
            {"task_instances": [instance("gate", "failed", end_date="9"), instance("labels", "failed")]}
        ],
        f"{RUN}/taskInstances/labels/logs/1": [{"content": entries}],
        f"{RUN}/taskInstances/gate/logs/1": [{"content": ["a plain line"]}],
    }
    assert [line.strip() for line in failed_logs(airflow, "d", "r")] == [
        "labels failed. The end of its log:",
        "Task failed with exception",
        "DataError: a",
        "b",
        "gate failed. The end of its log:",
        "a plain line",
    ]
