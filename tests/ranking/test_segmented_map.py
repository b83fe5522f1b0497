"""The laws of a map by segment: increasing within each, never certain, the same after JSON, falling back."""

import copy
import json
from collections.abc import Hashable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts.surface import SegmentSpec
from tasks.errors import DataError
from tasks.evaluation.segments import segment_values
from tasks.ranking.maps import IsotonicMap, LogisticMap, MeanMap, expit, logit
from tasks.ranking.segmented_map import (
    LEAST_SLOPE,
    Cells,
    Effects,
    MappedSegment,
    SegmentedMap,
    Span,
    apply_calibrator,
    calibrator_from_json,
    sum_effects,
)
from tests.ranking.test_maps import assert_increasing_and_never_certain


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


laws = settings(max_examples=30)
SEGMENTS = (MappedSegment("source", "source"), MappedSegment("age", "age_days", (7.0, 30.0)))
TAB = MappedSegment("tab", "tab")
SOURCES = ("ads", "feed", "following")
AGES = ("<7", "7-30", ">=30")
TABS = ("home", "shop")
SCORES = np.r_[0.0, np.geomspace(1e-9, 0.4, 200), 1 - np.geomspace(0.5, 1e-6, 100), 1.0]
SURFACE = tuple(
    SegmentSpec.model_validate(plain)
    for plain in (
        {"name": "source", "from": "source"},
        {"name": "age", "from": "age_days", "bins": [7, 30]},
    )
)

figures = st.floats(-3, 3, allow_nan=False)
isotonic = IsotonicMap((0.01, 0.2, 0.6), (0.005, 0.1, 0.7))
ends = st.one_of(st.just(isotonic), st.builds(LogisticMap, st.floats(0.2, 2), st.floats(-3, 3)))


@st.composite
def effects(draw: st.DrawFn, of: tuple[str, ...], values: list[tuple[str, ...]]) -> Effects:
    levels = tuple(draw(st.lists(st.sampled_from(values), unique=True)))
    drawn = [tuple(draw(st.lists(figures, min_size=len(levels), max_size=len(levels)))) for _ in range(3)]
    return Effects(of, levels, *drawn)


@st.composite
def segmented_maps(draw: st.DrawFn) -> SegmentedMap:
    made = (
        draw(effects(("source",), [(value,) for value in SOURCES])),
        draw(effects(("age",), [(value,) for value in AGES])),
        draw(effects(("age", "source"), list(product(AGES, SOURCES)))),
        draw(effects(("source", "tab", "age"), list(product(SOURCES, TABS, AGES)))),
    )
    return SegmentedMap((*SEGMENTS, TAB), made, Span(-2.0, -6.0, 1.0), draw(ends))


frames = st.lists(
    st.tuples(
        st.sampled_from([*SOURCES, "never seen", None]),
        st.sampled_from([0.0, 6.9, 7.0, 30.0, np.nan]),
        st.sampled_from([*TABS, "never seen", None]),
    ),
    min_size=1,
    max_size=8,
).map(
    lambda rows: pd.DataFrame(rows, columns=["source", "age_days", "tab"]).astype(
        {"source": object, "tab": object}
    )
)


def of_one(
    found: SegmentedMap, scores: np.ndarray, source: object, age: float, tab: object = None
) -> np.ndarray:
    frame = pd.DataFrame(
        {"source": [source] * len(scores), "age_days": age, "tab": [tab] * len(scores)},
        index=range(len(scores)),
    )
    return found.apply(scores, frame)


@laws
@given(
    segmented_maps(),
    st.sampled_from([*SOURCES, None]),
    st.sampled_from([1.0, 20.0, 90.0, np.nan]),
    st.sampled_from([*TABS, None]),
)
def test_within_a_segment_a_higher_score_is_more_likely_and_nothing_is_certain(
    found: SegmentedMap, source: object, age: float, tab: object
) -> None:
    assert_increasing_and_never_certain(of_one(found, SCORES, source, age, tab))


@laws
@given(segmented_maps(), frames)
def test_a_map_read_back_from_json_is_the_same_map(found: SegmentedMap, frame: pd.DataFrame) -> None:
    again = calibrator_from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    scores = np.linspace(0.01, 0.99, len(frame))
    assert np.array_equal(apply_calibrator(again, scores, frame), found.apply(scores, frame))


