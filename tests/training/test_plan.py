"""Which tasks are trained: all of a first release, else those due."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ContractError, DataError, ImmatureLabels
from tasks.labels import build
from tasks.pipeline import retrain
from tasks.stores.workspace import Workspace, format_instant
from tasks.training import plan
from tasks.training.outlook import Outlook, count_days_needed, foresee, foresee_days
from tasks.training.slices import plan_slices
from tests.feeds import small_feed
from tests.feeds.mini import AS_OF, LATER, NAME, TASKS, Retrained
from tests.stores.mlflow_home import new_home
from tests.training.surfaces import binary, shop, surface

FIRST = date(2026, 1, 1)
DAY = timedelta(days=1)


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


def test_after_the_end_of_a_log_the_test_days_are_those_whose_labels_arrived(ten_days: Workspace) -> None:
    """Without the end of the log every window would seem to be over as of a month later."""
    end = small_feed.FIRST + 9 * DAY
    text = small_feed.SURFACE.replace("split: {", f"until: {end:%F}\nsplit: {{")
    small_feed.write_contracts(ten_days.surfaces, surface=text)
    later = Workspace.open(small_feed.NAME, surfaces=ten_days.surfaces, home=ten_days.home)
    foreseen, built = foresee(later, as_of=end + 30 * DAY), build.run(later, as_of=end + 30 * DAY)
    in_time = foresee(later, as_of=end + DAY)
    assert foreseen.arrived == built.arrived == format_instant(end + DAY)
    assert (foreseen.test, foreseen.tasks) == (in_time.test, in_time.tasks)


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


def as_of(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC) + day * DAY


def days(count: int) -> Sequence[date]:
    return [FIRST + n * DAY for n in range(count)]


def seen(count: int, **more: Any) -> Outlook:
    return foresee_days(shop(**more), as_of(count), dict.fromkeys(days(count), 10))


def test_slices_are_those_that_a_retrain_cuts_and_the_decider_of_the_test_days_is_named() -> None:
    outlook = seen(132)
    cut = plan_slices(shop(), as_of(132), days(132))
    assert outlook.to_json()["complete"]
    assert outlook.test == cut.test.to_json()
    assert outlook.test_decided_by == "purchase_7d"
    assert {name: task.slices for name, task in outlook.tasks.items()} == {
        name: slices.to_json() for name, slices in cut.tasks.items()
    }
    assert (outlook.first_day, outlook.last_day, outlook.days, outlook.rows) == (
        "2026-01-01",
        "2026-05-12",
        132,
        1320,
    )


def test_what_is_missing_is_said_with_the_day_from_which_it_is_there() -> None:
    outlook = seen(60)
    assert list(outlook.missing) == ["return_30d"]
    late = outlook.tasks["return_30d"]
    assert (late.days_needed, late.possible_from, late.slices) == (132, "2026-05-13", None)
    assert outlook.days_needed == 132
    assert outlook.tasks["click_30m"].slices


def test_test_days_are_known_before_the_task_that_decides_them_can_be_trained() -> None:
    outlook = seen(20)
    assert "purchase_7d" in outlook.missing
    assert outlook.test == ["2026-01-06", "2026-01-12"]


def test_an_empty_log_is_an_outlook_too() -> None:
    outlook = seen(0)
    assert (outlook.first_day, outlook.days, outlook.test) == (None, 0, None)
    assert set(outlook.missing.values()) == {"The log has no impression before the as-of."}


def test_durations_are_said_in_days_hours_and_minutes() -> None:
    words = seen(30).missing["purchase_7d"]
    assert "embargoes of 8 days (maturity) before as-of and test and 7 days (window)" in words
    clicks = seen(12).missing["click_30m"]
    assert "1 hour (maturity)" in clicks
    assert "30 minutes (window)" in clicks
    assert "are moved by 'purchase_7d': it is known after 8 days" in clicks


@given(
    window=st.integers(1, 20 * 24),
    slack=st.integers(0, 100),
    lengths=st.tuples(*[st.integers(1, 12)] * 3),
    hour=st.integers(0, 23),
)
def test_the_days_needed_are_enough_and_one_less_is_not(
    window: int, slack: int, lengths: tuple[int, int, int], hour: int
) -> None:
    train, calibrate, test = lengths
    tasks = {"a": binary("a", f"PT{window}H", f"PT{window + slack}H"), "b": binary("b", "PT1H")}
    split = {"train": f"P{train}D", "calibrate": f"P{calibrate}D", "test": f"P{test}D"}
    contracts = surface(tasks, split=split, minimum={"train": f"P{max(train // 2, 1)}D"})
    for task in tasks:
        needed = count_days_needed(contracts, task, as_of(0))
        assert plan_slices(contracts, as_of(needed), days(needed), tasks=[task]).tasks[task].train
        with pytest.raises(ImmatureLabels):
            plan_slices(contracts, as_of(needed - 1), days(needed - 1), tasks=[task])
        later = count_days_needed(contracts, task, as_of(0, hour))
        assert plan_slices(contracts, as_of(later, hour), days(later), tasks=[task]).tasks[task].train


def test_a_task_that_is_never_trained_is_in_no_plan_and_is_refused_by_name(tmp_path: Path) -> None:
    """Too few positives of it, which would refuse a first retrain, are nobody's concern."""
    rule = "back_2d: {family: negative, "
    untrained = small_feed.TASKS.replace(rule, f"{rule}train: false, ")
    fewer = small_feed.UTILITY.replace(", back_2d: -5.0", "")
    many = small_feed.SURFACE.replace("positives: 20", "positives: 300")
    small_feed.write_contracts(tmp_path / "surfaces", tasks=untrained, utility=fewer, surface=many)
    small_feed.write_logs(new_home(tmp_path / "home") / "logs")
    workspace = Workspace.open(small_feed.NAME, surfaces=tmp_path / "surfaces", home=tmp_path / "home")
    trained = ["click_1d", "buy_2d", "spend_2d"]
    assert plan.run(workspace, as_of=small_feed.AS_OF).tasks == trained
    foreseen = foresee(workspace, as_of=small_feed.AS_OF)
    assert ([*foreseen.tasks], foreseen.measured, foreseen.missing) == (trained, ("back_2d",), {})
    assert foreseen.test_decided_by == "back_2d"  # which is known last: its rate is measured on these days
    refused = (
        r"'back_2d' of small_feed is never trained \(train: false\)\. Trained: click_1d, buy_2d, spend_2d"
    )
    with pytest.raises(ContractError, match=refused):
        plan.run(workspace, as_of=small_feed.AS_OF, tasks=["back_2d"])
