"""The limits of a figure hold what it shows, and every prediction is counted inside them."""

import numpy as np

from tasks.calibration.reliability import Curve, reliability_curve
from tasks.calibration.reliability_shapes import Frame
from tasks.evaluation.resampling import Clusters


def curve(predictions: "np.typing.NDArray[np.float64]") -> Curve:
    size = len(predictions)
    happened = (np.arange(size) % 3 == 0).astype(float)
    return reliability_curve(predictions, happened, Clusters(np.arange(size), size, "users"))


def test_a_frame_holds_every_bin_of_every_curve_and_begins_at_nothing() -> None:
    curves = [curve(np.linspace(0.01, top, 200)) for top in (0.2, 0.8)]
    frame = Frame.around(curves, rare=False, binary=True)
    assert frame.x == frame.y
    assert frame.x[0] == 0
    shown = [
        *(mean for one in curves for mean in one.predicted),
        *(r.value for c in curves for r in c.observed),
    ]
    assert max(shown) < frame.x[1]


def test_of_rare_outcomes_both_axes_are_logarithmic_and_end_at_one_at_most() -> None:
    frame = Frame.around([curve(np.geomspace(0.001, 0.9, 300))], rare=True, binary=True)
    assert 0 < frame.x[0] < frame.x[1] <= 1
    assert 0 < frame.y[0] < frame.y[1] <= 1


def test_without_any_prediction_above_zero_there_is_still_a_frame() -> None:
    frame = Frame.around([], rare=True, binary=True)
    assert (frame.rare, frame.x[0]) == (False, 0)
    assert frame.x[1] > 0


def test_every_row_is_counted_in_one_bar_also_beyond_the_frame() -> None:
    rows, edges = Frame((0.01, 0.1), (0.01, 0.1), rare=True, binary=True).count(np.array([0.0, 0.05, 0.9]))
    assert rows.sum() == 3
    assert (rows[0], rows[-1]) == (1, 1)
    assert np.allclose(edges[1:] / edges[:-1], edges[1] / edges[0])
