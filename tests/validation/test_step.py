"""A snapshot that fails its suites critically is kept from training; all else is evidence.

A suite is data: what it names must be one of our expectations, and what it says is a finding with a severity.
"""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from great_expectations.expectations.registry import get_expectation_impl

from tasks.cli import main
from tasks.errors import ContractError, GateRefused
from tasks.evaluation.evidence import Finding
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.pipeline import retrain
from tasks.stores import delta
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.validation import step as validate
from tasks.validation.findings import Rule, SuiteResult, worst_severity
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.rules import RULES
from tasks.validation.step import load_suite, run_suite
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME
from tests.stores.plain_evidence import read_plain


@pytest.fixture(scope="module")
def good(mini_surfaces: Path, mini_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return mini.with_log(mini_surfaces, mini_world, tmp_path_factory.mktemp("validate"))


@pytest.fixture(scope="module")
def bad(good: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same home under bounds that no click rate keeps."""
    impossible = setting("base_rates.click_30m", [0.9, 1.0])
    return mini.changed(good, tmp_path_factory.mktemp("impossible"), surface=impossible)


@pytest.fixture(scope="module")
def refused(bad: Workspace) -> GateRefused:
    with pytest.raises(GateRefused) as error:
        retrain(bad, as_of=AS_OF)
    return error.value


@pytest.fixture(scope="module")
def snapshot(bad: Workspace, refused: GateRefused) -> str:
    return labels.run(bad, as_of=AS_OF).snapshot


def test_a_critical_failure_stops_the_retrain_and_nothing_is_registered(
    bad: Workspace, refused: GateRefused
) -> None:
    assert "failed their suite (critical): labels: click_30m: 0.1" in str(refused)
    assert mini.versions(bad) == {}


def test_its_report_names_the_rule_the_task_and_the_rate(bad: Workspace, refused: GateRefused) -> None:
    report = Path(str(refused).split("Report: ")[1])
    assert report.is_relative_to(bad.reports)
    html = report.read_text(encoding="utf-8")
    assert "base rates within bounds" in html
    assert "click_30m: 0.1" in html


def test_only_the_broken_rule_failed(bad: Workspace, snapshot: str) -> None:
    result = validate.run(bad, as_of=AS_OF, snapshot=snapshot)
    assert (result.success, result.severity) == (False, "critical")
    failed = [found for found in result.expectations if not found["success"]]
    assert [found["expectation"] for found in failed] == ["expect_base_rates_within_bounds"]
    assert {found["suite"] for found in result.expectations} == {
        "impressions",
        "candidates",
        "events",
        "labels",
    }


def test_the_snapshot_is_not_published_and_training_refuses_it(bad: Workspace, snapshot: str) -> None:
    assert not LabelStore(Store.open(bad.home), NAME).published(snapshot)
    with pytest.raises(GateRefused, match="is not published"):
        train.run(bad, task="click_30m", as_of=AS_OF, snapshot=snapshot)


def test_the_command_line_says_no_with_exit_code_1(
    bad: Workspace, refused: GateRefused, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(bad.surfaces), "--home", str(bad.home)]
    assert main(["validate", NAME, "--as-of", AS_OF.isoformat(), *where]) == 1
    assert capsys.readouterr().out.startswith("critical labels: ")
    assert main(["train", NAME, "click_30m", "--as-of", AS_OF.isoformat(), *where]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("GateRefused: The labels failed their suite")


# What follows publishes the snapshot: under bounds that hold, the same labels are good.


@pytest.fixture(scope="module")
def passed(good: Workspace, bad: Workspace, snapshot: str) -> validate.ValidateResult:
    assert not LabelStore(Store.open(bad.home), NAME).published(snapshot)
    return validate.run(good, as_of=AS_OF, snapshot=snapshot)


def test_good_labels_are_published_with_their_report(
    good: Workspace, snapshot: str, passed: validate.ValidateResult
) -> None:
    assert (passed.success, passed.severity) == (True, None)
    assert all(found["success"] for found in passed.expectations)
    assert LabelStore(Store.open(good.home), NAME).published(snapshot)


def test_what_was_validated_before_is_not_validated_or_published_again(
    good: Workspace, snapshot: str, passed: validate.ValidateResult
) -> None:
    assert validate.run(good, as_of=AS_OF, snapshot=snapshot) == passed
    assert len(delta.read(LabelStore(Store.open(good.home), NAME).snapshots)) == 1


def test_the_evidence_of_the_run_is_what_was_returned(
    good: Workspace, passed: validate.ValidateResult
) -> None:
    evidence = read_plain(good.home, passed.run_id)
    assert evidence["expectations"] == passed.expectations
    assert {found["why"] != "" for found in passed.expectations} == {True}


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


def test_an_app_whose_costly_outcomes_are_missing_is_critical() -> None:
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(20)]
    found = failures(
        *(
            Measurement("negatives_of_part", "hide", f"app = {app}", day, 0 if lost else 12, 200)
            for app in ("tv", "web")
            for day in days
            for lost in [app == "tv" and day >= days[17]]
        )
    )["expect_negative_labels_everywhere"]
    assert (found.severity, found.observed) == (
        "critical",
        "2026-03-18 to 2026-03-20: no positive hide where app = tv in 600 rows, 36 were expected",
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
