"""The table of rules: each has a name of its own, a meaning, and arguments that its judge takes."""

import json
from pathlib import Path

import pytest

from tasks.validation.findings import Rule
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.rules import RULES

SUITES = Path(__file__).parents[2] / "expectations"


def rule(name: str) -> Rule:
    (one,) = (rule for rule in RULES if rule.name == name)
    return one


def test_names_are_unique_and_are_those_of_expectations() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(name.startswith("expect_") and name == name.lower() for name in names)


def test_a_suite_gives_no_argument_that_its_rule_does_not_take() -> None:
    for file in SUITES.glob("*.json"):
        for expectation in json.loads(file.read_text())["expectations"]:
            assert set(expectation["kwargs"]) <= set(rule(expectation["type"]).arguments)


@pytest.mark.parametrize("one", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_a_meaning_and_only_a_drawn_one_is_always_drawn(one: Rule) -> None:
    assert one.meaning.endswith(".")
    assert one.drawing or not one.always


def test_a_judge_takes_the_false_alarm_rate_by_the_name_that_suites_use() -> None:
    volume = rule("expect_daily_volume_as_usual")
    empty = frame_of([Measurement("rows", "x")]).iloc[:0]
    checked = volume.check(
        empty, as_of="2026-03-01T00:00:00Z", trailing=28, false_alarm_rate=0.01, above=1.8, below=0.55
    )
    assert checked.broken == []
