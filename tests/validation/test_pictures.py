"""Drawings by day, in pixels: days by their date, bands where they are known, statuses stacked."""

from datetime import date, timedelta

from tasks.columns import Status
from tasks.validation.findings import Line
from tasks.validation.pictures import draw_line, draw_statuses

FIRST = date(2026, 3, 1)
DAYS = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=4)]


def test_days_are_placed_by_date_so_that_a_gap_is_seen() -> None:
    figure = draw_line(Line("buy", DAYS, [0.1, 0.2, 0.3], [None] * 3, [None] * 3, share=True))
    assert [x for x, _ in figure.line] == [4.0, 77.0, 296.0]
    assert (figure.span, figure.low, figure.high) == ("2026-03-01 to 2026-03-05", "10%", "30%")


def test_the_band_goes_forth_along_the_upper_end_and_back_along_the_lower() -> None:
    figure = draw_line(Line("buy", DAYS, [1.0, 2.0, 3.0], [None, 1.0, 2.0], [None, 3.0, 4.0], share=False))
    assert [x for x, _ in figure.band] == [77.0, 296.0, 296.0, 77.0]
    (_, upper), *_, (_, lower) = figure.band
    assert upper < lower  # pixels are counted from above


def test_a_day_that_breaks_the_rule_is_an_odd_dot_and_one_without_a_value_is_none() -> None:
    line = Line("buy", DAYS, [1.0, None, 3.0], [None] * 3, [None] * 3, share=False, odd=[DAYS[2]])
    assert [(dot.title, dot.odd) for dot in draw_line(line).dots] == [
        ("2026-03-01: 1", False),
        ("2026-03-05: 3", True),
    ]


def test_statuses_fill_the_height_from_below() -> None:
    shares = {status: [0.0] for status in map(str, Status)} | {"observed": [0.75], "excluded": [0.25]}
    lower, upper = draw_statuses("buy", [FIRST], shares).bars
    assert (lower.status, lower.y, lower.height) == (Status.OBSERVED, 19.0, 57.0)
    assert (upper.status, upper.y, upper.height) == (Status.EXCLUDED, 0.0, 19.0)
