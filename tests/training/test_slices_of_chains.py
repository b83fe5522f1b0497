"""A joint is judged on days that none of its factors knows anything of (law 1), whatever the contracts say."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from tasks.contracts import Contracts
from tasks.errors import ImmatureLabels
from tasks.training.slices import (
    Knowledge,
    ReleaseSlices,
    TaskSlices,
    factor_slices,
    plan_slices,
)
from tests.training.surfaces import between, binary, day, instant, surface

World = tuple[Contracts, datetime, list[date]]


def returns(**more: Any) -> Contracts:
    tasks = {
        "click_30m": binary("click", "PT30M", "PT1H"),
        "purchase_7d": binary("purchase", "P7D", "P8D"),
        "return_30d": binary("return", "P30D", after="purchase_7d", cadence="slow"),
    }
    return surface(tasks, **more)


def hours(count: int) -> str:
    return f"PT{count}H"


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a chain of two or three, and a task beside it: fast and slow, delayed or not, in either form."""
    tasks = {"beside": binary("e", hours(draw(st.integers(1, 400))))}
    training = {}
    before: str | None = None
    for name in ("root", "child", "grandchild")[: draw(st.integers(2, 3))]:
        form = draw(st.sampled_from(["after", "observed_when"])) if before else None
        hung: dict[str, Any] = {"after": before} if form == "after" else {}
        hung |= {"observed_when": {"task": before}} if form == "observed_when" else {}
        tasks[name] = binary(
            "e",
            hours(draw(st.integers(1, 30 * 24))),
            cadence=draw(st.sampled_from(["fast", "slow"])),
            **hung,
        )
        training[name] = {"delayed": draw(st.booleans()) and form != "observed_when"}
        before = name
    split = {name: f"P{draw(st.integers(1, 20))}D" for name in ("train", "calibrate", "test")}
    missing = draw(st.sets(st.integers(0, 400), max_size=30))
    held = [day(n) for n in range(0, 400, draw(st.sampled_from([1, 1, 7]))) if n not in missing]
    contracts = surface(tasks, split=split, minimum={"train": "P1D"}, training=training)
    return contracts, instant(draw(st.floats(150, 400))), held


def happens_within(contracts: Contracts, task: str) -> timedelta:
    """Return how long after an impression a task's own event can come, by the timeline of tasks.yaml."""
    positive = contracts.tasks.tasks[task].positive
    assert positive is not None
    return positive.within + (happens_within(contracts, positive.after) if positive.after else timedelta())


def reach(contracts: Contracts, task: str) -> timedelta:
    """Return how long after an impression an event can come that decides its label, an ancestor's too."""
    return max(happens_within(contracts, link) for link in contracts.tasks.chain(task))


def planned(world: World) -> ReleaseSlices:
    try:
        return plan_slices(*world)
    except ImmatureLabels:
        assume(False)
        raise


def factors(world: World, plan: ReleaseSlices, task: str) -> Iterator[tuple[str, TaskSlices]]:
    """Yield the factors that a task's joint is judged with, each with its slices."""
    contracts, as_of, held = world
    judged = plan.tasks[task]
    for link in contracts.tasks.chain(task):
        own = plan.tasks[link]
        known = Knowledge.of(contracts, link, train=own.train, calibrate=own.calibrate)
        if judged.test != plan.test and not known.precedes(judged):
            try:
                own = factor_slices(contracts, as_of, held, task=task, parent=link)
            except ImmatureLabels:  # then the joint is not measurable
                continue
        yield link, own


RETURNS: World = (returns(), instant(140), [day(n) for n in range(140)])


@given(worlds())
@example(RETURNS)
def test_nothing_that_a_factor_learned_from_reaches_into_its_calibrate_days(world: World) -> None:
    contracts = world[0]
    for task, slices in planned(world).tasks.items():
        open_until = timedelta() if contracts.delayed(task) else reach(contracts, task)
        assert slices.train.end + open_until <= slices.calibrate.start


@given(worlds())
@example(RETURNS)
def test_nothing_that_trained_or_calibrated_a_factor_of_a_joint_reaches_into_the_days_it_is_judged_on(
    world: World,
) -> None:
    contracts, plan = world[0], planned(world)
    for task in contracts.tasks.tasks:
        judged = plan.tasks[task]
        for link, slices in factors(world, plan, task):
            cut = slices.calibrate.start if contracts.delayed(link) else None
            learned = cut or slices.train.end + reach(contracts, link)
            assert slices.train.last < slices.calibrate.first
            assert learned <= slices.calibrate.start
            assert learned <= judged.test.start
            assert slices.calibrate.end + reach(contracts, link) <= judged.test.start
            if judged.test != plan.test:  # its map is fitted on days that no model has learned from, either
                assert learned <= judged.calibrate.start


@given(worlds())
@example(RETURNS)
def test_what_judges_a_joint_is_of_the_days_of_the_task_that_it_judges(world: World) -> None:
    contracts, plan = world[0], planned(world)
    for task in contracts.tasks.tasks:
        for link, slices in factors(world, plan, task):
            if slices != plan.tasks[link]:
                assert (slices.calibrate, slices.test) == (plan.tasks[task].calibrate, plan.tasks[task].test)


@given(worlds())
def test_a_task_that_is_tested_on_the_shared_days_needs_no_judge(world: World) -> None:
    plan = planned(world)
    for task, slices in plan.tasks.items():
        if slices.test == plan.test:
            assert dict(factors(world, plan, task)).items() <= plan.tasks.items()


def test_a_return_is_judged_with_a_purchase_of_the_returns_own_days() -> None:
    contracts, as_of, held = RETURNS
    plan = plan_slices(contracts, as_of, held)
    assert plan.tasks["return_30d"].test == between(96, 102)
    assert plan.tasks["purchase_7d"].train == between(75, 102), "which a purchase that serves has learned"
    assert dict(factors(RETURNS, plan, "return_30d")) == {
        "purchase_7d": TaskSlices(train=between(17, 44), calibrate=between(52, 58), test=between(96, 102)),
        "return_30d": TaskSlices(train=between(0, 14), calibrate=between(52, 58), test=between(96, 102)),
    }


def test_what_a_factor_knows_ends_with_the_windows_of_its_days() -> None:
    train, calibrate = between(0, 9), between(20, 22)
    known = Knowledge.of(returns(), "purchase_7d", train=train, calibrate=calibrate)
    assert known == Knowledge(model=instant(17), calibrator=instant(30))
    of_returns = Knowledge.of(returns(), "return_30d", train=train, calibrate=calibrate)
    assert of_returns == Knowledge(model=instant(47), calibrator=instant(60))
    delayed = returns(training={"purchase_7d": {"delayed": True}})
    assert Knowledge.of(delayed, "purchase_7d", train=train, calibrate=calibrate).model == instant(20)


def test_a_factor_may_judge_what_begins_when_it_knows_nothing_more() -> None:
    known = Knowledge(model=instant(20), calibrator=instant(30))
    train = between(0, 9)
    assert known.precedes(TaskSlices(train, between(20, 22), between(30, 32)))
    assert not known.precedes(TaskSlices(train, between(19, 22), between(30, 32)))
    assert not known.precedes(TaskSlices(train, between(20, 22), between(29, 32)))
