"""The reliability picture is drawn for any labels that can be observed."""

import sys
from io import BytesIO

import numpy as np
import pytest

from tasks.calibration.picture import reliability_figure


def _drawn(rate: float, n: int = 4000) -> tuple[bytes, object]:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 1 / rate - 1, n)
    outcomes = rng.random(n) < truth
    figure = reliability_figure(truth**1.2, truth, outcomes, title="purchase_7d", users=np.arange(n) % 300)
    out = BytesIO()
    figure.savefig(out, format="png", dpi=60)
    return out.getvalue(), figure


@pytest.mark.parametrize(("rate", "scale"), [(0.01, "log"), (0.3, "linear")])
def test_rare_outcomes_get_logarithmic_axes(rate: float, scale: str) -> None:
    image, figure = _drawn(rate)
    assert image.startswith(b"\x89PNG")
    before, after, strip, _ = figure.axes  # type: ignore[attr-defined]
    assert before.get_xscale() == before.get_yscale() == after.get_xscale() == scale
    assert before.get_title(loc="left").startswith("before: observed / predicted")
    assert strip.get_xlim() == before.get_xlim()


@pytest.mark.parametrize("outcomes", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
def test_thin_and_one_sided_labels_are_drawn_too(outcomes: list[int]) -> None:
    figure = reliability_figure([0.01, 0.2, 0.02, 0.02], [0.1, 0.3, 0.2, 0.2], outcomes, title="hide_7d")
    figure.savefig(BytesIO(), format="png", dpi=40)


def test_global_state_of_the_plotting_library_is_left_alone() -> None:
    _drawn(0.1, 500)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
