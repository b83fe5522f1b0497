"""Which tasks are trained: all of a first release, else those due."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from tasks.errors import ContractError, DataError, ImmatureLabels
from tasks.pipeline import retrain
from tasks.stores.workspace import Workspace
from tasks.training import plan
from tests.feeds import small_feed
from tests.feeds.mini import AS_OF, LATER, NAME, TASKS, Retrained
from tests.stores.mlflow_home import new_home


@pytest.fixture
def without_champion(mini_surfaces: Path, tmp_path: Path) -> Workspace:
    return Workspace.open(NAME, surfaces=mini_surfaces, home=new_home(tmp_path))


@pytest.mark.parametrize("cadence", ["fast", "slow"])
def test_a_first_release_trains_every_task_whatever_is_due(
    without_champion: Workspace, cadence: Literal["fast", "slow"]
) -> None:
    planned = plan.run(without_champion, as_of=AS_OF, cadence=cadence)
    assert sorted(planned.tasks) == sorted(TASKS)


def test_what_a_task_needs_is_planned_before_it(without_champion: Workspace) -> None:
    tasks = plan.run(without_champion, as_of=AS_OF).tasks
    assert tasks.index("purchase_2d") < tasks.index("return_5d")
    assert tasks.index("hide_2d") < tasks.index("satisfied_2d")


def test_a_first_release_of_some_tasks_is_refused_with_those_that_nobody_can_lend(
    without_champion: Workspace,
) -> None:
    asked = [task for task in TASKS if task != "hide_2d"]
    with pytest.raises(ContractError, match="no champion to take hide_2d from"):
        plan.run(without_champion, as_of=AS_OF, tasks=asked)


def test_an_unknown_task_is_named(without_champion: Workspace) -> None:
    with pytest.raises(ContractError, match=r"Unknown task 'purchase' .*Did you mean 'purchase_2d'"):
        plan.run(without_champion, as_of=AS_OF, tasks=["purchase"])


@pytest.fixture
def ten_days(tmp_path: Path) -> Workspace:
    """A log of ten days, of which nothing is labelled."""
    small_feed.write_contracts(tmp_path / "surfaces")
    small_feed.write_logs(new_home(tmp_path / "home") / "logs", days=(0, 10))
    return Workspace.open(small_feed.NAME, surfaces=tmp_path / "surfaces", home=tmp_path / "home")


def test_a_first_retrain_of_too_few_days_ends_before_a_label_is_built(ten_days: Workspace) -> None:
    gates = "gates: {decision: {first: {column: price}}}\n"
    small_feed.write_contracts(ten_days.surfaces, surface=small_feed.SURFACE + gates)
    with pytest.raises(
        ImmatureLabels, match=r"'click_1d' cannot be trained .*\n.*'buy_2d' cannot be trained"
    ):
        retrain(ten_days, as_of=small_feed.FIRST + timedelta(days=10))
    assert not (ten_days.home / "labels").exists()


def test_a_first_retrain_of_too_few_positives_ends_before_a_label_is_built(tmp_path: Path) -> None:
    """One task of four could be trained for minutes before another is found to lack positives."""
    many = small_feed.SURFACE.replace("positives: 20", "positives: 2000")
    gates = "gates: {decision: {first: {column: price}}}\n"
    small_feed.write_contracts(tmp_path / "surfaces", surface=many + gates)
    small_feed.write_logs(new_home(tmp_path / "home") / "logs")
    workspace = Workspace.open(small_feed.NAME, surfaces=tmp_path / "surfaces", home=tmp_path / "home")
    with pytest.raises(
        ImmatureLabels, match=r"'back_2d' cannot be trained: its train slice has \d+ positives"
    ):
        retrain(workspace, as_of=small_feed.AS_OF)
    assert not (workspace.home / "labels").exists()


def test_a_first_retrain_of_a_log_that_lacks_a_column_ends_before_a_label_is_built(
    ten_days: Workspace,
) -> None:
    """The log has no position, so there is no logged order to compare a first release with."""
    with pytest.raises(DataError, match=r"surface.yaml: gates.decision.first = position: Missing column"):
        retrain(ten_days, as_of=small_feed.FIRST + timedelta(days=10))
    assert not (ten_days.home / "labels").exists()


def test_beside_a_champion_the_fast_run_leaves_slow_tasks_to_it(second_retrain: Retrained) -> None:
    planned = plan.run(second_retrain.workspace, as_of=LATER)
    assert sorted(planned.tasks) == sorted(set(TASKS) - {"return_5d"})


def test_the_slow_run_trains_what_is_slow(second_retrain: Retrained) -> None:
    assert plan.run(second_retrain.workspace, as_of=LATER, cadence="slow").tasks == ["return_5d"]


def test_tasks_that_are_asked_for_come_in_the_contracts_order(second_retrain: Retrained) -> None:
    asked = ["satisfied_2d", "return_5d", "click_30m"]
    planned = plan.run(second_retrain.workspace, as_of=LATER, tasks=asked)
    assert planned.tasks == [
        task for task in second_retrain.workspace.contracts.tasks.order() if task in asked
    ]


def test_a_retrain_before_the_champion_takes_nothing_from_it(second_retrain: Retrained) -> None:
    planned = plan.run(second_retrain.workspace, as_of=AS_OF - timedelta(days=1))
    assert sorted(planned.tasks) == sorted(TASKS)
    with pytest.raises(ContractError, match="one before the champion's as-of, trains every task"):
        plan.run(second_retrain.workspace, as_of=AS_OF - timedelta(days=1), tasks=["click_30m"])
