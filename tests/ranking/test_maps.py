"""The laws of every map: strictly increasing, inside its range, the same after JSON."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.arrays import Floats
from tasks.errors import DataError
from tasks.ranking.maps import IdentityMap, IsotonicMap, LogisticMap, MeanMap, expit, logit, map_from_json

laws = settings(max_examples=80)
SCORES = np.r_[0.0, np.geomspace(1e-12, 0.4, 500), 1 - np.geomspace(0.5, 1e-9, 300)]


def _increasing(least: float, most: float) -> st.SearchStrategy[tuple[float, ...]]:
    """Knots that differ by at least a millionth of the range in the logit or logarithm."""
    inside = st.lists(st.integers(0, 10**6), min_size=1, max_size=12, unique=True)
    return inside.map(lambda steps: tuple(least + (most - least) * s / 10**6 for s in sorted(steps)))


@st.composite
def isotonic_maps(draw: st.DrawFn) -> IsotonicMap:
    x, z = draw(_increasing(-15, 8)), draw(_increasing(-15, 8))
    m = min(len(x), len(z))
    return IsotonicMap(tuple(expit(x[:m]).tolist()), tuple(expit(z[:m]).tolist()))


logistic_maps = st.builds(LogisticMap, st.floats(0.01, 5), st.floats(-10, 10))


@st.composite
def mean_maps(draw: st.DrawFn) -> MeanMap:
    x, z = draw(_increasing(-8, 8)), draw(_increasing(-8, 8))
    m = min(len(x), len(z))
    return MeanMap(tuple(np.exp(x[:m]).tolist()), tuple(np.exp(z[:m]).tolist()), draw(st.floats(1e-4, 10)))


def assert_increasing_and_never_certain(mapped: Floats) -> None:
    assert (np.diff(mapped) >= 0).all()
    middle = (mapped > 1e-300) & (mapped < 1 - 1e-12)
    assert (np.diff(mapped[middle]) > 0).all()
    assert mapped.min() > 0
    assert mapped.max() < 1


@laws
@given(st.one_of(isotonic_maps(), logistic_maps.filter(lambda m: m.slope < 1.5)))
def test_probability_maps_are_strictly_increasing_and_never_certain(found: IsotonicMap | LogisticMap) -> None:
    assert_increasing_and_never_certain(found.apply(SCORES))


@laws
@given(mean_maps())
def test_mean_maps_are_strictly_increasing_and_positive_even_below_zero(found: MeanMap) -> None:
    mapped = found.apply(np.r_[-np.geomspace(1e4, 1e-3, 200), 0.0, np.geomspace(1e-3, 1e4, 200)])
    assert (np.diff(mapped) > 0).all()
    assert mapped.min() > 0


@laws
@given(st.one_of(isotonic_maps(), logistic_maps, mean_maps()))
def test_a_map_read_back_from_json_is_the_same_map(found: IsotonicMap | LogisticMap | MeanMap) -> None:
    again = map_from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert np.array_equal(again.apply(SCORES), found.apply(SCORES))


def test_knots_are_met_exactly() -> None:
    found = IsotonicMap((0.01, 0.1, 0.6), (0.002, 0.05, 0.5))
    assert found.apply([0.01, 0.1, 0.6]) == pytest.approx([0.002, 0.05, 0.5])


def test_beyond_the_knots_little_is_claimed() -> None:
    found = IsotonicMap((0.01, 0.1), (0.001, 0.02))
    assert 0.02 < found.apply([0.9])[0] < 0.03
    assert 0.0005 < found.apply([1e-6])[0] < 0.001


def test_far_out_scores_keep_their_order_and_claim_no_more_than_that() -> None:
    far = np.array([0.0, 1e-300, 1e-200, 1e-100, 1e-20, 1e-13])
    found = IsotonicMap((0.01, 0.2), (0.02, 0.1))
    mapped = logit(found.apply(far))
    assert (np.diff(mapped) > 0).all()
    assert mapped[0] > logit(0.02) - 0.5
    assert LogisticMap(1.0, 0.0).apply([1e-12, 0.3]) == pytest.approx([1e-12, 0.3], rel=1e-12)


def test_one_knot_of_a_mean_map_is_a_factor() -> None:
    assert MeanMap((4.0,), (6.0,), floor=0.01).apply([1.0, 2.0, 400.0]) == pytest.approx([1.5, 3.0, 600.0])


def test_shape_is_kept_and_nothing_maps_to_nothing() -> None:
    found = LogisticMap(1.0, 0.0)
    assert found.apply(np.full((2, 3), 0.5)).shape == (2, 3)
    assert found.apply([]).shape == (0,)
    assert IsotonicMap((0.1,), (0.2,)).apply([]).shape == (0,)


@given(st.floats(1e-300, 1 - 1e-12))
def test_expit_undoes_logit(p: float) -> None:
    assert expit(logit(p)) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("found", [LogisticMap(1.0, 0.0), IsotonicMap((0.1,), (0.2,))])
@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_a_score_that_is_no_probability_is_refused(found: LogisticMap | IsotonicMap, score: float) -> None:
    with pytest.raises(DataError, match=r"finite|lie in"):
        found.apply([0.5, score])


def test_the_identity_takes_any_finite_number_and_leaves_it() -> None:
    same = map_from_json(json.loads(json.dumps(IdentityMap().to_json())))
    assert same.apply(np.array([-3.0, 0.0, 700.0])).tolist() == [-3.0, 0.0, 700.0]
    with pytest.raises(DataError, match="not finite"):
        same.apply(np.array([1.0, np.nan]))


GOOD = {"kind": "isotonic", "knots_x": [0.1, 0.2], "knots_y": [0.3, 0.4]}


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ([], "a JSON object, not list"),
        ({}, "Unknown kind"),
        ({"kind": "isotonc"}, "Did you mean 'isotonic'"),
        ({"kind": ["isotonic"]}, "Unknown kind"),
        ({**GOOD, "note": "x"}, "has the fields"),
        ({"kind": "isotonic", "knots_x": [0.1]}, "has the fields"),
        ({**GOOD, "knots_x": [0.1]}, "as many knots_x as knots_y"),
        ({**GOOD, "knots_x": [], "knots_y": []}, "at least one"),
        ({**GOOD, "knots_x": [0.2, 0.1]}, "strictly increasing"),
        ({**GOOD, "knots_y": [0.3, 0.3]}, "strictly increasing"),
        ({**GOOD, "knots_y": [0.3, 1.0]}, "strictly between 0 and 1"),
        ({**GOOD, "knots_x": [0.0, 0.5]}, "strictly between 0 and 1"),
        ({**GOOD, "knots_x": [0.1, math.nan]}, "finite"),
        ({**GOOD, "knots_x": [0.1, True]}, "not a number"),
        ({**GOOD, "knots_x": [0.1, 10**400]}, "too large"),
        ({**GOOD, "knots_x": "12"}, "list of numbers"),
        ({"kind": "logistic", "slope": 0, "intercept": 0}, "slope above 0"),
        ({"kind": "logistic", "slope": 1, "intercept": math.inf}, "finite"),
        ({"kind": "logistic", "slope": "1", "intercept": 0}, "not a number"),
        ({"kind": "mean", "knots_x": [0.0], "knots_y": [1.0], "floor": 1.0}, "above 0"),
        ({"kind": "mean", "knots_x": [1.0], "knots_y": [1.0], "floor": 0.0}, "above 0"),
    ],
)
def test_json_that_is_no_map_is_refused_with_what_is_wrong(plain: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        map_from_json(plain)


def test_knots_come_back_to_the_last_bit() -> None:
    written = IsotonicMap((0.1, 1 / 3), (0.2, 2 / 3))
    assert map_from_json(written.to_json()) == written
