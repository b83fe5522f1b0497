"""A changed policy through Airflow, beside a champion: its models under the new weights, judged as a retrain's."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dags.conftest import Ended, Start, steps_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore"),  # a step would fail by what Airflow's libraries say of one another
]


def test_its_steps_are_the_end_of_a_retrain_with_the_champions_parts(bag: SimpleNamespace) -> None:
    steps = steps_of(bag.dags["feed__policy_change"])
    assert {name: step.upstream_task_ids for name, step in steps.items()} == {
        "champion": set(),
        "validate": {"champion"},
        "release": {"champion", "validate"},
        "simulate": {"release"},
        "shadow": {"release"},
        "gate": {"champion", "validate", "release", "simulate", "shadow"},
        "propose": {"gate"},
    }


def test_a_changed_weight_is_released_with_the_champions_models(
    start: Start, champion: Any, tmp_path: Path
) -> None:
    from tasks.stores.manifest import Role
    from tests.feeds import mini

    home = Path(shutil.copytree(champion.home, tmp_path / "home"))
    changed = mini.changed(champion, tmp_path, utility=mini.version_2)
    run: Ended = start(f"{mini.NAME}__policy_change", surfaces=changed.surfaces, home=home)
    assert (run.state, set(run.steps.values())) == ("success", {"success"})
    there = type(changed).open(mini.NAME, surfaces=changed.surfaces, home=home)
    was, now = (there.releases.manifest(version) for version in (1, run.result("gate")["release"]))
    fitted = {Role.TASK, Role.CALIBRATOR}
    assert [part for part in now.parts if part.role in fitted] == [
        part for part in was.parts if part.role in fitted
    ]
    policies = [manifest.part(Role.UTILITY_POLICY).version for manifest in (was, now)]
    assert policies == [1, 2]
    assert "models of the champion" in run.note


def test_without_a_change_the_first_step_says_so(start: Start, champion: Any) -> None:
    from tests.feeds import mini

    run = start(f"{mini.NAME}__policy_change", surfaces=champion.surfaces, home=champion.home)
    assert run.state == "failed"
    assert run.steps["champion", None] == "failed"
    assert (run.steps["gate", None], run.tries["gate", None]) == ("failed", 1)
    assert "there is no change to apply" in run.note
