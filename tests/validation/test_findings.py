"""A judgement is put into a sentence; the worst of many findings comes first."""

import pytest

from tasks.evaluation.evidence import Finding
from tasks.validation.findings import RuleResult, sort_by_severity, worst_severity


def finding(severity: str, *, success: bool = False) -> Finding:
    return Finding("labels", f"expect_{severity}", "buy", severity, success, "2 of 20", "because")


def test_what_holds_is_said_of_all_subjects_where_nothing_is_broken() -> None:
    judgement = RuleResult(["buy", "back"], [], "none")
    assert (judgement.subject, judgement.observed) == ("buy, back", "none")


def test_subjects_that_break_a_rule_are_named_once() -> None:
    judgement = RuleResult(["a", "b", "c"], [("b", "b: 1"), ("b", "b: 2"), ("a", "a: 1")], "none")
    assert (judgement.subject, judgement.observed) == ("b, a", "b: 1; b: 2; a: 1")


def test_of_many_sentences_the_first_three_are_said() -> None:
    assert RuleResult([], [("x", str(n)) for n in range(5)], "").observed == "0; 1; 2; and 2 more"


def test_without_a_subject_it_is_the_table() -> None:
    assert RuleResult([], [], "").subject == "table"


def test_findings_are_sorted_the_worst_first_and_otherwise_as_they_came() -> None:
    findings = [finding("info"), finding("warning"), finding("critical"), finding("warning", success=True)]
    ordered = sort_by_severity(findings)
    assert [one.severity for one in ordered] == ["critical", "warning", "warning", "info"]
    assert [one.success for one in ordered] == [False, False, True, False]


@pytest.mark.parametrize(
    ("severities", "worst"), [((), None), (("info",), "info"), (("info", "critical", "warning"), "critical")]
)
def test_only_what_failed_counts_for_the_worst(severities: tuple[str, ...], worst: str | None) -> None:
    assert worst_severity([finding("critical", success=True), *map(finding, severities)]) == worst
