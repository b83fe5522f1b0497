"""A retrain through Airflow that launches its training and its calibration as MLflow projects."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.dags.conftest import parse

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore"),  # a step would fail by what Airflow's libraries say of one another
]

TASKS = """
contract: small-feed-labels
version: 1
tasks:
  click_1d: {family: engagement, positive: {event: click, within: P1D}, observed_when: {column: visible}}
"""
UTILITY = """
policy: small-feed-utility
version: 1
owner: tests
approvals: [product]
weights: {click_1d: 1.0}
"""


def test_the_steps_take_what_their_projects_made(
    migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.stores.tracking import connect
    from tests.feeds.small_feed import AS_OF, NAME, SURFACE, write_contracts, write_logs

    surface = SURFACE + "gates: {decision: {first: {column: price}}}\n"
    surfaces = write_contracts(tmp_path / "surfaces", surface=surface, tasks=TASKS, utility=UTILITY)
    home = tmp_path / "home"
    write_logs(home / "logs")
    monkeypatch.setenv("EQUIPOISE_SURFACES", str(surfaces))
    monkeypatch.setenv("EQUIPOISE_HOME", str(home))
    monkeypatch.setenv("EQUIPOISE_LAUNCHER", "mlflow-project")
    dag = parse(surfaces).dags[f"{NAME}__retrain"]
    ended = dag.test(logical_date=datetime.now(UTC), run_conf={"as_of": AS_OF.isoformat()})
    assert str(ended.state) == "success"
    client = connect(home)
    runs = client.search_runs([client.get_experiment_by_name(NAME).experiment_id])
    projects = {run.info.run_id: run for run in runs if "equipoise.project" in run.data.tags}
    fitted = {run.data.tags["mlflow.parentRunId"]: run for run in runs if run.data.tags.get("task")}
    assert sorted(run.data.tags["step"] for run in fitted.values()) == ["calibrate", "train"]
    assert {run_id: run.data.tags["result.run_id"] for run_id, run in projects.items()} == {
        run_id: run.info.run_id for run_id, run in fitted.items()
    }
