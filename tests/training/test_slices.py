import re
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tasks.contracts import Contracts
from tasks.errors import DataError, ImmatureLabels
from tasks.training.slices import (
    ReleaseSlices,
    label_window,
    plan_slices,
    refit_slices,
    time_until_known,
)
from tests.training.surfaces import DAY, FIRST, between, binary, day, instant, shop, surface


def days(count: int, step: int = 1) -> list[date]:
    return [day(n) for n in range(0, count, step)]


def only(within: str, maturity: str | None = None, **more: Any) -> Contracts:
    return surface({"task": binary("click", within, maturity)}, **more)


def test_one_task_reads_from_as_of_backwards() -> None:
    # as of the end of day 59 with 8 days of maturity, day 51 is the newest whose labels are known
    slices = plan_slices(only("P7D", "P8D"), instant(60), days(60)).tasks["task"]
    assert slices.test == between(45, 51)
    assert slices.calibrate == between(30, 36)  # day 36 is over at 37, known at 45, when the test begins
    assert slices.train == between(0, 22)  # day 22 is over at 23, its window at 30, when calibrate begins


def test_all_fast_tasks_share_the_test_slice_of_the_slowest_of_them() -> None:
    plan = plan_slices(shop(), instant(132), days(132))
    assert plan.test == between(117, 123)
    assert plan.tasks["click_30m"].test == plan.tasks["purchase_7d"].test == plan.test


def test_a_task_that_matures_early_calibrates_up_to_the_eve_of_the_test() -> None:
    clicks = plan_slices(shop(), instant(132), days(132)).tasks["click_30m"]
    assert clicks.calibrate == between(109, 115)  # day 116 ends when the test begins: no hour left to mature
    assert clicks.train == between(80, 107)


def test_132_days_leave_exactly_seven_train_days_for_returns_within_30_days_of_a_purchase() -> None:
    slices = plan_slices(shop(), instant(132), days(132)).tasks["return_30d"]
    assert slices.test == between(88, 94)
    assert slices.calibrate == between(44, 50)
    assert slices.train == between(0, 6)  # bought until 14, returned until 44, when calibrate begins


def test_131_days_are_one_too_few_and_the_message_says_so() -> None:
    with pytest.raises(
        ImmatureLabels,
        match=r"'return_30d' cannot be trained as of 2026-05-16T00:00:00Z: 6 mature days.*7 are needed"
        r".*37 days \(window\) before calibration",
    ):
        plan_slices(shop(), instant(131), days(131))


def test_a_label_hangs_on_events_of_its_whole_chain_and_of_all_its_parts() -> None:
    tasks = {
        "look": binary("look", "PT6H"),
        "buy": binary("buy", "P7D", "P9D", after="look"),
        "back": binary("back", "P30D", after="buy"),
        "stars": binary("stars", "P2D", observed_when={"task": "buy"}),
        "sad": {"family": "negative", "compose": {"any_of": ["look", "back"]}},
    }
    spec = surface(tasks).tasks
    hours = {task: label_window(spec, task) / timedelta(hours=1) for task in tasks}
    assert hours == {"look": 6, "buy": 174, "back": 894, "stars": 174, "sad": 894}


def test_a_task_that_starts_from_a_longer_one_waits_for_its_window_too() -> None:
    tasks = {"rare": binary("a", "P1D"), "dense": binary("b", "P5D")}
    starts = {"rare": {"start_from": {"task": "dense"}}}
    alone = plan_slices(surface(tasks), instant(60), days(60)).tasks["rare"]
    started = plan_slices(surface(tasks, training=starts), instant(60), days(60)).tasks["rare"]
    assert alone.calibrate == started.calibrate
    assert (alone.calibrate.start - alone.train.end, started.calibrate.start - started.train.end) == (
        1 * DAY,
        5 * DAY,
    )


def test_a_slow_task_without_history_does_not_keep_the_fast_ones_from_their_slices() -> None:
    plan = plan_slices(shop(), instant(60), days(60), tasks=["purchase_7d"])
    assert list(plan.tasks) == ["purchase_7d"]


def test_a_slow_task_that_is_mature_in_the_shared_slice_is_tested_there() -> None:
    tasks = {"fast": binary("a", "P7D"), "slow": binary("b", "PT1H", cadence="slow")}
    plan = plan_slices(surface(tasks), instant(60), days(60))
    assert plan.tasks["slow"].test == plan.test