@laws
@given(segmented_maps(), frames)
def test_rows_are_mapped_each_by_itself(found: SegmentedMap, frame: pd.DataFrame) -> None:
    scores = np.linspace(0.01, 0.99, len(frame))
    alone = [found.apply(scores[i : i + 1], frame.iloc[i : i + 1])[0] for i in range(len(frame))]
    assert found.apply(scores, frame) == pytest.approx(alone, rel=1e-12)


@laws
@given(segmented_maps())
def test_what_was_never_seen_and_what_is_null_fall_back(found: SegmentedMap) -> None:
    scores = np.array([0.001, 0.1, 0.9])
    assert of_one(found, scores, "never seen", np.nan) == pytest.approx(found.map.apply(scores))
    assert of_one(found, scores, None, np.nan) == pytest.approx(found.map.apply(scores))
    only_source = replace(found, effects=found.effects[:1])
    for source in SOURCES:
        assert of_one(found, scores, source, np.nan) == pytest.approx(of_one(only_source, scores, source, 1))


@laws
@given(frames)
def test_values_are_spelled_as_the_segments_of_the_surface_are(frame: pd.DataFrame) -> None:
    ours, reported = (segment_values(frame, specs) for specs in (SEGMENTS, SURFACE))
    assert {name: list(v) for name, v in ours.items()} == {name: list(v) for name, v in reported.items()}


HAND = SegmentedMap(
    SEGMENTS,
    (
        Effects(("source",), (("ads",), ("feed",)), (0.5, -0.25), (0.0, 0.5), (0.0, 0.75)),
        Effects(("age",), (("<7",),), (1.0,), (0.0,), (0.0,)),
        Effects(("source", "age"), (("ads", "<7"),), (-2.0,), (0.1,), (0.25,)),
    ),
    Span(centre=-1.0, low=-3.0, high=1.0),
    LogisticMap(slope=2.0, intercept=0.1),
)
TRIPLED = replace(
    HAND,
    segments=(*SEGMENTS, TAB),
    effects=(
        *HAND.effects,
        Effects(("source", "age", "tab"), (("ads", "<7", "home"),), (0.7,), (0.0,), (0.0,)),
    ),
)


def test_by_hand_main_effects_and_the_pair_are_added_and_slopes_act_from_the_centre() -> None:
    frame = pd.DataFrame({"source": ["ads", "ads", "feed", "other"], "age_days": [1.0, 50, 50, 6]})
    logits = np.array([0.0, 0.0, -2.0, 0.0])
    moved = np.array([0.0 + 0.5 + 1.0 - 2.0 + 0.25 * 1, 0.5, -2.0 - 0.25 + 0.5 * -1, 1.0])
    assert HAND.apply(expit(logits), frame) == pytest.approx(expit(2 * moved + 0.1))


def test_by_hand_a_triple_is_added_where_all_three_values_meet_and_falls_back_to_its_pairs() -> None:
    frame = pd.DataFrame(
        {
            "source": ["ads", "ads", "ads", "feed", "ads"],
            "age_days": [1.0, 1.0, 1.0, 1.0, 50.0],
            "tab": ["home", "never seen", None, "home", "home"],
        }
    )
    scores = np.full(5, 0.3)
    more = logit(TRIPLED.apply(scores, frame)) - logit(HAND.apply(scores, frame))
    assert more == pytest.approx([2 * 0.7, 0, 0, 0, 0])


def test_a_triple_of_many_values_takes_no_table_of_all_their_combinations() -> None:
    count = 3000
    levels = tuple((f"s{i}", f"a{i}", f"t{i}") for i in range(count))
    names = ("source", "place", "tab")
    zeros = (0.0,) * count
    many = Effects(names, levels, tuple(float(i % 7) for i in range(count)), zeros, zeros)
    segments = tuple(MappedSegment(name, name) for name in names)
    found = SegmentedMap(segments, (many,), HAND.span, LogisticMap(1.0, 0.0))
    frame = pd.DataFrame([levels[2999], levels[5], ("s5", "a5", "t6")], columns=list(names))
    assert logit(found.apply([0.5, 0.5, 0.5], frame)) == pytest.approx([2999 % 7, 5, 0])


def test_beyond_the_span_a_slope_claims_no_more_than_at_its_end() -> None:
    far = of_one(HAND, expit([-9.0, 8.0]), "feed", 50)
    assert logit(far) == pytest.approx(2 * np.array([-9 - 0.25 - 2 * 0.5, 8 - 0.25 + 2 * 0.75]) + 0.1)


