"""The validation report: failures first, pictures of days, quarantine; nothing of it comes from elsewhere."""

from datetime import date, timedelta

from tasks.evaluation.evidence import Finding
from tasks.validation.findings import Line, SuiteResult
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.report import validation_report

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(3)]


def finding(name: str, severity: str, *, success: bool = False) -> Finding:
    return Finding("labels", name, "buy", severity, success, "2 of 20", "because")


def line(*found: date) -> Line:
    return Line("buy", DAYS, [0.1, None, 0.3], [None, 0.05, 0.1], [None, 0.2, 0.2], share=True, odd=found)


def test_failures_come_first_the_worst_at_the_top() -> None:
    findings = (
        finding("expect_fine", "critical", success=True),
        finding("expect_odd", "warning"),
        finding("expect_wrong", "critical"),
    )
    page = validation_report("t", [], [SuiteResult("labels", 20, findings)])
    top = page[page.index("What failed") : page.index("<h2>labels")]
    assert top.index(">wrong<") < top.index(">odd<")
    assert ">fine<" not in top


def test_where_nothing_failed_it_says_so() -> None:
    result = SuiteResult("labels", 20, (finding("expect_fine", "critical", success=True),))
    assert "<h2>Nothing failed</h2>" in validation_report("t", [], [result])


def test_days_are_drawn_with_what_was_usual_and_findings_stand_out() -> None:
    result = SuiteResult("labels", 20, (), {"expect_base_rates_as_usual": [line(DAYS[2])]})
    page = validation_report("t", [], [result])
    assert page.count("<svg") == 1
    assert page.count('class="odd"') == 1
    assert "<title>2026-03-03: 30%</title>" in page
    assert 'class="usual"' in page


def test_of_drift_only_what_was_found_is_drawn() -> None:
    for found, pictures in (((), 0), ((DAYS[2],), 1)):
        result = SuiteResult("impressions", 20, (), {"expect_distributions_to_stay": [line(*found)]})
        assert validation_report("t", [], [result]).count("<svg") == pictures


def test_statuses_are_stacked_by_day() -> None:
    shares = [("observed", 15), ("immature", 0), ("excluded", 5), ("not_applicable", 0)]
    frame = frame_of(Measurement("status", "buy", s, DAYS[0], n, 20) for s, n in shares)
    page = validation_report("t", [], [], {"labels": frame})
    assert page.count("<rect") == 4 + 2
    assert 'height="57.0"' in page  # 15 of 20 of a height of 76


def test_quarantined_rows_are_shown_by_rule_with_examples() -> None:
    bad = Measurement(
        "quarantined", "no_key", "request_id is null", rows=1234, of=9999, examples='{"a":"<b>"}'
    )
    page = validation_report("t", [], [], {"impressions": frame_of([bad])})
    assert "1,234" in page
    assert "request_id is null" in page
    assert "{&#34;a&#34;:&#34;&lt;b&gt;&#34;}" in page


def test_the_report_is_self_contained_and_escapes_what_it_shows() -> None:
    odd = Finding("labels", "expect_x", "<script>", "critical", success=False, observed="<b>", why="&")
    drawn = Line("<u>'", DAYS, [1.0, 2.0, 3.0], [None] * 3, [None] * 3, share=False)
    page = validation_report(
        "t", ["<i>"], [SuiteResult("labels", 2, (odd,), {"expect_daily_volume_as_usual": [drawn]})]
    )
    for markup in ("<script>", "<b>", "<u>", "http", "<i>"):
        assert markup not in page
    assert "&lt;script&gt;" in page


def test_one_expectation_on_one_row_is_told_in_the_singular() -> None:
    result = SuiteResult("labels", 1, (finding("expect_fine", "critical", success=True),))
    assert "1 of 1 expectation holds on 1 row." in validation_report("t", [], [result])
    both = SuiteResult(
        "labels", 1200, (finding("expect_odd", "warning"), finding("expect_wrong", "critical"))
    )
    assert "0 of 2 expectations hold on 1,200 rows." in validation_report("t", [], [both])
