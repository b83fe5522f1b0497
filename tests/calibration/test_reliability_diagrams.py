"""Diagrams are laid out on axes that they share, and only the outer ones are named."""

import numpy as np

from tasks.calibration.reliability import Curve, reliability_curve
from tasks.calibration.reliability_diagrams import draw_large, draw_small, format_ratio
from tasks.calibration.reliability_shapes import Frame
from tasks.evaluation.resampling import Clusters
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE


def curve(factor: float = 1.0) -> Curve:
    p = np.linspace(0.01, 0.5, 200)
    y = (np.arange(200) % 3 == 0).astype(float)
    return reliability_curve(factor * p, y, Clusters(np.arange(200), 200, "users"))


PAIR = {"before": curve(0.5), "after": curve()}
FRAME = Frame.around(list(PAIR.values()), rare=False, binary=True)


def test_two_diagrams_share_their_axes_and_the_left_one_names_the_upright() -> None:
    figure = draw_large("click", PAIR, FRAME)
    before, after = figure.diagrams
    assert before.frame.y_ticks == after.frame.y_ticks
    moved = after.frame.left - before.frame.left
    assert [tick.at + moved for tick in before.frame.x_ticks] == [tick.at for tick in after.frame.x_ticks]
    assert [diagram.outer.y for diagram in figure.diagrams] == [True, False]
    assert [strip.outer.x for strip in figure.strips] == [True, True]
    assert [strip.name for strip in figure.strips] == ["before", "after"]


def test_small_diagrams_stand_four_in_a_row_and_the_lowest_of_each_column_is_named() -> None:
    figure = draw_small("click", {(f"source={n}", "1.00"): PAIR for n in range(6)}, FRAME)
    assert len({diagram.frame.left for diagram in figure.diagrams}) == 4
    assert [diagram.outer.x for diagram in figure.diagrams] == [False, False, True, True, True, True]
    assert [diagram.outer.y for diagram in figure.diagrams] == [True, False, False, False, True, False]
    assert max(diagram.frame.bottom for diagram in figure.diagrams) < figure.height - 30
    assert max(diagram.frame.right for diagram in figure.diagrams) <= figure.width


def test_of_segments_only_the_calibrated_curve_has_a_band() -> None:
    (diagram,) = draw_small("click", {("source=ads", "1.00"): PAIR}, FRAME).diagrams
    assert [bool(line.band) for line in diagram.curves] == [False, True]
    assert diagram.rows.startswith("M")


def test_a_ratio_of_too_little_data_cannot_be_told() -> None:
    assert format_ratio(UNKNOWN_ESTIMATE) == "cannot be told"
