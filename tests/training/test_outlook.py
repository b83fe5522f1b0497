"""What a log is enough for, held against the slices themselves."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import Contracts
from tasks.errors import ImmatureLabels
from tasks.training.outlook import Outlook, count_days_needed, foresee
from tasks.training.slices import plan_slices
from tests.training.surfaces import binary, surface

FIRST = date(2026, 1, 1)
DAY = timedelta(days=1)


def shop(**more: Any) -> Contracts:
    tasks = {
        "click_30m": binary("click", "PT30M", "PT1H"),
        "purchase_7d": binary("purchase", "P7D", "P8D"),
        "return_30d": binary("return", "P30D", "P37D", after="purchase_7d", cadence="slow"),
    }
    return surface(tasks, **more)


def as_of(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC) + day * DAY


def days(count: int) -> Sequence[date]:
    return [FIRST + n * DAY for n in range(count)]


def seen(count: int, **more: Any) -> Outlook:
    return foresee(shop(**more), as_of(count), dict.fromkeys(days(count), 10))


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
