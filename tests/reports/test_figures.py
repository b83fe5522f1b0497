"""Intervals are placed on one scale, a row each, in the order given."""

from tasks.evaluation.verdicts import Estimate
from tasks.reports.figures import draw_intervals


def test_a_row_is_placed_by_the_scale_from_left_to_right() -> None:
    rows = [("a", "pass", Estimate(0.0, -1.0, 1.0, 9)), ("b", "warn", Estimate(0.2, 0.1, 0.5, 9))]
    chart = draw_intervals(rows, lambda x: x, ticks=[(-1, "-1"), (1, "+1")], band=(-0.1, 0.1))
    assert chart is not None
    first, second = chart.marks
    assert (first.low, first.value, first.high) == (360.0, 610.0, 860.0)
    assert (second.name, second.tone, second.y - first.y) == ("b", "warn", 24)
    assert chart.ticks == [(360.0, "-1"), (860.0, "+1")]
    assert chart.band == (585.0, 635.0)
    assert chart.height == 2 * 24 + 30


def test_without_a_row_there_is_no_chart() -> None:
    assert draw_intervals([], lambda x: x, ticks=[], band=(0, 0)) is None
