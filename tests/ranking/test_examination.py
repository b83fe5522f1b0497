import numpy as np
import pytest

from tasks.ranking.examination import MOST, Examination


def test_a_curve_is_relative_to_its_reference() -> None:
    curve = Examination((1.0, 0.5, 0.25), reference=2)
    assert curve.relative([1, 2, 3]).tolist() == [2.0, 1.0, 0.5]


def test_beyond_the_curve_its_last_value_holds_and_a_reference_may_lie_there() -> None:
    assert Examination((1.0, 0.5)).relative([2, 3, 99]).tolist() == [0.5, 0.5, 0.5]
    assert Examination((1.0, 0.5), reference=9).relative([1]).tolist() == [2.0]


def test_where_there_is_no_position_nothing_is_known() -> None:
    np.testing.assert_array_equal(Examination((1.0, 0.5)).relative([np.nan, 2]), [np.nan, 0.5])


def test_a_curve_is_read_back_whatever_else_its_file_says() -> None:
    curve = Examination((1.0, 0.9), reference=1)
    assert Examination.from_json({**curve.to_json(), "source": "estimated", "low": [1.0, 0.8]}) == curve


def test_a_declared_whole_number_is_a_probability_too() -> None:
    assert Examination((1,)).relative([3]) == pytest.approx(1.0)


def test_no_probability_at_a_position_is_as_much_as_one() -> None:
    assert 0.999 < MOST < 1
