"""A suite is data: what it names must be one of our expectations, and what it says is a finding with a severity."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from great_expectations.expectations.registry import get_expectation_impl

from tasks.errors import ContractError
from tasks.evaluation.evidence import Finding
from tasks.validation.findings import Rule, SuiteResult, worst_severity
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.rules import RULES
from tasks.validation.suites import load_suite, run_suite

SUITES = Path(__file__).parents[2] / "expectations"
FACTS: dict[str, Any] = {
    "bounds": {"buy": [0.1, 0.9]},
    "events": ["buy"],
    "elsewhere": {},
    "impression_columns": {"price": ["integer", "number"]},
    "event_columns": {},
    "segments": ["kind"],
    "as_of": "2026-03-31T00:00:00Z",
    "since": "2026-03-01",
    "costs": ["buy"],
    "counted_events": ["buy"],
    "until": "2026-03-31T00:00:00Z",
    "within": 86_400.0,
}
SOUND = [
    *(Measurement(rule, "buy", rows=0, of=20) for rule in ("early", "unmasked", "meaningless")),
    Measurement("rows", "labels", day=date(2026, 3, 1), rows=20),
    Measurement("positives", "buy", day=date(2026, 3, 1), rows=8, of=20, total=8.0),
]


def judged(*changed: Measurement, suite: str = "labels") -> SuiteResult:
    """Judge sound labels, with some figures in place of others of the same statistic and subject."""
    replaced = {(m.statistic, m.subject) for m in changed}
    kept = [m for m in SOUND if (m.statistic, m.subject) not in replaced]
    return run_suite(load_suite(SUITES / f"{suite}.json"), frame_of([*kept, *changed]), facts=FACTS)


def failures(*changed: Measurement) -> dict[str, Finding]:
    return {f.expectation: f for f in judged(*changed).findings if not f.success}


def test_sound_labels_pass_every_expectation() -> None:
    result = judged()
    assert [f for f in result.findings if not f.success] == []
    assert (result.suite, result.rows, worst_severity(result.findings)) == ("labels", 20, None)


def test_a_broken_rule_is_named_counted_and_has_examples() -> None:
    found = failures(Measurement("early", "buy", rows=2, of=20, examples="r1/i1; r2/i1"))
    finding = found["expect_no_label_observed_before_maturity"]
    assert (finding.severity, finding.subject) == ("critical", "buy")
    assert finding.observed == "buy: 2 of 20 rows (for example r1/i1; r2/i1)"
    assert finding.why == "before its maturity an outcome may still come, so a negative would be wrong"


@pytest.mark.parametrize("rule", ["early", "unmasked", "meaningless"])
def test_a_rule_that_was_not_measured_does_not_pass(rule: str) -> None:
    frame = frame_of([m for m in SOUND if m.statistic != rule])
    result = run_suite(load_suite(SUITES / "labels.json"), frame, facts=FACTS)
    (failed,) = [f for f in result.findings if not f.success]
    assert (failed.severity, failed.observed) == ("critical", "was not measured")


def test_an_empty_table_does_not_pass() -> None:
    assert failures(Measurement("rows", "labels", rows=0))["expect_some_rows"].severity == "critical"


def test_a_base_rate_out_of_bounds_is_critical_with_its_figure() -> None:
    finding = failures(Measurement("positives", "buy", rows=20, of=20, total=20.0))[
        "expect_base_rates_within_bounds"
    ]
    assert (finding.severity, finding.observed) == ("critical", "buy: 1, allowed 0.1 to 0.9")


def test_a_task_without_any_observed_label_is_out_of_its_bounds() -> None:
    finding = failures(Measurement("positives", "buy"))["expect_base_rates_within_bounds"]
    assert finding.observed == "buy: no observed label, allowed 0.1 to 0.9"


def test_the_worst_severity_that_failed_is_the_suites() -> None:
    early = judged(Measurement("early", "buy", rows=1, of=20))
    assert worst_severity(early.findings) == "critical"
    warned = [
        Measurement("newest", "x", "2026-03-01T00:00:00Z"),
        Measurement("future", "x"),
        Measurement("rows", "buy", day=date(2026, 3, 1), rows=3),
    ]
    result = run_suite(load_suite(SUITES / "events.json"), frame_of(warned), facts=FACTS)
    assert worst_severity(result.findings) == "warning"


def test_a_day_on_which_a_costly_outcome_meets_no_impression_is_critical() -> None:
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(20)]
    hits = [0 if day == days[12] else 60 for day in days]
    found = failures(
        *(
            Measurement("positives", "buy", "", day, n, 200, float(n))
            for day, n in zip(days, hits, strict=True)
        )
    )["expect_negative_labels_every_day"]
    assert (found.severity, found.observed) == (
        "critical",
        "2026-03-13: no positive buy in 200 rows, 60 were expected",
    )


def test_what_was_looked_at_by_day_is_kept_for_the_pictures() -> None:
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(20)]
    result = judged(*(Measurement("positives", "buy", day=day, rows=8, of=20, total=8.0) for day in days))
    (line,) = result.lines["expect_base_rates_as_usual"]
    assert (line.subject, list(line.days), list(line.odd)) == ("buy", days, [])
    assert line.low[19] is not None
    assert line.high[19] is not None
    assert line.low[19] < 0.4 < line.high[19]


def test_an_expectation_that_raises_is_critical_and_says_what_was_raised() -> None:
    suite = {
        "name": "x",
        "expectations": [
            {"type": "expect_every_contracted_event", "kwargs": {"events": 3}, "severity": "info"}
        ],
    }
    result = run_suite(suite, frame_of([]), facts={})
    (finding,) = result.findings
    assert (finding.success, finding.severity) == (False, "critical")
    assert "int" in finding.observed


def test_a_parameter_that_nobody_gave_is_refused() -> None:
    facts = {name: value for name, value in FACTS.items() if name != "bounds"}
    with pytest.raises(ContractError, match=r"'labels' has a parameter without a value: .* bounds"):
        run_suite(load_suite(SUITES / "labels.json"), frame_of(SOUND), facts=facts)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("expect_some_row", "Did you mean 'expect_some_rows'"),
        (
            "expect_column_to_exist",
            "Known: expect_",
        ),  # the library's: it would judge measurements as the table
    ],
)
def test_an_expectation_that_is_not_ours_is_refused(tmp_path: Path, kind: str, hint: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"name": "labels", "expectations": [{"type": kind}]}))
    with pytest.raises(ContractError, match=hint):
        load_suite(path)


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"expectations": [1]}'])
def test_what_is_no_suite_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ContractError, match="not an expectation suite"):
        load_suite(path)


def test_every_expectation_of_ours_is_asked_somewhere_and_says_why() -> None:
    asked = [e for file in SUITES.glob("*.json") for e in json.loads(file.read_text())["expectations"]]
    assert {e["type"] for e in asked} == {rule.name for rule in RULES}
    assert all(e["meta"]["why"] and e["severity"] in {"critical", "warning", "info"} for e in asked)


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