def test_a_surface_of_slow_tasks_alone_shares_the_slice_of_the_slowest() -> None:
    tasks = {"a": binary("a", "P7D", cadence="slow"), "b": binary("b", "P10D", cadence="slow")}
    plan = plan_slices(surface(tasks), instant(60), days(60))
    assert plan.test == between(43, 49) == plan.tasks["a"].test


def test_a_label_is_known_no_sooner_than_its_parents_and_parts() -> None:
    tasks = {
        "buy": binary("buy", "P1D", "P20D"),
        "back": binary("back", "P2D", after="buy"),
        "happy": {"family": "satisfaction", "compose": {"all_of": ["buy"], "none_of": ["back"]}},
    }
    spec = surface(tasks).tasks
    assert time_until_known(spec, "back") == time_until_known(spec, "happy") == timedelta(days=20)


def test_a_day_is_mature_at_the_very_instant_that_maturity_ends() -> None:
    contracts = only("P7D")
    assert plan_slices(contracts, instant(60), days(60)).test.last == day(52)
    assert plan_slices(contracts, instant(60) - timedelta(seconds=1), days(60)).test.last == day(51)


def test_train_is_cut_at_the_split_and_used_down_to_the_minimum() -> None:
    train = plan_slices(only("P7D"), instant(200), days(200)).tasks["task"].train
    assert train.end - train.start == 28 * DAY
    least = only("P7D", minimum={"train": "P3D"})
    assert plan_slices(least, instant(38), days(38)).tasks["task"].train == between(0, 2)
    with pytest.raises(ImmatureLabels, match="2 mature days"):
        plan_slices(least, instant(37), days(37))


def test_days_that_are_not_over_or_come_after_as_of_are_left_out() -> None:
    known = plan_slices(only("P7D"), instant(60), days(60))
    assert plan_slices(only("P7D"), instant(60), days(90)) == known


def test_logs_that_ended_long_ago_are_sliced_from_their_end() -> None:
    slices = plan_slices(only("P7D"), instant(500), days(60)).tasks["task"]
    assert slices.test == between(53, 59)
    assert slices.calibrate == between(39, 45)


def test_a_week_without_rows_is_bridged() -> None:
    held = [d for d in days(80) if not 53 <= (d - FIRST).days <= 62]
    slices = plan_slices(only("PT1H"), instant(70), held).tasks["task"]
    assert slices.test == between(63, 68)
    assert slices.calibrate == between(46, 52)


def test_weekly_rows_give_one_week_to_test_and_one_to_calibrate() -> None:
    weekly = days(30 * 7, step=7)
    slices = plan_slices(only("P7D"), instant(30 * 7), weekly).tasks["task"]
    assert slices.test == between(196, 196)  # Monday of week 28; that of week 29 is not mature
    assert slices.calibrate == between(182, 182)  # over at 183, known at 190; week 27's only at 197
    assert slices.train == between(147, 168)  # four Mondays


@pytest.mark.parametrize("hours_late", range(0, 168, 5))
def test_weekly_rows_never_give_an_empty_slice_whatever_the_hour(hours_late: Any) -> None:
    weekly = days(30 * 7, step=7)
    slices = plan_slices(only("P7D", "P8D"), instant(180 + hours_late / 24), weekly).tasks["task"]
    assert all(any(d in part for d in weekly) for part in (slices.train, slices.calibrate, slices.test))
    assert slices.train.end - slices.train.start == 22 * DAY


def test_one_week_of_weekly_rows_is_seven_days_of_training() -> None:
    weekly = days(7 * 7, step=7)
    slices = plan_slices(only("P7D", minimum={"train": "P7D"}), instant(42), weekly).tasks["task"]
    assert (slices.train, slices.calibrate, slices.test) == (between(0, 0), between(14, 14), between(28, 28))


def test_an_empty_store_is_named() -> None:
    with pytest.raises(DataError, match="feed holds no day"):
        plan_slices(only("P7D"), instant(60), [])


def test_an_unknown_task_is_named_with_its_nearest() -> None:
    with pytest.raises(DataError, match=re.escape("Did you mean 'click_30m'?")):
        plan_slices(shop(), instant(132), days(132), tasks=["clik_30m"])


