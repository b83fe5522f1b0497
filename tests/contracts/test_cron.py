"""Cron strings: what is accepted comes due some day, and the scheduler's own reader takes it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.cron import check_cron

croniter = pytest.importorskip("croniter").croniter
WORDS = [
    "*",
    "*/7",
    "1-5/2",
    "jan",
    "mon",
    "sat",
    "dec",
    "sun#3",
    "l",
    "L",
    "0",
    "7",
    "29",
    "30",
    "31",
    "59",
    "60",
]
FIELD = st.one_of(
    st.sampled_from(WORDS),
    st.text("0123456789*/-,#?Lljanmosu@ ", max_size=5),
    st.builds(",".join, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)),
)


@pytest.mark.parametrize(
    "text",
    [
        "0 4 * * 1",
        "*/15 * * * *",
        "0 0-6,22-23 1 jan-jun MON",
        "5 4 29 2 *",
        "0 0 L * *",
        "0 0 * * sun#1",
        "0 0 31 */2 *",
        "0 0 30 2 1",
    ],
)
def test_what_the_scheduler_takes_is_accepted(text: str) -> None:
    assert check_cron(text) == text
    assert croniter.is_valid(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("daily", "five fields"),
        ("0 4 * *", "five fields"),
        ("0 4 * * 1 2026", "five fields"),
        ("0 4  * * 1", "five fields"),
        ("60 4 * * *", "its minute '60' is not 0 to 59"),
        ("0 24 * * *", "its hour"),
        ("0 4 0 * *", "its day of month"),
        ("0 4 * 13 *", "its month '13' is not 1 to 12 or jan to dec"),
        ("0 4 * * mnday", "its day of week 'mnday'"),
        ("0 4 * * 5-1", "ends before it begins"),
        ("*/0 * * * *", "write steps as"),
        ("5/10 * * * *", "write steps as"),
        ("a b c d e", "its minute"),
        ("0 4 30 2 *", "no month of it has a day 30"),
        ("0 4 31 4,6,9,11 *", "no month of it has a day 31"),
        ("@daily x x x x", "its minute"),
        ("٣ 4 * * *", "its minute"),
    ],
)
def test_what_is_none_is_told_which_field_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="is not a cron string") as caught:
        check_cron(text)
    assert words in str(caught.value)


@given(st.builds(" ".join, st.lists(FIELD, min_size=5, max_size=5)))
def test_what_is_accepted_comes_due(text: str) -> None:
    try:
        check_cron(text)
    except ValueError:
        return
    assert croniter.is_valid(text), text
    assert croniter(text, datetime(2026, 1, 1, tzinfo=UTC)).get_next(datetime).year < 2034