def test_slopes_that_add_up_to_less_than_nothing_still_increase() -> None:
    falling = Effects(("source",), (("ads",),), (0.0,), (-7.0,), (-3.0,))
    found = SegmentedMap(SEGMENTS, (falling,), HAND.span, HAND.map)
    assert (np.diff(of_one(found, np.linspace(0.01, 0.99, 200), "ads", 1.0)) > 0).all()


@pytest.mark.parametrize("column", [[3, 3], [3.0, np.nan], ["3", None]])
def test_a_number_is_one_value_whatever_stands_beside_it(column: list[object]) -> None:
    tab = Effects(("tab",), (("3",),), (1.0,), (0.0,), (0.0,))
    found = SegmentedMap((MappedSegment("tab", "tab"),), (tab,), HAND.span, LogisticMap(1.0, 0.0))
    assert found.apply([0.5, 0.5], pd.DataFrame({"tab": column}))[0] == pytest.approx(expit(1.0))


def test_what_it_needs_is_named_and_a_frame_without_it_is_refused() -> None:
    assert HAND.columns == ("source", "age_days")
    with pytest.raises(DataError, match="Unknown column 'age_days'"):
        HAND.apply([0.5], pd.DataFrame({"source": ["ads"]}))
    with pytest.raises(DataError, match="do not go with 1 rows"):
        HAND.apply([0.5, 0.5], pd.DataFrame({"source": ["ads"], "age_days": [1.0]}))
    with pytest.raises(DataError, match="Segment 'age' needs numbers"):
        HAND.apply([0.5], pd.DataFrame({"source": ["ads"], "age_days": ["old"]}))
    with pytest.raises(DataError, match="lie in"):
        HAND.apply([1.5], pd.DataFrame({"source": ["ads"], "age_days": [1.0]}))


def test_no_candidates_make_no_probabilities() -> None:
    assert HAND.apply([], pd.DataFrame({"source": [], "age_days": []})).shape == (0,)


def test_a_map_without_segments_is_read_and_applied_too() -> None:
    read = calibrator_from_json(isotonic.to_json())
    assert read == isotonic
    assert apply_calibrator(read, np.array([0.2]), pd.DataFrame(index=[0])) == pytest.approx(0.1)


def changed(*path: str | int, to: object) -> dict[str, Any]:
    plain = copy.deepcopy(HAND.to_json())
    at: Any = plain
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return plain


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (changed("note", to="x"), "A segmented map has the fields"),
        (changed("segments", to=[]), "has a segment"),
        (changed("segments", 1, "name", to="source"), "each once"),
        (changed("segments", 1, "bins", to=[30, 7]), "must be finite and increase"),
        (changed("segments", 1, "bins", to=[]), "must be finite and increase"),
        (changed("segments", 1, "bins", to="7"), "must be a list"),
        (changed("segments", 0, "column", to=3), "not text"),
        (changed("segments", 0, to="source"), "A segment has the fields"),
        (changed("effects", 0, "of", to=["sorce"]), "Did you mean 'source'"),
        (changed("effects", 0, "of", to=[]), "to one segment, or to two or three"),
        (changed("effects", 2, "of", to=["age", "age"]), "to one segment, or to two or three"),
        (
            changed("effects", 2, "of", to=["source", "age", "tab", "place"]),
            "to one segment, or to two or three",
        ),
        (changed("effects", 1, to=HAND.to_json()["effects"][0]), "of the same segments once"),
        (changed("effects", 0, "levels", to=[["ads"], ["ads"]]), "occurs twice"),
        (changed("effects", 0, "levels", to=[["ads"], ["unknown"]]), "a null falls back"),
        (changed("effects", 2, "levels", to=[["ads"]]), "a value for each of its segments"),
        (changed("effects", 0, "offsets", to=[1.0]), "As many levels"),
        (changed("effects", 0, "above", to=[1.0, float("nan")]), "not finite"),
        (changed("effects", 0, "above", to=[1.0, True]), "not a number"),
        (changed("span", "low", to=5.0), "holds its centre"),
        (changed("span", "high", to=float("inf")), "finite"),
        (changed("span", to=[1, 2, 3]), "A span has the fields"),
        (changed("map", to=MeanMap((1.0,), (1.0,), 0.1).to_json()), "not in a mean map"),
        (changed("map", to=HAND.to_json()), "Unknown kind 'segmented'"),
    ],
)
def test_json_that_is_no_map_is_refused_with_what_is_wrong(plain: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        calibrator_from_json(plain)
