"""A whole retrain through Airflow, beside a champion, in which one task has too few positives to be trained."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.files import setting
from tests.dags.conftest import Ended, Start
from tests.verdicts import subject_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore"),  # a step would fail by what Airflow's libraries say of one another
]

CLICK, HIDE = "click_30m", "hide_2d"
NEEDED = 500


@pytest.fixture
def ended(start: Start, champion: Any, tmp_path: Path) -> SimpleNamespace:
    """A retrain of both tasks that asks for more positives than there were hides."""
    from tests.feeds import mini

    workspace = mini.changed(champion, tmp_path, surface=setting("minimum.positives", NEEDED))
    run = start(
        f"{mini.NAME}__retrain",
        surfaces=workspace.surfaces,
        home=workspace.home,
        as_of=mini.LATER.isoformat(),
    )
    return SimpleNamespace(workspace=workspace, run=run)


def test_the_release_keeps_the_champions_model_with_the_reason_and_the_run_succeeds(
    ended: SimpleNamespace, champion: Any
) -> None:
    from tests.stores.plain_evidence import read_plain

    run: Ended = ended.run
    assert (run.state, set(run.steps.values())) == ("success", {"success"})
    judged = run.result("gate")
    was, now = (champion.releases.manifest(version).pins for version in (1, judged["release"]))
    for part in ("task", "calibrator"):
        assert now[f"home_feed.{part}.{HIDE}"] == was[f"home_feed.{part}.{HIDE}"] == 1
        assert now[f"home_feed.{part}.{CLICK}"] == 2
    gates = read_plain(ended.workspace.home, judged["run_id"])["gates"]
    (kept,) = (gate for gate in gates if subject_of(gate).endswith(".trained"))
    assert (subject_of(kept), kept["outcome"]) == (f"{HIDE}.trained", "warn")
    assert f"reuses the champion's model. Task '{HIDE}' cannot be trained: its train slice" in kept["reason"]
    assert f"{NEEDED} are needed (minimum.positives)" in kept["reason"]
    assert f"{HIDE} reuses the champion's model" in run.note
    said = [
        value
        for (step, _, key), value in run.handed_on.items()
        if step == "models.calibrate" and key == "return_value"
    ]
    assert {part["task"]: "why" in part for part in said} == {CLICK: False, HIDE: True}
