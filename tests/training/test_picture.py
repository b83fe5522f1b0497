"""The picture of a model's trees shows the greatest gains first, whatever features are called."""

from xml.etree import ElementTree as ET

import pytest

from tasks.training.picture import importance_figure, trunk_figure
from tests.reports.drawings import find, points_of, sides_of, words_of

SVG = "{http://www.w3.org/2000/svg}"


def test_the_greatest_gain_is_on_top_and_shares_sum_to_a_hundred() -> None:
    figure = importance_figure({"price": 1.0, "age": 3.0}, title="click_30m")
    assert words_of(figure, "end") == ["age", "price"]
    (_, upper), (_, lower) = (sides_of(bar, "width", "y") for bar in find(figure, "rect"))
    assert upper < lower
    assert figure.about.endswith("age 75%, price 25%.")


def test_bars_are_as_long_as_the_axis_says() -> None:
    figure = importance_figure({"price": 1.0, "age": 3.0}, title="click_30m")
    places = {tick.words: sides_of(tick, "x")[0] for tick in find(figure, "text", "tick")}
    left, width = sides_of(find(figure, "rect")[0], "x", "width")
    assert places["60"] - left == pytest.approx(width * 60 / 75, abs=0.1)


def test_of_many_features_the_thirty_greatest_are_shown() -> None:
    figure = importance_figure({f"f{n}": float(n) for n in range(50)}, title="many")
    assert words_of(figure, "end") == [f"f{n}" for n in range(49, 19, -1)]


def test_a_model_that_used_nothing_has_a_picture_too() -> None:
    figure = importance_figure({"price": 0.0}, title="none")
    assert [sides_of(bar, "width") for bar in find(figure, "rect")] == [(0.0,)]
    ET.fromstring(figure.to_svg())  # noqa: S314 - our own


def test_the_picture_is_one_file_that_says_in_words_what_it_shows() -> None:
    drawn = ET.fromstring(importance_figure({"a<b>&\x00": 3.0, "c": 1.0}, title="click").to_svg())  # noqa: S314 - our own
    assert drawn.findtext(f"{SVG}title") == "click"
    assert (
        drawn.findtext(f"{SVG}desc") == "Share of the total gain: a<b>&\N{REPLACEMENT CHARACTER} 75%, c 25%."
    )


def test_a_task_without_a_loss_has_no_curve_and_every_cosine_a_cell() -> None:
    held_out = [{"click": 1.0, "hide": None}, {"click": 0.8, "hide": None}]
    shares = [{"click": 0.6, "hide": 0.4}] * 2
    figure = trunk_figure(held_out, shares, [[1.0, -0.5], [-0.5, 1.0]], kept=1, title="feed")
    curves = [mark for mark in find(figure, "path") if "stroke" in mark.attributes]
    assert [len(points_of(curve)) for curve in curves] == [2, 2, 2]
    assert words_of(figure, "middle")[-4:] == ["+1.00", "-0.50", "-0.50", "+1.00"]
    (place, *_), (dashed, *_) = points_of(curves[0])[-1:], points_of(find(figure, "path", "diagonal")[0])
    assert place[0] == dashed[0]
