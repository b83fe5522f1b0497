"""Effects of segment values are summed by cell, and what is not listed has none."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ranking.segment_effects import LEAST_SLOPE, Cells, Effects, MappedSegment, Span, sum_effects


def categorical(*values: Hashable) -> pd.Categorical:
    return pd.Categorical(values)


VALUES = {
    "source": categorical("ads", "feed", "ads", "ads"),
    "device": categorical("phone", "phone", "desk", "phone"),
}


def test_each_combination_is_one_cell_with_the_words_of_its_values() -> None:
    cells = Cells.of(VALUES, 4)
    assert cells.of_row.tolist() == [0, 1, 2, 0]
    assert [cells.words["source"][code] for code in cells.codes["source"]] == ["ads", "feed", "ads"]
    assert [cells.words["device"][code] for code in cells.codes["device"]] == ["phone", "phone", "desk"]


def test_a_segment_and_a_pair_add_up_and_another_combination_falls_back() -> None:
    ads = Effects(("source",), (("ads",),), (1.0,), (0.1,), (0.2,))
    both = Effects(("source", "device"), (("ads", "desk"),), (0.5,), (0.0,), (0.0,))
    sums = sum_effects([ads, both], Cells.of(VALUES, 4))
    np.testing.assert_allclose(sums, [[1.0, 0.0, 1.5], [0.1, 0.0, 0.1], [0.2, 0.0, 0.2]])


def test_slopes_act_on_their_side_and_end_with_the_span() -> None:
    span = Span(centre=0.0, low=-2.0, high=1.0)
    logits, sums = np.array([-5.0, -1.0, 0.5, 3.0]), np.array([[0.0], [0.5], [1.0]]) * np.ones(4)
    np.testing.assert_allclose(span.moved(logits, sums), [-6.0, -1.5, 1.0, 4.0])


def test_no_sum_of_slopes_turns_the_order_round() -> None:
    steep = np.array([[0.0], [-9.0], [-9.0]]) * np.ones(2)
    moved = Span(0.0, -5.0, 5.0).moved(np.array([1.0, 2.0]), steep)
    assert np.diff(moved) == pytest.approx(LEAST_SLOPE)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"of": ()}, "one segment, or to two or three"),
        ({"levels": (("ads",), ("ads",))}, "occurs twice"),
        ({"levels": (("unknown",),)}, "a null falls back"),
        ({"offsets": (1.0, 2.0)}, "As many levels"),
        ({"above": (float("inf"),)}, "not finite"),
    ],
)
def test_ambiguous_effects_are_refused(change: dict[str, object], hint: str) -> None:
    good = {"of": ("source",), "levels": (("ads",),), "offsets": (1.0,), "below": (0.0,), "above": (0.0,)}
    with pytest.raises(DataError, match=hint):
        Effects(**{**good, **change})  # type: ignore[arg-type]  # refused for it


def test_bins_increase() -> None:
    with pytest.raises(DataError, match="must be finite and increase"):
        MappedSegment("age", "age_days", (7.0, 1.0))


def test_a_pair_that_sorts_after_every_listed_one_has_no_effect() -> None:
    listed = (("ads", "phone"), ("ads", "desk"), ("feed", "phone"))
    both = Effects(("source", "device"), listed, (1.0, 2.0, 3.0), (0.0,) * 3, (0.0,) * 3)
    values = {"source": categorical("feed", "ads"), "device": categorical("desk", "desk")}
    assert sum_effects([both], Cells.of(values, 2))[0].tolist() == [0.0, 2.0]
