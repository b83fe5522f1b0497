"""The classes that are made from the rules are known to Great Expectations by the rules' names."""

from typing import Any

import pytest
from great_expectations.expectations.registry import get_expectation_impl

from tasks.validation.findings import Rule
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.rules import RULES
from tasks.validation.suites import run_suite


def run(kind: str, rows: int, **kwargs: Any) -> bool:
    suite = {"name": "x", "expectations": [{"type": kind, "kwargs": kwargs, "severity": "warning"}]}
    frame = frame_of([Measurement("future", "shown_at", rows=rows, of=100)])
    (finding,) = run_suite(suite, frame, facts={}).findings
    return finding.success


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_a_registered_class_with_its_arguments_as_fields(rule: Rule) -> None:
    made: Any = get_expectation_impl(rule.name)
    assert made.expectation_type == rule.name
    assert made.__doc__ == rule.meaning
    assert set(rule.arguments) <= set(made.__fields__)


def test_an_argument_that_the_suite_leaves_out_has_the_judges_default() -> None:
    assert not run("expect_nothing_from_the_future", 1)
    assert run("expect_nothing_from_the_future", 1, max_share=0.01)


def test_an_argument_that_a_rule_does_not_take_is_refused() -> None:
    with pytest.raises(Exception, match="unknown"):
        run("expect_nothing_from_the_future", 1, unknown=3)
