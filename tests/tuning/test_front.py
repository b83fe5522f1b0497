"""Fronts against what their definitions say, point by point, and volumes against counted cells."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.tuning.front import find_front, find_knee, hypervolume

Points = list[tuple[int, ...]]


def some(dimensions: int) -> st.SearchStrategy[Points]:
    return st.lists(st.tuples(*[st.integers(0, 5)] * dimensions), min_size=1, max_size=9)


any_points = st.integers(1, 4).flatmap(some)


@settings(max_examples=80)
@given(any_points)
def test_a_point_is_on_the_front_unless_another_is_as_good_in_all_and_better_in_one(points: Points) -> None:
    expected = [
        not any(all(a >= b for a, b in zip(other, one, strict=True)) and other != one for other in points)
        for one in points
    ]
    assert find_front(points).tolist() == expected


@settings(max_examples=80)
@given(any_points)
def test_volume_counts_the_unit_cells_below_some_point(points: Points) -> None:
    cells = product(range(5), repeat=len(points[0]))
    expected = sum(
        any(all(c < p for c, p in zip(cell, one, strict=True)) for one in points) for cell in cells
    )
    assert hypervolume(points, [0] * len(points[0])) == pytest.approx(expected)


@settings(max_examples=40)
@given(any_points)
def test_what_is_dominated_adds_no_volume_and_order_does_not_matter(points: Points) -> None:
    reference = [0] * len(points[0])
    front = np.array(points)[find_front(points)]
    whole = hypervolume(points, reference)
    assert hypervolume(front[::-1], reference) == pytest.approx(whole)


def test_what_does_not_exceed_the_reference_adds_nothing() -> None:
    assert hypervolume([[2.0, 1.0], [1.0, 5.0]], [1.0, 0.0]) == pytest.approx(1.0)


def test_the_knee_does_not_depend_on_units() -> None:
    front = np.array([[0.0, 1.0], [0.7, 0.8], [0.9, 0.3], [1.0, 0.0]])
    assert find_knee(front) == find_knee(front * [1000.0, 0.01] + [3.0, -2.0]) == 1


def test_an_objective_that_nobody_moves_does_not_choose_the_knee() -> None:
    assert find_knee([[0.0, 1.0, 7.0], [0.8, 0.8, 7.0], [1.0, 0.0, 7.0]]) == 1


def test_without_points_there_is_no_knee_and_no_volume() -> None:
    assert hypervolume(np.zeros((0, 2)), [0.0, 0.0]) == 0.0
    with pytest.raises(DataError, match="empty front"):
        find_knee(np.zeros((0, 2)))


@pytest.mark.parametrize("points", [[[np.nan, 1.0]], [1.0, 2.0]])
def test_what_is_no_set_of_points_is_refused(points: list[float]) -> None:
    with pytest.raises(DataError, match="finite objectives"):
        find_front(points)
