"""The table of rules: each has a name of its own, a meaning, and arguments that its judge takes."""

import json
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from tasks.validation import rules
from tasks.validation.findings import Rule, RuleResult
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


DAY = date(2026, 3, 1)


def sentences(checked: RuleResult) -> list[str]:
    return [sentence for _, sentence in checked.broken]


@pytest.mark.parametrize(("rows", "broken"), [(1, []), (2, ["x: 2 of 100 rows"])])
def test_a_share_of_rows_may_break_a_rule(rows: int, broken: list[str]) -> None:
    frame = frame_of([Measurement("future", "x", rows=rows, of=100)])
    assert sentences(rules.count_broken_rows(frame, statistic="future", max_share=0.01)) == broken


@pytest.mark.parametrize(
    ("by_day", "broken"),
    [
        ([0] * 60 + [3] * 20, ["x: 33 of 1,100 rows in the 14 days to 2026-05-13, without the 3 worst"]),
        ([0] * 60 + [100] * 3 + [0] * 300, []),
        ([0] * 79 + [40], []),
        ([1] * 80, []),
    ],
    ids=["lasting", "three lost days", "the newest day is late", "a share that is allowed"],
)
def test_a_share_that_lasts_for_two_weeks_of_a_long_log_is_found(
    by_day: list[int], broken: list[str]
) -> None:
    frame = frame_of(
        Measurement("unmatched", "x", "", DAY + timedelta(days=n), rows, 100) for n, rows in enumerate(by_day)
    )
    assert sentences(rules.count_broken_rows(frame, statistic="unmatched", max_share=0.01)) == broken


def test_a_rule_that_was_not_measured_is_broken_unless_there_is_a_reason() -> None:
    nothing = frame_of([])
    assert sentences(rules.count_broken_rows(nothing, statistic="x")) == ["was not measured"]
    checked = rules.count_broken_rows(nothing, statistic="x", unless="no parent")
    assert (checked.broken, checked.observed) == ([], "no parent")


def test_columns_are_there_and_of_an_allowed_type() -> None:
    frame = frame_of([Measurement("column", "a", "string"), Measurement("column", "b", "integer")])
    columns = {"a": ["integer", "number"], "b": ["integer"], "c": ["string"]}
    assert sentences(rules.check_columns(frame, columns=columns)) == [
        "a is string, allowed integer, number",
        "c is missing",
    ]


@pytest.mark.parametrize(
    ("as_of", "broken"),
    [
        ("2026-03-02T00:00:00Z", []),
        ("2026-03-04T00:00:00Z", ["the newest is of 2026-03-01 00:00, 3.0 days before the as-of; allowed 24.0 hours"]),
    ],
)  # fmt: skip
def test_the_newest_row_is_not_old(as_of: str, broken: list[str]) -> None:
    frame = frame_of([Measurement("newest", "x", "2026-03-01T00:00:00Z")])
    assert sentences(rules.check_freshness(frame, as_of=as_of, within=86_400)) == broken


def test_a_null_and_a_column_that_is_missing_are_found() -> None:
    frame = frame_of([Measurement("nulls", n, "", DAY, rows, 9) for n, rows in (("a", 0), ("b", 2))])
    checked = rules.check_nulls(frame, columns=["a", "b", "c"])
    assert sentences(checked) == ["b: 2 of 9 rows", "c is missing"]


def test_a_user_with_many_rows_and_a_large_share_is_found() -> None:
    frame = frame_of([Measurement("top_user", "events", "robot", rows=60, of=100)])
    assert sentences(rules.check_top_user(frame, max_share=0.5, rows_at_least=50)) == [
        "user robot: 60 of 100 rows (60.0%); allowed 50.0%"
    ]
    assert sentences(rules.check_top_user(frame, max_share=0.5, rows_at_least=61)) == []


def test_an_unknown_event_is_found_where_it_is_new_or_close_to_a_known_one() -> None:
    old = [Measurement("rows", "click", day=DAY, rows=9), Measurement("unknown_name", "tap", day=DAY, rows=4)]
    new = [
        Measurement("unknown_name", "clik", day=DAY, rows=1),
        Measurement("unknown_name", "swipe", day=date(2026, 3, 28), rows=2),
    ]
    as_of = "2026-03-31T00:00:00Z"
    check = partial(rules.check_unknown_events, events=["click"], as_of=as_of, newest=7)
    assert sentences(check(frame_of([*old, *new]))) == [
        "swipe: 2 events since 2026-03-28",
        "clik: 1 events (is it 'click'?)",
    ]
    assert check(frame_of(old)).observed == "events that no task of any surface reads: tap (4)"


def test_an_event_that_another_surface_declares_is_neither_new_nor_strange() -> None:
    day = date(2026, 3, 28)
    new = [Measurement("unknown_name", name, day=day, rows=2) for name in ("clicks", "tup")]
    frame = frame_of([Measurement("rows", "click", day=DAY, rows=9), *new])
    check = partial(
        rules.check_unknown_events, frame, events=["click"], as_of="2026-03-31T00:00:00Z", newest=7
    )
    assert sentences(check(elsewhere={"clicks": "feed"})) == ["tup: 2 events since 2026-03-28"]
    assert check(elsewhere={"clicks": "feed", "tup": "feed"}).observed == (
        "events of other surfaces: clicks (2, feed), tup (2, feed)"
    )


def test_an_event_of_the_contract_that_never_occurs_is_found() -> None:
    frame = frame_of([Measurement("rows", "click", day=DAY, rows=9)])
    assert sentences(rules.check_contracted_events(frame, events=["click", "hide"])) == ["hide: no event"]


def test_a_base_rate_has_three_digits_or_as_many_as_show_that_it_is_out_of_bounds() -> None:
    rates = [
        Measurement("positives", name, of=10_000_000, total=total)
        for name, total in (("buy", 1_013_462.0), ("hide", 99_998.0))
    ]
    bounds = {"buy": [0.01, 0.2], "hide": [0.01, 0.2]}
    checked = rules.check_base_rates(frame_of(rates), bounds=bounds, since=str(DAY))
    assert checked.broken == [("hide", "hide: 0.0099998, allowed 0.01 to 0.2")]
    within = rules.check_base_rates(frame_of(rates[:1]), bounds={"buy": [0.01, 0.2]}, since=str(DAY))
    assert within.observed == "buy: 0.101"


def test_a_base_rate_is_that_of_the_days_that_a_slice_can_reach() -> None:
    days = ((DAY - timedelta(days=1), 10.0), (DAY, 5.0))
    frame = frame_of([Measurement("positives", "buy", day=day, of=10, total=total) for day, total in days])
    assert rules.check_base_rates(frame, bounds={"buy": [0.4, 0.6]}, since=str(DAY)).observed == "buy: 0.5"
