"""Durations are read from ISO 8601 and written back in their shortest form."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.durations import format_duration, parse_duration


@given(st.integers(1, 3650 * 86400))
def test_a_duration_comes_back_from_its_text(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["P", "PT", "7D", "P1Y", "P1.5D", "-P1D", "P99999999999D", 7, None, True])
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|at most"):
        parse_duration(text)
