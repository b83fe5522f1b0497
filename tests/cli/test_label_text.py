"""Labels as people read them: counted, explained and compared."""

from typing import Any

from tasks.cli import label_text
from tasks.cli.output import WIDTH, as_text

COUNTS: dict[str, Any] = {
    "snapshot": "2827b335821afd44",
    "as_of": "2026-03-02T00:00:00Z",
    "rows": 216000,
    "tasks": {
        "click": {
            "observed": 200000,
            "positive": 5000,
            "immature": 16000,
            "excluded": 0,
            "not_applicable": 0,
        },
        "back": {"observed": 0, "positive": 0, "immature": 216000, "excluded": 0, "not_applicable": 0},
    },
    "rates": {"click": 0.025, "back": None},
    "before_positive": {},
    "means": {},
    "changed": {"click": 0, "back": 0},
}
SIDE = {
    "snapshot": "d9b22e707aaaf04c",
    "as_of": "2026-03-01T00:00:00Z",
    "rows": 1000,
    "contract_version": 1,
    "contract_digest": "bf0e97c0690abcdef",
}
DIFFERENCE: dict[str, Any] = {
    "from": SIDE,
    "to": SIDE | {"contract_version": None},
    "contract_changed": False,
    "days_compared": 9,
    "days_shared": 51,
    "appeared": {f"2026-03-0{day}": day for day in range(1, 7)},
    "gone": {},
    "tasks": {
        "click": {
            "changed": 1016,
            "transitions": [
                {"from": "immature", "to": "observed 0", "rows": 1000, "days": {"2026-02-22": 1000}},
                {"from": "observed 0", "to": "observed 1", "rows": 16, "days": {"2026-02-23": 16}},
            ],
        },
        "hide": {"changed": 0, "transitions": []},
    },
    "tasks_only_in_from": [],
    "tasks_only_in_to": ["stay"],
}


def test_counts_are_a_table_with_a_row_a_task() -> None:
    head, names, click, back = as_text(label_text.write_counts(COUNTS)).splitlines()
    assert head == "snapshot 2827b335821afd44 as of 2026-03-02 00:00:00, 216,000 rows"
    assert names.split() == [
        "task",
        "observed",
        "positive",
        "rate",
        "immature",
        "excluded",
        "not",
        "applicable",
    ]
    assert click.split() == ["click", "200,000", "5,000", "0.025", "16,000", "0", "0"]
    assert back.split() == ["back", "0", "0", "-", "216,000", "0", "0"]


def test_labels_that_late_events_changed_are_counted_below() -> None:
    lines = as_text(label_text.write_counts(COUNTS | {"changed": {"click": 7, "back": 0}})).splitlines()
    assert lines[-1] == "observed labels that this build changed, through late events: click 7"


def test_a_rate_without_the_rows_kept_before_their_exclusion_stands_below() -> None:
    rates = {"as_labelled": 0.0121, "without_spared": 0.01, "spared": 42, "note": None}
    printed = as_text(label_text.write_counts(COUNTS | {"before_positive": {"buy": rates}}))
    assert "its rate is 0.0121, and 0.01 without those 42 rows." in " ".join(printed.split())
    unknown = rates | {"without_spared": None, "spared": None, "note": "the log cannot be read"}
    printed = as_text(label_text.write_counts(COUNTS | {"before_positive": {"buy": unknown}}))
    assert "Without them it is not known: the log cannot be read." in " ".join(printed.split())


def test_an_explanation_has_the_words_of_each_task_beside_its_name() -> None:
    plain = {
        "request_id": "r1",
        "item_id": "i1",
        "user_id": None,
        "shown_at": "2026-01-01T03:29:05Z",
        "snapshot": "2827b335821afd44",
        "as_of": "2026-03-02T00:00:00Z",
        "notes": ["the log has changed"],
        "tasks": {"click": {"words": "1. " + "word " * 30}, "hide_7d": {"words": "0."}},
    }
    lines = as_text(label_text.write_explanation(plain)).splitlines()
    assert lines[:4] == [
        "request r1, item i1: shown 2026-01-01 03:29:05",
        "snapshot 2827b335821afd44 as of 2026-03-02 00:00:00; every time is UTC",
        "note: the log has changed",
        "",
    ]
    assert lines[4].startswith("click:   1. word")
    assert lines[5].startswith("         word")
    assert lines[-1] == "hide_7d: 0."
    assert max(map(len, lines)) <= WIDTH


def test_a_difference_names_both_sides_and_what_changed() -> None:
    assert as_text(label_text.write_changes(DIFFERENCE)).splitlines() == [
        "from: d9b22e707aaaf04c as of 2026-03-01 00:00:00, 1,000 rows, contract version 1 (bf0e97c0690a)",
        "to:   d9b22e707aaaf04c as of 2026-03-01 00:00:00, 1,000 rows, contract (bf0e97c0690a)",
        "contract: the same",
        "days: 9 compared, 51 shared file by file",
        "impressions: 21 appeared (2026-03-06: 6, 2026-03-05: 5, 2026-03-04: 4, 2026-03-03: 3, 2 days more);",
        "none went",
        "tasks only in to: stay",
        "click: 1,016 labels changed",
        "  immature -> observed 0    1,000  2026-02-22: 1,000",
        "  observed 0 -> observed 1     16  2026-02-23: 16",
        "unchanged: hide",
    ]


def test_the_mean_of_a_value_task_stands_below_the_counts() -> None:
    printed = as_text(label_text.write_counts(COUNTS | {"means": {"spend": 2.5, "none_yet": None}}))
    assert "spend: mean 2.5 of its observed values" in printed
    assert "none_yet: mean - of" in printed


def test_a_rate_has_three_digits_and_one_row_is_no_rows() -> None:
    printed = as_text(
        label_text.write_counts(COUNTS | {"rows": 1, "rates": {"click": 0.0259372, "back": 2e-6}})
    )
    assert ", 1 row\n" in printed
    assert " 0.0259 " in printed
    assert " 0.000002 " in printed
