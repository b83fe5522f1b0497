"""Values that vanish or appear, and distributions that move, by the counts of days."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import pandas as pd

from tasks.validation import spread_rules
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.trailing import Comparison

FIRST = date(2026, 3, 1)
AS_OF = "2026-03-31T00:00:00Z"
Counts = Mapping[str, int]


def days(counts_of: Callable[[int], Counts], n: int = 30) -> pd.DataFrame:
    """Return the measured values of a column on so many days."""
    return frame_of(
        Measurement("values", "kind", value, FIRST + timedelta(days=day), rows, 100)
        for day in range(n)
        for value, rows in counts_of(day).items()
    )


def changed(frame: pd.DataFrame) -> list[str]:
    found = spread_rules.check_values(frame, columns=["kind"], as_of=AS_OF, trailing=14, newest=3, share=0.05)
    return [sentence for _, sentence in found.broken]


def moved(frame: pd.DataFrame) -> list[str]:
    comparison = Comparison(AS_OF, trailing=28, false_alarm_rate=0.01, newest=7)
    found = spread_rules.compare_distributions(frame, comparison, least=0.05)
    return [sentence.split(":")[0] for _, sentence in found.broken]


def test_values_that_stay_are_no_finding() -> None:
    frame = days(lambda day: {"a": 60 + day % 3, "b": 40})
    assert (changed(frame), moved(frame)) == ([], [])


def test_a_value_that_took_the_place_of_another_is_two_findings() -> None:
    frame = days(lambda day: {"a": 60, "b" if day < 27 else "c": 40})
    assert changed(frame) == [
        "kind 'b' vanished on 2026-03-28: 40.0% before",
        "kind 'c' appeared on 2026-03-28: 40.0%",
    ]


def test_a_rare_value_may_come_and_go() -> None:
    assert changed(days(lambda day: {"a": 99, "b" if day < 27 else "c": 1})) == []


def test_few_days_say_nothing() -> None:
    assert changed(days(lambda day: {"a": 60, "b" if day < 6 else "c": 40}, n=9)) == []


def test_a_day_whose_shares_are_turned_round_has_moved() -> None:
    assert moved(days(lambda day: {"a": 90, "b": 10} if day < 29 else {"a": 10, "b": 90})) == [
        "kind 2026-03-30"
    ]


def test_a_day_that_is_not_over_is_not_judged() -> None:
    assert moved(days(lambda day: {"a": 90, "b": 10} if day < 30 else {"a": 10, "b": 90}, n=31)) == []
