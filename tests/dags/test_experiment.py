"""The daily read-out of a surface's experiments: one ships, and one that nobody logs fails its own step alone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.dags.conftest import Start


@pytest.mark.filterwarnings("ignore")  # a step would fail by what Airflow's libraries say of one another
def test_every_running_experiment_is_read_by_a_step_of_its_own(
    start: Start, mini_world: Path, tmp_path: Path
) -> None:
    from tasks.experiments import plan
    from tests.experiments.arms_feed import NAME, ArmsFeed, write_experiment
    from tests.feeds import mini

    workspace = ArmsFeed().write(mini_world, tmp_path)
    write_experiment(tmp_path, "feed-idle")
    for name in (NAME, "feed-idle"):
        assert plan.run(workspace, name, as_of=datetime(2026, 1, 11, tzinfo=UTC)).evidence.accepted
    where = {"surfaces": workspace.surfaces, "home": workspace.home}
    ended = start(f"{mini.NAME}__experiment", **where, as_of="2026-02-02T00:00:00Z")
    assert ended.result("running") == [NAME, "feed-idle"]
    steps = [ended.steps["read", name] for name in (NAME, "feed-idle")]
    assert (ended.state, steps) == ("failed", ["success", "failed"])
    assert "an arm stopped logging" in ended.note
