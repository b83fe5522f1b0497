"""Intervals are placed on one scale, a row each, in the order given."""

from tasks.evaluation.verdicts import Estimate
from tasks.reports.figures import draw_intervals
from tasks.reports.numbers import format_estimate


def test_a_row_is_placed_by_the_scale_from_left_to_right() -> None:
    rows = [("a", "pass", Estimate(0.0, -1.0, 1.0, 9)), ("b", "warn", Estimate(0.2, 0.1, 0.5, 9))]
    chart = draw_intervals(rows, lambda x: x, ticks=[(-1, "-1"), (1, "+1")], band=(-0.1, 0.1))
    assert chart is not None
    first, second = chart.marks
    assert (first.low, first.value, first.high) == (4.0, 50.0, 96.0)
    assert (second.name, second.tone, second.words) == ("b", "warn", format_estimate(rows[1][2]))
    assert chart.ticks == [(4.0, "-1"), (96.0, "+1")]
    assert chart.band == (45.4, 54.6)


def test_without_a_row_there_is_no_chart() -> None:
    assert draw_intervals([], lambda x: x, ticks=[], band=(0, 0)) is None
