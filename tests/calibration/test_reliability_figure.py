"""The reliability picture is drawn for any labels that can be observed."""

import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure

from tasks.calibration.reliability_figure import (
    MOST_SEGMENTS,
    reliability_figure,
    segments_figure,
)
from tasks.evaluation.observations import Observations
from tasks.reports.png import small_png


def rows(
    calibrated: npt.ArrayLike,
    outcomes: Sequence[float] | npt.NDArray[Any],
    users: npt.ArrayLike | None = None,
    segments: Mapping[str, npt.ArrayLike] | None = None,
) -> Observations:
    who = np.arange(len(outcomes)) if users is None else users
    return Observations(outcomes, calibrated, who, who, segments or {})


def _drawn(rate: float, n: int = 4000) -> tuple[bytes, Figure]:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 1 / rate - 1, n)
    outcomes = rng.random(n) < truth
    figure = reliability_figure(truth**1.2, rows(truth, outcomes, np.arange(n) % 300), title="purchase_7d")
    out = BytesIO()
    figure.savefig(out, format="png", dpi=60)
    return out.getvalue(), figure


@pytest.mark.parametrize(("rate", "scale"), [(0.01, "log"), (0.3, "linear")])
def test_rare_outcomes_get_logarithmic_axes(rate: float, scale: str) -> None:
    image, figure = _drawn(rate)
    assert image.startswith(b"\x89PNG")
    before, after, strip, _ = figure.axes
    assert before.get_xscale() == before.get_yscale() == after.get_xscale() == scale
    assert before.get_title(loc="left").startswith("before: observed / predicted")
    assert strip.get_xlim() == before.get_xlim()


@pytest.mark.parametrize("outcomes", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
def test_thin_and_one_sided_labels_are_drawn_too(outcomes: list[int]) -> None:
    figure = reliability_figure(
        [0.01, 0.2, 0.02, 0.02], rows([0.1, 0.3, 0.2, 0.2], outcomes), title="hide_7d"
    )
    figure.savefig(png := BytesIO(), format="png", dpi=40)
    assert png.getvalue().startswith(b"\x89PNG")


def test_without_what_was_before_one_diagram_is_drawn() -> None:
    figure = reliability_figure(None, rows([0.1, 0.3], [0, 1]), title="return_30d")
    assert len(figure.axes) == 2


N = 3000
RNG = np.random.default_rng(0)
TRUTH = RNG.beta(1, 6, N)
SOURCE = np.array(["ads", "feed", "mail"])[RNG.integers(3, size=N)]
CATEGORY = np.array([f"c{i}" for i in range(14)])[RNG.integers(14, size=N)]
HARMED = SOURCE == "mail"
OUTCOMES = RNG.random(N) < np.where(HARMED, np.minimum(1, 2 * TRUTH), TRUTH)


def test_segments_that_look_least_calibrated_are_drawn_first_and_the_rest_is_counted() -> None:
    figure = segments_figure(
        TRUTH, rows(TRUTH, OUTCOMES, segments={"source": SOURCE, "category": CATEGORY}), title="click"
    )
    assert figure is not None
    assert figure.get_suptitle() == "click: 12 of 17 segment values"
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == MOST_SEGMENTS
    assert titles[0].startswith("source=mail\n")


def test_segments_without_both_outcomes_are_not_drawn() -> None:
    assert (
        segments_figure([0.1, 0.2], rows([0.1, 0.2], [1, 0], segments={"source": ["a", "b"]}), title="click")
        is None
    )


def test_a_value_head_is_drawn_in_its_own_unit() -> None:
    seconds = np.where(OUTCOMES, RNG.exponential(40.0, N), 0.0)
    figure = reliability_figure(TRUTH * 30, rows(TRUTH * 40, seconds), title="watch_seconds")
    assert figure.get_suptitle().startswith(f"watch_seconds: {int(OUTCOMES.sum())} values above 0 in 3,000")
    assert figure.axes[0].get_xlim()[1] > 1
    assert segments_figure(
        TRUTH * 30, rows(TRUTH * 40, seconds, segments={"source": SOURCE}), title="watch_seconds"
    )


def test_pictures_are_small_enough_for_a_page_of_many_tasks() -> None:
    whole = reliability_figure(TRUTH**1.2, rows(TRUTH, OUTCOMES), title="click")
    parts = segments_figure(TRUTH**1.2, rows(TRUTH, OUTCOMES, segments={"category": CATEGORY}), title="click")
    assert parts is not None
    drawn = [small_png(figure) for figure in (whole, parts)]
    assert all(png.startswith(b"\x89PNG") for png in drawn)
    assert sum(map(len, drawn)) < 100_000


def test_global_state_of_the_plotting_library_is_left_alone() -> None:
    _drawn(0.1, 500)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
