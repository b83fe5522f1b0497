"""Axes name few, round values, at the places where they lie."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from tasks.reports.scales import Scale, outline_steps

ENDS = st.tuples(st.floats(1e-9, 1e9), st.floats(1.001, 1e6)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@given(ENDS, st.booleans(), st.floats(20, 190))
@example((124.0, 42105440.0), False, 190.0)
def test_named_values_lie_where_they_say_and_not_too_close(
    ends: tuple[float, float], logarithmic: bool, apart: float
) -> None:
    low, high = ends
    scale = Scale(low, high, 10.0, 410.0, logarithmic)
    ticks = scale.ticks(apart)
    assert ticks
    places = [tick.at for tick in ticks]
    values = [float(tick.words.replace(",", "")) for tick in ticks]
    assert np.allclose(scale.place(values), places, atol=0.2)
    if not logarithmic or low > 1e-8:
        assert places == sorted(places)
    if not logarithmic:
        assert np.all(np.diff(places) >= apart - 0.2)
    slack = 1e-6 * (high - low)
    assert all(low - slack <= value <= high + slack for value in values)


def test_of_a_logarithmic_axis_as_much_is_named_as_there_is_room_for() -> None:
    scale = Scale(0.001, 0.1, 0.0, 200.0, logarithmic=True)
    assert [tick.words for tick in scale.ticks(30)] == [
        "0.001",
        "0.002",
        "0.005",
        "0.01",
        "0.02",
        "0.05",
        "0.1",
    ]
    assert [tick.words for tick in scale.ticks(40)] == ["0.001", "0.003", "0.01", "0.03", "0.1"]
    assert [tick.words for tick in scale.ticks(90)] == ["0.001", "0.01", "0.1"]


def test_an_axis_that_points_up_has_its_greatest_value_at_the_top() -> None:
    assert [tick.at for tick in Scale(0.0, 1.0, 300.0, 20.0).ticks(140)] == [300.0, 160.0, 20.0]


def test_no_zero_has_a_sign() -> None:
    assert Scale(0.0, 0.9, 0.0, 100.0).ticks(20)[0].words == "0"


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_what_no_logarithm_has_lies_at_the_lower_end(value: float) -> None:
    assert Scale(0.01, 1.0, 5.0, 105.0, logarithmic=True).place([value]).tolist() == [5.0]


def test_a_logarithmic_axis_within_one_decade_names_values_all_the_same() -> None:
    assert [tick.words for tick in Scale(0.021, 0.029, 0.0, 100.0, logarithmic=True).ticks(20)] == [
        "0.022",
        "0.024",
        "0.026",
        "0.028",
    ]


def test_a_decade_is_as_wide_as_the_next() -> None:
    tenth, one, ten = Scale(0.1, 10.0, 0.0, 90.0, logarithmic=True).place([0.1, 1.0, 10.0])
    assert math.isclose(one - tenth, ten - one)


def test_a_histogram_stands_on_its_base() -> None:
    assert outline_steps([3.0], [1.0, 2.0], base=7.0) == "M1,7V3H2V7Z"
