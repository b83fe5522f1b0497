"""The validation report: failures first, pictures of days, quarantine; nothing of it comes from elsewhere."""

from datetime import date, timedelta

from tasks.columns import Status
from tasks.evaluation.evidence import Finding
from tasks.validation import measurements as m
from tasks.validation.findings import DayLine, SuiteResult
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.report import MOST_DAYS, draw_line, draw_statuses, label_calendar, validation_report
from tests.reports.drawings import find, points_of, sides_of

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(3)]
FIRST = date(2026, 3, 1)
GAP = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=4)]


def finding(name: str, severity: str, *, success: bool = False) -> Finding:
    return Finding("labels", name, "buy", severity, success, "2 of 20", "because")


def line(*found: date) -> DayLine:
    return DayLine("buy", DAYS, [0.1, None, 0.3], [None, 0.05, 0.1], [None, 0.2, 0.2], share=True, odd=found)


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
    drawn = DayLine("<u>'", DAYS, [1.0, 2.0, 3.0], [None] * 3, [None] * 3, share=False)
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


def test_days_are_placed_by_date_so_that_a_gap_is_seen() -> None:
    figure = draw_line(DayLine("buy", GAP, [0.1, 0.2, 0.3], [None] * 3, [None] * 3, share=True))
    (line,) = find(figure.drawing, "path", "values")
    assert [x for x, _ in points_of(line)] == [4.0, 77.0, 296.0]
    assert (figure.span, figure.low, figure.high) == ("2026-03-01 to 2026-03-05", "10%", "30%")


def test_the_band_goes_forth_along_the_upper_end_and_back_along_the_lower() -> None:
    figure = draw_line(DayLine("buy", GAP, [1.0, 2.0, 3.0], [None, 1.0, 2.0], [None, 3.0, 4.0], share=False))
    band = points_of(find(figure.drawing, "path", "usual")[0])
    assert [x for x, _ in band] == [77.0, 296.0, 296.0, 77.0]
    (_, upper), *_, (_, lower) = band
    assert upper < lower  # pixels are counted from above


def test_a_day_that_breaks_the_rule_is_an_odd_dot_and_one_without_a_value_is_none() -> None:
    line = DayLine("buy", GAP, [1.0, None, 3.0], [None] * 3, [None] * 3, share=False, odd=[GAP[2]])
    dots = find(draw_line(line).drawing, "circle")
    assert [(dot.words, dot.attributes["class"]) for dot in dots] == [
        ("2026-03-01: 1", "dot"),
        ("2026-03-05: 3", "odd"),
    ]


def test_statuses_fill_the_height_from_below() -> None:
    shares = {status: [0.0] for status in map(str, Status)} | {"observed": [0.75], "excluded": [0.25]}
    lower, upper = find(draw_statuses("buy", [FIRST], shares).drawing, "rect")
    assert (lower.attributes["class"], *sides_of(lower, "y", "height")) == (Status.OBSERVED, 19.0, 57.0)
    assert (upper.attributes["class"], *sides_of(upper, "y", "height")) == (Status.EXCLUDED, 0.0, 19.0)


def labels(days: int = 2) -> list[Measurement]:
    rows = []
    for n in range(days):
        day = FIRST + timedelta(days=n)
        counts = {Status.OBSERVED: 7, Status.IMMATURE: n, Status.EXCLUDED: 2, Status.NOT_APPLICABLE: 1}
        rows += [Measurement(m.STATUS, "click", status, day, count, 10) for status, count in counts.items()]
        rows.append(Measurement(m.POSITIVES, "click", "", day, 3, 7, 3.0))
        rows.append(Measurement(m.ROWS, "labels", day=day, rows=10))
    return rows


def test_each_day_of_a_task_is_counted_by_status() -> None:
    calendar = label_calendar(frame_of(labels()), [])
    (click,) = calendar.tasks
    assert calendar.days == (FIRST, FIRST + timedelta(days=1))
    assert (click.task, click.observed, click.positive) == ("click", (7, 7), (3, 3))
    assert (click.immature, click.left_out, click.failed) == ((0, 1), (3, 3), ())


def test_the_days_that_a_check_of_the_labels_names_have_failed() -> None:
    odd = DayLine("click", (FIRST,), (0.1,), (0.2,), (0.3,), share=True, odd=(FIRST,))
    checked = {"expect_label_rates_as_usual": [odd]}
    results = [SuiteResult("labels", 20, (), checked), SuiteResult("events", 20, (), {"x": [odd]})]
    (click,) = label_calendar(frame_of(labels()), results).tasks
    assert click.failed == (FIRST,)
    assert label_calendar(frame_of(labels()), results[1:]).tasks[0].failed == ()


def test_of_a_long_snapshot_the_newest_days_are_kept() -> None:
    calendar = label_calendar(frame_of(labels(MOST_DAYS + 5)), [])
    assert len(calendar.days) == MOST_DAYS
    assert calendar.days[0] == FIRST + timedelta(days=5)


def test_without_labels_the_calendar_is_empty() -> None:
    calendar = label_calendar(frame_of([]), [])
    assert (calendar.days, calendar.tasks) == ((), ())
