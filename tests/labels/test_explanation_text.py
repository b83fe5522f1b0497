"""Sentences for what a real log seldom has: many events, high ordinals, instants to the millisecond."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.contracts import TasksSpec
from tasks.labels.explanation import (
    Event,
    Events,
    Impression,
    LabelValue,
    TaskExplanation,
)
from tasks.labels.explanation_text import describe_task, time_beside
from tests.labels.engine import tasks

SHOWN = datetime(2026, 3, 2, 10, tzinfo=UTC)
CLOSES = SHOWN + timedelta(days=1)
EXPLANATION = TaskExplanation(LabelValue(0, "observed", None), CLOSES, opens=SHOWN, closes=CLOSES)


def of(spec: TasksSpec, explained: TaskExplanation) -> str:
    return describe_task(explained, spec.tasks["t"], shown_at=SHOWN, as_of=CLOSES, arrived=CLOSES)


def test_three_events_are_named_and_the_rest_is_mentioned() -> None:
    spec = tasks(t={"positive": {"event": "buy", "within": "P1D", "credit": "first_touch"}})
    winner = Impression("q", 1, SHOWN)
    some = tuple(Event("buy", SHOWN + timedelta(hours=n), credited_to=winner) for n in range(5))
    words = of(spec, replace(EXPLANATION, events=Events(some, 5, 0)))
    assert words.count("is credited to q/1, shown 10:00:00: the first whose window holds it.") == 3
    assert "More events are credited elsewhere." in words


@pytest.mark.parametrize(
    ("number", "nth"),
    [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (113, "113th")],
)
def test_the_nth_event_is_counted_as_one_speaks(number: int, nth: str) -> None:
    spec = tasks(t={"positive": {"event": "visit", "within": "P1D", "at_least": number}})
    explained = replace(EXPLANATION, label=LabelValue(1, "observed", SHOWN), crediting=Event("visit", SHOWN))
    assert f"the {nth} visit at 10:00:00 lies" in of(spec, explained)


@pytest.mark.parametrize(
    ("value", "has"), [(None, "no value"), (float("nan"), "no value"), (2.5, "the value 2.5")]
)
def test_a_value_that_is_missing_is_said_to_be(value: float | None, has: str) -> None:
    spec = tasks(t={"positive": {"event": "survey", "within": "P1D", "value_at_least": 4}})
    small = Event("survey", SHOWN, value=value, counts=False)
    words = of(spec, replace(EXPLANATION, events=Events((small,), 1, 0)))
    assert f"The survey at 10:00:00 has {has}; the least that counts is 4." in words


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"value_below": 2}, "only a value below 2 counts"),
        ({"value_at_least": 1, "value_below": 2}, "only a value of 1 or more below 2 counts"),
    ],
)
def test_a_value_that_is_too_great_is_told_the_bound(bounds: dict[str, int], words: str) -> None:
    spec = tasks(t={"positive": {"event": "survey", "within": "P1D", **bounds}})
    great = Event("survey", SHOWN, value=2.5, counts=False)
    assert words in of(spec, replace(EXPLANATION, events=Events((great,), 1, 0)))


def test_parts_of_a_second_are_told_to_the_millisecond() -> None:
    assert time_beside(SHOWN + timedelta(microseconds=520_731), SHOWN) == "10:00:00.520"


def test_a_task_that_is_never_trained_is_said_to_be() -> None:
    rule = {"positive": {"event": "report", "within": "P1D"}}
    assert of(tasks(t={**rule, "train": False}), EXPLANATION).endswith(" Measured, never trained.")
    assert "trained" not in of(tasks(t=rule), EXPLANATION)