def test_history_that_is_all_immature_is_no_crash() -> None:
    with pytest.raises(ImmatureLabels, match="'purchase_7d' cannot be trained"):
        plan_slices(shop(), instant(5), days(5))


durations = st.integers(1, 60 * 24).map(lambda hours: timedelta(hours=hours))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Contracts, datetime, list[date]]:
    windows = draw(st.lists(st.tuples(durations, durations, st.booleans()), min_size=1, max_size=4))
    tasks = {
        f"task_{n}": binary(
            "e",
            f"PT{window // timedelta(hours=1)}H",
            f"PT{(window + slack) // timedelta(hours=1)}H",
            cadence="slow" if slow else "fast",
        )
        for n, (window, slack, slow) in enumerate(windows)
    }
    split = {name: f"P{draw(st.integers(1, 20))}D" for name in ("train", "calibrate", "test")}
    held = draw(st.sets(st.integers(0, 400), min_size=50, max_size=400))
    as_of = instant(draw(st.floats(100, 400)))
    return surface(tasks, split=split, minimum={"train": "P1D"}), as_of, sorted(map(day, held))


def planned(contracts: Contracts, as_of: datetime, held: list[date]) -> ReleaseSlices:
    try:
        return plan_slices(contracts, as_of, held)
    except ImmatureLabels:
        assume(False)
        raise


@given(worlds())
@example((shop(), instant(132), days(132)))
def test_no_row_that_trained_or_calibrated_any_part_lies_in_or_after_the_shared_test_slice(
    world: Any,
) -> None:
    plan = planned(*world)
    for slices in plan.tasks.values():
        assert slices.train.last < slices.calibrate.first
        assert slices.calibrate.last < plan.test.first


@given(worlds())
def test_embargoes_hold_and_only_what_is_mature_is_tested(world: Any) -> None:
    contracts, as_of, held = world
    for name, slices in planned(contracts, as_of, held).tasks.items():
        assert slices.train.end + contracts.tasks.window(name) <= slices.calibrate.start
        assert slices.calibrate.end + time_until_known(contracts.tasks, name) <= slices.test.start
        assert slices.test.end + time_until_known(contracts.tasks, name) <= as_of


@given(worlds())
def test_slices_begin_and_end_on_days_with_rows_and_keep_their_lengths(world: Any) -> None:
    contracts, as_of, held = world
    split = contracts.surface.split
    for slices in planned(contracts, as_of, held).tasks.values():
        for name in ("train", "calibrate", "test"):
            part = getattr(slices, name)
            assert part.first in held
            assert part.last in held
            assert part.end - part.start <= getattr(split, name)


@given(worlds(), st.randoms())
def test_the_order_and_repetition_of_days_do_not_matter(world: Any, random: Random) -> None:
    contracts, as_of, held = world
    plan = planned(contracts, as_of, held)
    shuffled = held + held[::3]
    random.shuffle(shuffled)
    assert plan_slices(contracts, as_of, shuffled) == plan


def test_a_refit_calibrates_on_the_newest_mature_days_and_trains_a_window_before_them() -> None:
    contracts = only("P7D", "P8D")
    tested = plan_slices(contracts, instant(60), days(60)).tasks["task"]
    slices = refit_slices(contracts, instant(60), days(60), task="task")
    assert slices.calibrate == between(45, 51)  # day 51 is over at 52, known at 60
    assert slices.train == between(10, 37)  # day 37 is over at 38, its window at 45, when calibrate begins
    assert slices.test == tested.test, "the days on which the recipe was tested"


def test_a_quick_task_is_refitted_up_to_yesterday_whatever_the_slow_ones_wait_for() -> None:
    slices = refit_slices(shop(), instant(132), days(132), task="click_30m")
    assert slices.calibrate == between(124, 130)  # yesterday's clicks are not known for an hour yet
    assert slices.train.last == day(122)


@pytest.mark.parametrize("task", ["click_30m", "purchase_7d", "return_30d"])
def test_a_refit_is_newer_than_what_was_tested_and_keeps_its_embargo(task: str) -> None:
    tested = plan_slices(shop(), instant(132), days(132)).tasks[task]
    slices = refit_slices(shop(), instant(132), days(132), task=task)
    assert slices.train.last > tested.train.last
    assert slices.calibrate.last > tested.calibrate.last
    assert slices.train.end + label_window(shop().tasks, task) <= slices.calibrate.start
