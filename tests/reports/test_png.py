"""A picture is drawn once and is small."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from tasks.reports.png import small_png


def drawn_by_matplotlib(figure: Figure) -> npt.NDArray[np.float64]:
    figure.savefig(png := BytesIO(), format="png", dpi=80)
    return np.asarray(Image.open(png).convert("RGB"), dtype=float)


def lines() -> Figure:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    axes[0].plot([0, 1], [0, 1])
    axes[1].set_xlabel("predicted")
    figure.suptitle("click")
    return figure


def test_it_shows_what_matplotlib_itself_writes_in_few_colours() -> None:
    picture = Image.open(BytesIO(small_png(lines())))
    assert picture.mode == "P"
    expected = drawn_by_matplotlib(lines())
    assert picture.size == expected.shape[1::-1] == (320, 240)
    assert np.abs(np.asarray(picture.convert("RGB"), dtype=float) - expected).mean() < 1.0


def test_equal_figures_are_the_same_bytes() -> None:
    assert small_png(lines()) == small_png(lines())
