"""The picture of a model's trees shows the greatest gains first, whatever features are called."""

from xml.etree import ElementTree as ET

import pytest

from tasks.training.picture import importance_figure

SVG = "{http://www.w3.org/2000/svg}"


def test_the_greatest_gain_is_on_top_and_shares_sum_to_a_hundred() -> None:
    bars = importance_figure({"price": 1.0, "age": 3.0}, title="click_30m").bars
    assert [bar.feature for bar in bars] == ["age", "price"]
    assert [bar.share for bar in bars] == [0.75, 0.25]
    assert bars[0].y < bars[1].y


def test_bars_are_as_long_as_the_axis_says() -> None:
    figure = importance_figure({"price": 1.0, "age": 3.0}, title="click_30m")
    by_words = {tick.words: tick.at for tick in figure.ticks}
    assert by_words["60"] - figure.left == pytest.approx(figure.bars[0].width * 60 / 75, abs=0.1)


def test_of_many_features_the_thirty_greatest_are_shown() -> None:
    bars = importance_figure({f"f{n}": float(n) for n in range(50)}, title="many").bars
    assert [bar.feature for bar in bars] == [f"f{n}" for n in range(49, 19, -1)]


def test_a_model_that_used_nothing_has_a_picture_too() -> None:
    figure = importance_figure({"price": 0.0}, title="none")
    assert [bar.width for bar in figure.bars] == [0.0]
    ET.fromstring(figure.to_svg())  # noqa: S314 - our own


def test_the_picture_is_one_file_that_says_in_words_what_it_shows() -> None:
    drawn = ET.fromstring(importance_figure({"a<b>&\x00": 3.0, "c": 1.0}, title="click").to_svg())  # noqa: S314 - our own
    assert drawn.findtext(f"{SVG}title") == "click"
    assert (
        drawn.findtext(f"{SVG}desc") == "Share of the total gain: a<b>&\N{REPLACEMENT CHARACTER} 75%, c 25%."
    )
