"""Numbers are written with three significant digits, counts in full, intervals where they are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate
from tasks.reports.numbers import (
    format_change,
    format_count,
    format_estimate,
    format_number,
    format_share,
    isolate,
)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999.4, "999"), (999.6, "1,000"), (-1234.5, "-1,234"), (1e-5, "0.00001")]
)
def test_numbers_never_round_up_into_an_exponent(value: float, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(-999, 999))
def test_a_number_says_at_most_three_digits_of_its_own(value: float) -> None:
    digits = format_number(value).lstrip("-0.").partition("e")[0].replace(".", "").lstrip("0")
    assert len(digits) <= 3
    assert float(format_number(value)) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(("value", "text"), [(1e-6, "0.0001%"), (1.2e-9, "0.00000012%"), (12.5, "1,250%")])
def test_a_share_is_written_without_an_exponent(value: float, text: str) -> None:
    assert format_share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.999, "+99.9%"),
        (0.9996, "+100%"),
        (-0.9999, "-100%"),
        (-1.0, "-100%"),
        (0.0, "+0.0%"),
        (-0.0002, "+0.0%"),
        (12.0, "+1,200%"),
    ],
)
def test_changes_carry_their_sign(value: float, text: str) -> None:
    assert format_change(value) == text


def test_shares_and_counts() -> None:
    assert (format_share(0.09433), format_share(1.0), format_count(1200)) == ("9.43%", "100%", "1,200")


def test_an_interval_of_no_width_is_left_out_and_an_unknown_one_is_marked() -> None:
    assert format_estimate(Estimate(1200.0, 1200.0, 1200.0, 9)) == "1,200"
    assert format_estimate(Estimate(1.0, math.nan, 2.0, 1)) == "1 [?]"


def test_what_is_not_known_is_empty() -> None:
    assert (
        format_estimate(None)
        == format_estimate(UNKNOWN_ESTIMATE)
        == format_number(math.nan)
        == format_share(math.nan)
        == ""
    )


def test_a_text_from_right_to_left_is_kept_apart_and_no_text_turns_what_follows() -> None:
    hebrew, persian = "\u05e7\u05e0\u05d4", "\u0645\u06cc\u200c\u062e\u0631\u062f"
    assert isolate(hebrew) == f"\u2068{hebrew}\u2069"
    assert isolate(persian) == f"\u2068{persian}\u2069", "a sign within a word stays"
    assert isolate("\u202ebought it\u2069") == "bought it"
    assert isolate("ge\u00f6ffnet, \u6253\u5f00") == "ge\u00f6ffnet, \u6253\u5f00"
