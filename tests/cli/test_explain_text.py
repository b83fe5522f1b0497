"""An explained request as people read it: its errors beside its figures, within the width of a terminal."""

from typing import Any

from tasks.cli.explain_text import write_explanation
from tasks.cli.output import as_text

CANDIDATE: dict[str, Any] = {
    "request_id": "r1",
    "item_id": "i17",
    "utility": 0.4012345,
    "rank": 1,
    "slate_position": 2,
    "dropped_by": None,
    "context": "new_users",
    "tier": None,
    "constraints": None,
    "moved_by": "max_per:creator",
    "utility_error": 0.0212,
    "untold": None,
    "gap": 0.0912,
    "gap_error": 0.0123,
    "order": "told",
    "no_ratios": None,
}
CLICK: dict[str, Any] = {
    "task": "click_30m",
    "prediction": 0.1402,
    "weight": 0.8,
    "times": None,
    "value": None,
    "contribution": 0.11216,
    "calibration_ratio": 1.02,
    "error": 0.0022,
    "error_low": -0.0034,
    "error_high": 0.0078,
}
BUY: dict[str, Any] = {
    "task": "purchase_7d",
    "prediction": 0.0111,
    "weight": 20.0,
    "times": "margin",
    "value": 1.3,
    "contribution": 0.289,
    "calibration_ratio": 0.97,
    "error": -0.01,
    "error_low": -0.05,
    "error_high": 0.02,
}


def written(*terms: dict[str, Any], **fields: Any) -> list[str]:
    return as_text(write_explanation([CANDIDATE | term | fields for term in terms])).splitlines()


def test_a_candidate_has_its_error_bar_its_gap_and_its_terms_below_it() -> None:
    assert written(CLICK, BUY) == [
        "request r1",
        "",
        "1. i17, slot 2, moved by max_per:creator, context new_users",
        "   utility 0.401 +/- 0.021; 0.0912 +/- 0.012 above the next: order told",
        "   click_30m    0.14 x 0.8                = +0.112  error +0.0022 [-0.0034, 0.0078]",
        "   purchase_7d  0.0111 x 20 x margin 1.3  = +0.289  error -0.01 [-0.05, 0.02]",
    ]


def test_a_total_stands_beside_the_utility_that_was_made_of_it() -> None:
    lines = written(CLICK, total=0.8, multiplied_by="less_of_this", order="by_multiplier", moved_by=None)
    assert lines[2] == "1. i17, slot 2, multiplied by less_of_this, context new_users"
    assert lines[3] == (
        "   utility 0.401 of a total of 0.8 +/- 0.021; 0.0912 +/- 0.012 above the next: by multiplier"
    )


def test_an_order_within_the_error_says_so() -> None:
    assert written(CLICK, order="within_error")[3].endswith(": within the error")
    assert written(CLICK, order="by_tier", gap=-0.2)[3] == (
        "   utility 0.401 +/- 0.021; 0.2 +/- 0.012 below the next: by tier"
    )


def test_what_the_slate_asked_in_vain_stands_at_the_head() -> None:
    assert written(CLICK, unmet="length 9 of 10 (9 at hand)")[1] == (
        "slate rules that could not be met: length 9 of 10 (9 at hand)"
    )


def test_what_is_out_has_no_next() -> None:
    out = {
        "rank": None,
        "slate_position": None,
        "moved_by": None,
        "gap": None,
        "gap_error": None,
        "order": None,
    }
    lines = written(CLICK, **out, constraints="violation (unknown)")
    assert lines[2:4] == [
        "out i17, dropped by violation (unknown), context new_users",
        "   utility 0.401 +/- 0.021",
    ]


def test_a_value_that_is_missing_leaves_utility_and_contribution_unknown() -> None:
    unknown = dict.fromkeys(("value", "contribution", "error", "error_low", "error_high"))
    dropped = dict.fromkeys(
        ("utility", "utility_error", "rank", "slate_position", "gap", "gap_error", "order")
    )
    lines = written(BUY | unknown, **dropped, constraints="unknown_value:margin")
    assert lines[3:] == ["   utility unknown", "   purchase_7d  0.0111 x 20 x margin unknown  = unknown"]


def test_an_error_that_cannot_be_told_is_named_at_the_head() -> None:
    unknown = dict.fromkeys(("calibration_ratio", "error", "error_low", "error_high"))
    lines = written(CLICK | unknown, BUY, untold="click_30m", order="inconclusive")
    assert "no error of click_30m: the release's test days tell no calibration ratio" in lines[1]
    assert lines[5] == (
        "   utility 0.401 +/- at least 0.021; 0.0912 +/- at least 0.012 above the next: inconclusive"
    )
    assert lines[6].endswith("= +0.112  error cannot be told")


def test_a_release_without_figures_says_why_and_shows_no_error() -> None:
    without = dict.fromkeys(("error", "error_low", "error_high", "utility_error", "gap_error", "order"))
    lines = written(CLICK | without, **without, untold="click_30m", no_ratios="Run 7 has no evidence.json.")
    assert lines[1] == "no errors: Run 7 has no evidence.json."
    assert "+/-" not in "\n".join(lines)


def test_a_release_of_an_earlier_program_tells_no_order() -> None:
    row = {name: value for name, value in CANDIDATE.items() if name != "tier"} | CLICK | {"order": None}
    lines = as_text(write_explanation([row])).splitlines()
    assert lines[1] == "no orders: the release was made by a program that did not tell tiers"


def test_long_names_are_wrapped_within_the_width() -> None:
    long = BUY | {"task": "purchase_of_something_dear_28d", "times": "expected_margin_after_discounts"}
    lines = written(CLICK, long, order="by_tier", item_id="i02400-with-a-name-of-its-own/0")
    assert max(map(len, lines)) <= 100


def test_no_figure_has_more_than_three_digits_nor_an_exponent_where_zeros_can_be_counted() -> None:
    rare = {**CLICK, "prediction": 0.00000123456, "weight": -12345.6, "contribution": -0.0152413}
    lines = written(rare, utility=1234.5678)
    assert lines[3].startswith("   utility 1,235 +/- 0.021;")
    assert lines[4].split("  error")[0].split() == ["click_30m", "0.00000123", "x", "-12,346", "=", "-0.0152"]
