import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.errors import ContractError
from tasks.validation.report import validation_report
from tasks.validation.suites import Finding, SuiteResult, load_suite, run_suite

SUITES = Path(__file__).parents[2] / "expectations"
AS_OF = "2026-03-10T00:00:00Z"
FACTS: dict[str, Any] = {
    "tasks": ["buy", "return"],
    "maturities": {"buy": 86400.0, "return": 2 * 86400.0},
    "parents": {"return": "buy"},
    "bounds": {"buy": [0.1, 0.9]},
    "as_of": AS_OF,
    "events": ["buy"],
}


def _labels(**columns: list[Any]) -> pd.DataFrame:
    """Two mature rows, the first bought and returned; ``columns`` replace what a test breaks."""
    frame = pd.DataFrame(
        {
            "request_id": ["r1", "r2"],
            "item_id": ["i1", "i1"],
            "user_id": ["u1", "u2"],
            "shown_at": pd.to_datetime(["2026-03-01T00:00:00Z"] * 2),
            "buy": [1.0, 0.0],
            "buy__status": ["observed", "observed"],
            "return": [1.0, None],
            "return__status": ["observed", "not_applicable"],
        }
    )
    return frame.assign(**columns)


def _failures(frame: pd.DataFrame, suite: str = "labels") -> dict[str, Finding]:
    result = run_suite(load_suite(SUITES / f"{suite}.json"), frame, facts=FACTS)
    return {f.expectation: f for f in result.findings if not f.success}


def test_sound_labels_pass_every_expectation() -> None:
    assert _failures(_labels()) == {}


def test_a_label_observed_before_its_maturity_is_critical_and_named() -> None:
    late = pd.to_datetime(["2026-03-01T00:00:00Z", "2026-03-09T12:00:00Z"])
    failures = _failures(_labels(shown_at=late))
    finding = failures["expect_no_label_observed_before_maturity"]
    assert finding.severity == "critical"
    assert finding.observed == "buy: 1 (for example buy at r2/i1)"


def test_a_label_is_mature_at_the_very_instant_of_its_maturity() -> None:
    edge = pd.to_datetime(["2026-03-01T00:00:00Z", "2026-03-09T00:00:00Z"])
    assert "expect_no_label_observed_before_maturity" not in _failures(_labels(shown_at=edge))


@pytest.mark.parametrize(
    ("value", "status"),
    [(0.0, "immature"), (1.0, "excluded"), (0.0, "not_applicable"), (None, "observed")],
)
def test_a_value_goes_with_observed_and_with_nothing_else(value: float | None, status: str) -> None:
    failures = _failures(_labels(buy=[1.0, value], buy__status=["observed", status]))
    assert "expect_label_value_only_when_observed" in failures


def test_a_return_without_a_purchase_is_found() -> None:
    failures = _failures(_labels(**{"return": [1.0, 0.0], "return__status": ["observed", "observed"]}))
    assert failures["expect_conditional_label_only_where_parent_positive"].observed.startswith("return: 1")


def test_an_unknown_status_is_found() -> None:
    assert "expect_label_status_to_have_meaning" in _failures(_labels(buy__status=["observed", "maybe"]))


@pytest.mark.parametrize("request_ids", [["r1", "r1"], ["r1", None]])
def test_a_repeated_or_null_key_is_found(request_ids: list[str | None]) -> None:
    assert "expect_one_row_per_impression" in _failures(_labels(request_id=request_ids))


def test_a_base_rate_out_of_bounds_is_found_with_its_figure() -> None:
    assert _failures(_labels(buy=[1.0, 1.0]))["expect_base_rates_within_bounds"].observed == "buy: 1"


def test_a_task_without_any_observed_label_is_out_of_its_bounds() -> None:
    frame = _labels(
        buy=[None, None],
        buy__status=["immature"] * 2,
        **{"return": [None, None], "return__status": ["immature"] * 2},
    )
    assert _failures(frame)["expect_base_rates_within_bounds"].observed == "buy: no observed label"


def test_an_empty_table_does_not_pass() -> None:
    assert "expect_table_row_count_to_be_between" in _failures(_labels().iloc[:0])


def test_an_event_stream_that_stopped_is_a_warning() -> None:
    events = pd.DataFrame({"event": ["click"], "happened_at": pd.to_datetime(["2026-03-01T00:00:00Z"])})
    failures = _failures(events, "events")
    assert {name: f.severity for name, f in failures.items()} == {
        "expect_column_distinct_values_to_contain_set": "warning"
    }


def test_an_impression_from_the_future_is_critical() -> None:
    later = pd.to_datetime(["2026-03-01T00:00:00Z", AS_OF])
    assert (
        _failures(_labels(shown_at=later), "impressions")["expect_column_values_to_be_between"].severity
        == "critical"
    )


def test_an_expectation_that_raises_counts_as_critical() -> None:
    finding = _failures(_labels().drop(columns="buy"))["expect_label_value_only_when_observed"]
    assert finding.severity == "critical"
    assert "buy" in finding.observed


def test_an_unknown_expectation_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"name": "labels", "expectations": [{"type": "expect_column_to_exit"}]}))
    with pytest.raises(ContractError, match="Did you mean 'expect_column_to_exist'"):
        load_suite(path)


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"expectations": [1]}'])
def test_what_is_no_suite_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ContractError, match="no expectation suite"):
        load_suite(path)


def test_the_report_is_self_contained_and_escapes_what_it_shows() -> None:
    finding = Finding("labels", "expect_x", "<script>", "critical", success=False, observed="<b>", why="&")
    page = validation_report("t", ["<i>"], [SuiteResult("labels", 2, (finding,))])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "http" not in page
    assert "&lt;script&gt;" in page
