"""Effects of segments against a truth that is known: thick ones corrected, thin ones left near none."""

import json
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tasks.calibration.fit import fit_binary
from tasks.calibration.segment_design import Design, Tallies
from tasks.calibration.segment_fit import Variances, fit_segmented, shrink
from tasks.errors import DataError
from tasks.evaluation.binary import calibration_ratio, log_loss
from tasks.ranking.maps import IsotonicMap, LogisticMap, expit, logit
from tasks.ranking.segmented_map import (
    Cells,
    MappedSegment,
    SegmentedMap,
    apply_calibrator,
    calibrator_from_json,
)

Floats = npt.NDArray[np.float64]
SEGMENTS = (MappedSegment("source", "source"), MappedSegment("device", "device"))
SOURCES = {"feed": 0.6, "ads": 0.28, "search": 0.119, "rare": 0.001}
DEVICES = {"phone": 0.7, "desk": 0.3}
NEAR = np.r_[1e-9, np.geomspace(1e-9, 0.5, 300), 1 - np.geomspace(1e-9, 0.5, 300), 1 - 1e-9]
PLACES = (*SEGMENTS, MappedSegment("season", "season"))
CELLS = Cells(np.array([0, 1]), {"source": np.array([0, 1])}, {"source": ("ads", "feed")})


@dataclass(frozen=True)
class World:
    frame: pd.DataFrame
    scores: Floats
    outcomes: Floats
    truth: Floats

    def part(self, first: int, last: int) -> "World":
        at = slice(first, last)
        return World(
            self.frame.iloc[at].reset_index(drop=True), self.scores[at], self.outcomes[at], self.truth[at]
        )

    def fitted(self, weights: Floats | None = None) -> SegmentedMap:
        return fit_segmented(self.scores, self.outcomes, self.frame, SEGMENTS, weights=weights)

    def mapped(self, found: SegmentedMap) -> Floats:
        return found.apply(self.scores, self.frame)


def world(n: int, seed: int = 0, *, level: float = -2.0, effects: bool = True) -> World:
    """Ads are over-predicted on the phone alone, search has another slope, feed and the rare source none."""
    rng = np.random.default_rng(seed)
    source = rng.choice(list(SOURCES), n, p=list(SOURCES.values()))
    device = rng.choice(list(DEVICES), n, p=list(DEVICES.values()))
    z = rng.normal(level, 1.2, n)
    wrong = -1.0 * ((source == "ads") & (device == "phone")) + 0.6 * (z - level) * (source == "search")
    truth = expit(z + effects * wrong)
    outcomes = (rng.random(n) < truth).astype(float)
    return World(pd.DataFrame({"source": source, "device": device}), expit(z), outcomes, truth)


@pytest.fixture(scope="module")
def both() -> World:
    return world(120_000)


@pytest.fixture(scope="module")
def fitted(both: World) -> SegmentedMap:
    return both.part(0, 60_000).fitted()


def shift(found: SegmentedMap, source: str, device: str, at: float = -2.0) -> float:
    """Return by how much a segment moves the logit at a score, against where nothing is known."""
    frame = pd.DataFrame({"source": [source, None], "device": [device, None]})
    known, none = logit(found.apply(expit(np.array([at, at])), frame))
    return float(known - none)


def test_a_thick_pair_is_corrected_and_its_neighbours_are_left(fitted: SegmentedMap) -> None:
    apart = shift(fitted, "ads", "phone") - shift(fitted, "ads", "desk")
    assert apart == pytest.approx(-1.0, abs=0.15)
    assert shift(fitted, "ads", "desk") == pytest.approx(shift(fitted, "feed", "desk"), abs=0.15)


def test_a_segment_with_another_slope_gets_it(fitted: SegmentedMap) -> None:
    steeper = shift(fitted, "search", "phone", at=-0.8) - shift(fitted, "search", "phone", at=-3.2)
    same = shift(fitted, "feed", "phone", at=-0.8) - shift(fitted, "feed", "phone", at=-3.2)
    assert steeper - same == pytest.approx(2.4 * 0.6, rel=0.25)


def test_a_thin_segment_stays_near_none(both: World, fitted: SegmentedMap) -> None:
    rare = both.frame["source"][:60_000] == "rare"
    observed = both.outcomes[:60_000][rare].mean()
    predicted = both.part(0, 60_000).mapped(fitted)[rare].mean()
    truth = both.truth[:60_000][rare].mean()
    assert 20 < rare.sum() < 120
    assert abs(predicted - truth) < abs(observed - truth) or abs(predicted - truth) < 0.02
    assert abs(shift(fitted, "rare", "phone") - shift(fitted, "feed", "phone")) < 0.3


def test_where_segments_tell_nothing_they_are_shrunk_to_nothing() -> None:
    quiet = world(60_000, effects=False)
    found, one = quiet.fitted(), fit_binary(quiet.scores, quiet.outcomes)
    moved = logit(quiet.mapped(found)) - logit(one.apply(quiet.scores))
    assert np.abs(moved).mean() < 0.05
    fresh = world(60_000, seed=1, effects=False)
    ours, theirs = (
        log_loss(fresh.outcomes, fresh.mapped(found)),
        log_loss(fresh.outcomes, one.apply(fresh.scores)),
    )
    assert ours < theirs * 1.001


def test_fresh_rows_are_nearer_to_the_truth_than_with_one_map_or_a_map_for_each_cell(
    both: World, fitted: SegmentedMap
) -> None:
    known, fresh = both.part(0, 60_000), both.part(60_000, 120_000)
    one = fit_binary(known.scores, known.outcomes).apply(fresh.scores)
    each = np.empty_like(one)
    cells = cast(
        "dict[tuple[str, str], npt.NDArray[np.intp]]", fresh.frame.groupby(["source", "device"]).indices
    )
    for (source, device), rows in cells.items():
        own = (known.frame["source"] == source) & (known.frame["device"] == device)
        each[rows] = fit_binary(known.scores[own], known.outcomes[own]).apply(fresh.scores[rows])

    def off(p: Floats) -> float:
        return float(np.sqrt(np.mean((p - fresh.truth) ** 2)))

    ours = off(fresh.mapped(fitted))
    assert ours < 0.2 * off(one)
    assert ours < off(each)


@settings(max_examples=6)
@given(
    st.integers(0, 10_000),
    st.sampled_from([*SOURCES, "never seen", None]),
    st.sampled_from([*DEVICES, "never seen", None]),
)
def test_scores_that_differ_by_1e_12_are_never_tied_in_any_segment_or_pair(
    seed: int, source: str | None, device: str | None
) -> None:
    found = world(6000, seed).fitted()
    frame = pd.DataFrame({"source": [source] * NEAR.size, "device": [device] * NEAR.size}, dtype=object)
    low, high = (found.apply(np.minimum(NEAR + step, 1 - 1e-10), frame) for step in (0.0, 1e-12))
    assert (low < high).all()
    assert low.min() > 0
    assert high.max() < 1


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.booleans())
def test_a_fitted_map_read_back_from_json_predicts_the_same_bytes(seed: int, weighted: bool) -> None:
    small = world(4000, seed)
    found = small.fitted(np.random.default_rng(seed).uniform(0, 2, 4000) if weighted else None)
    again = calibrator_from_json(json.loads(json.dumps(found.to_json())))
    assert apply_calibrator(again, small.scores, small.frame).tobytes() == small.mapped(found).tobytes()


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.floats(0.01, 1000))
def test_weights_count_by_their_ratios_alone(seed: int, factor: float) -> None:
    small, weights = world(4000, seed), np.random.default_rng(seed).uniform(0.5, 2, 4000)
    one, other = small.mapped(small.fitted(weights)), small.mapped(small.fitted(factor * weights))
    assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_of_linear_algebra_do_not_matter(threads: int) -> None:
    small = world(6000)
    with threadpool_limits(limits=threads, user_api="blas"):
        found = small.fitted()
    assert found == small.fitted()


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.booleans())
def test_what_is_predicted_adds_up_on_the_rows_of_the_fit(seed: int, weighted: bool) -> None:
    small = world(4000, seed)
    weights = np.random.default_rng(seed).uniform(0, 2, 4000).round() if weighted else None
    mapped = small.mapped(small.fitted(weights))
    assert calibration_ratio(small.outcomes, mapped, weights=weights) == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=6)
@given(st.integers(0, 10_000))
@example(2745)  # an outer block's outer part adds up to 0: rounding once decided how far it carries
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    small = world(6000, seed)
    mixed = np.random.default_rng(seed).permutation(6000)
    other = World(small.frame.iloc[mixed], small.scores[mixed], small.outcomes[mixed], small.truth[mixed])
    assert small.mapped(other.fitted()) == pytest.approx(small.mapped(small.fitted()), rel=1e-9)


def test_the_order_in_which_segments_are_declared_does_not_matter() -> None:
    small = in_seasons(6000)
    four = small.frame.assign(place=np.arange(6000) % 3)
    surface = (*PLACES, MappedSegment("place", "place"))
    found, other = (
        fit_segmented(small.scores, small.outcomes, four, segments) for segments in (surface, surface[::-1])
    )
    assert any(len(effects.of) == 3 for effects in found.effects)
    assert other.apply(small.scores, four) == pytest.approx(found.apply(small.scores, four), rel=1e-9)


def test_a_row_of_weight_2_counts_as_two_rows() -> None:
    small = world(4000)
    twice = np.where(np.arange(4000) < 1500, 2.0, 1.0)
    again = np.concatenate([np.arange(4000), np.arange(1500)])
    doubled = World(
        small.frame.iloc[again].reset_index(drop=True),
        small.scores[again],
        small.outcomes[again],
        small.truth[again],
    )
    weighed, repeated = small.mapped(small.fitted(twice)), small.mapped(doubled.fitted())
    assert np.abs(logit(weighed) - logit(repeated)).mean() < 0.1
    assert np.abs(logit(weighed) - logit(small.mapped(small.fitted()))).max() > 0.1


def test_a_row_of_weight_0_is_as_if_it_were_not_there() -> None:
    small = world(4000)
    counted = np.where(np.arange(4000) < 3000, 1.0, 0.0)
    assert small.fitted(counted) == small.part(0, 3000).fitted()


def test_null_has_no_effect_of_its_own() -> None:
    small = world(6000)
    small.frame.loc[small.frame["source"] == "ads", "source"] = None
    levels = {value for effects in small.fitted().effects for words in effects.levels for value in words}
    assert "ads" not in levels
    assert "unknown" not in levels


def test_few_positives_end_in_a_logistic_map() -> None:
    few = world(2500, level=-5.0)
    assert few.outcomes.sum() < 100
    assert isinstance(few.fitted().map, LogisticMap)


def test_equal_scores_and_a_single_segment_are_survived() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"source": ["a"] * 5000, "device": rng.choice(["x", "y"], 5000)})
    outcomes = (rng.random(5000) < np.where(frame["device"] == "x", 0.2, 0.5)).astype(float)
    found = fit_segmented(np.full(5000, 0.3), outcomes, frame, SEGMENTS)
    mapped = found.apply(np.full(2, 0.3), pd.DataFrame({"source": ["a", "a"], "device": ["x", "y"]}))
    assert mapped == pytest.approx([0.2, 0.5], abs=0.05)
    assert [effects.of for effects in found.effects] == [("device",)]


def test_a_value_for_every_row_leaves_those_with_most_to_tell() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"source": rng.integers(0, 3000, 20_000), "device": rng.choice(["x", "y"], 20_000)})
    scores = rng.uniform(0.05, 0.5, 20_000)
    found = fit_segmented(scores, (rng.random(20_000) < scores).astype(float), frame, SEGMENTS)
    assert sum(len(effects.levels) for effects in found.effects) <= 500
    assert np.abs(found.apply(scores, frame) - scores).mean() < 0.02


def in_seasons(n: int, seed: int = 0, *, crossing: float = 1.0) -> World:
    """Each of eight cells is off by ``crossing`` up or down, no pair is off; nothing is with the rare source."""
    rng = np.random.default_rng(seed)
    source = rng.choice(["feed", "ads", "rare"], n, p=[0.499, 0.499, 0.002])
    device, season = rng.choice(["desk", "phone"], n), rng.choice(["autumn", "spring"], n)
    up = (source == "ads") ^ (device == "phone") ^ (season == "spring")
    z = rng.normal(-2.0, 1.2, n)
    truth = expit(z + crossing * np.where(up, 1, -1) * (source != "rare"))
    frame = pd.DataFrame({"source": source, "device": device, "season": season})
    return World(frame, expit(z), (rng.random(n) < truth).astype(float), truth)


def together(found: SegmentedMap) -> dict[tuple[str, ...], float]:
    """Return the offset of each combination of three values."""
    (triple,) = [effects for effects in found.effects if len(effects.of) == 3]
    return dict(zip(triple.levels, triple.offsets, strict=True))


def test_what_no_pair_carries_is_corrected_by_three_segments_together() -> None:
    known, fresh = in_seasons(40_000), in_seasons(40_000, seed=1)
    found = fit_segmented(known.scores, known.outcomes, known.frame, PLACES)
    thick = fresh.frame["source"] != "rare"
    both = fresh.frame.assign(said=found.apply(fresh.scores, fresh.frame), truth=fresh.truth)[thick]
    cells = both.groupby(["source", "device", "season"])[["said", "truth"]].mean()
    assert len(cells) == 8
    assert (cells["said"] / cells["truth"]).to_numpy() == pytest.approx(1.0, abs=0.06)
    offsets = [offset for level, offset in together(found).items() if "rare" not in level]
    pairs = [effects.offsets for effects in found.effects if len(effects.of) == 2]
    assert np.abs(offsets) == pytest.approx(1.0, abs=0.15)
    assert np.abs(np.concatenate(pairs)).max() < 0.1


def test_thin_combinations_of_three_are_nearer_to_the_truth_than_what_was_observed_in_them() -> None:
    said, observed = [], []
    for seed in range(4):
        known = in_seasons(20_000, seed)
        found = fit_segmented(known.scores, known.outcomes, known.frame, PLACES)
        both = known.frame.assign(said=known.mapped(found), truth=known.truth, seen=known.outcomes)
        cells = both[both["source"] == "rare"].groupby(["device", "season"])[["said", "truth", "seen"]].mean()
        said.append(cells["said"] - cells["truth"])
        observed.append(cells["seen"] - cells["truth"])
    assert np.abs(np.concatenate(said)).mean() < 0.6 * np.abs(np.concatenate(observed)).mean()


def test_effects_of_three_segments_are_offsets_alone() -> None:
    small = in_seasons(6000)
    found = fit_segmented(small.scores, small.outcomes, small.frame, PLACES)
    (triple,) = [effects for effects in found.effects if len(effects.of) == 3]
    assert np.abs(triple.offsets).min() > 0.1
    assert {*triple.below, *triple.above} == {0.0}


def test_three_segments_that_say_nothing_together_leave_the_map_to_the_pairs() -> None:
    quiet, fresh = in_seasons(60_000, crossing=0.0), in_seasons(60_000, seed=1, crossing=0.0)
    three = fit_segmented(quiet.scores, quiet.outcomes, quiet.frame, PLACES)
    two = fit_segmented(quiet.scores, quiet.outcomes, quiet.frame, SEGMENTS)
    moved = logit(three.apply(fresh.scores, fresh.frame)) - logit(two.apply(fresh.scores, fresh.frame))
    assert np.abs(moved).mean() < 0.05
    ours, theirs = (log_loss(fresh.outcomes, m.apply(fresh.scores, fresh.frame)) for m in (three, two))
    assert ours < theirs * 1.001


def test_segments_of_one_value_have_no_effect() -> None:
    small = world(3000)
    frame = pd.DataFrame({"source": "feed", "device": [None] * 3000})
    found = fit_segmented(small.scores, small.outcomes, frame, SEGMENTS)
    assert found.effects == ()
    one = fit_binary(small.scores, small.outcomes)
    assert found.apply(small.scores, frame) == pytest.approx(one.apply(small.scores), rel=1e-6)


def test_a_million_rows_of_one_score_are_told_apart_by_segment_alone() -> None:
    rng = np.random.default_rng(0)
    device = rng.choice(["x", "y"], 1_000_000)
    frame = pd.DataFrame({"source": "a", "device": device})
    outcomes = (rng.random(1_000_000) < np.where(device == "x", 0.02, 0.05)).astype(float)
    mapped = fit_segmented(np.full(1_000_000, 0.3), outcomes, frame, SEGMENTS).apply(
        np.full(2, 0.3), pd.DataFrame({"source": ["a", "a"], "device": ["x", "y"]})
    )
    assert mapped == pytest.approx([0.02, 0.05], rel=0.05)


def test_at_1_in_10_000_segments_are_corrected_and_the_top_keeps_its_measure() -> None:
    rare = world(1_500_000, level=-9.6)
    assert 200 < rare.outcomes.sum() < 400
    found = rare.fitted()
    assert isinstance(found.map, IsotonicMap)
    mapped = rare.mapped(found)
    top = np.argsort(rare.scores)[-200:]
    assert mapped[top].mean() == pytest.approx(rare.truth[top].mean(), rel=0.5)
    ads = (rare.frame["source"] == "ads") & (rare.frame["device"] == "phone")
    before = np.log(rare.scores[ads].sum() / rare.truth[ads].sum())
    assert abs(np.log(mapped[ads].sum() / rare.truth[ads].sum())) < 0.8 * before


def test_a_slice_with_one_outcome_says_which_is_missing() -> None:
    with pytest.raises(DataError, match="there is no positive among 3 observed rows"):
        fit_segmented([0.1, 0.2, 0.3], [0.0, 0, 0], world(3).frame, SEGMENTS)


CELL, LOGITS = np.repeat([0, 1], 8), np.tile(np.arange(-3.0, 1.0, 0.5), 2)


def tallies(rows: float, effect: float) -> Tallies:
    """Ads happen more often than their scores say by an effect on the logit, feed less often."""
    counts = np.full(16, rows)
    return Tallies(CELL, LOGITS, counts, counts * expit(LOGITS + np.where(CELL == 0, effect, -effect)))


def difference(rows: float, effect: float = 0.4) -> float:
    """Return the fitted difference of the two sources' offsets."""
    counted = tallies(rows, effect)
    offsets = shrink(counted, Design.of(CELLS, counted, np.full(16, 0.3))).at[0]  # noqa: PD008 - not of pandas
    return float(offsets[0] - offsets[1])


def test_a_thick_segment_is_moved_by_nearly_all_of_its_effect_and_a_thin_one_by_less() -> None:
    assert difference(10_000) == pytest.approx(0.8, abs=0.15)
    assert 0 <= difference(5) < difference(500) < 0.8


def test_no_effect_stays_no_effect() -> None:
    assert difference(10_000, effect=0.0) == pytest.approx(0.0, abs=0.01)


def test_given_variances_are_kept() -> None:
    counted = tallies(1000, 0.4)
    design = Design.of(CELLS, counted, np.full(16, 0.3))
    known = Variances.before(design)
    assert shrink(counted, design, variances=known).variances is known


def test_a_variance_of_next_to_nothing_leaves_no_effect() -> None:
    counted = tallies(1000, 0.4)
    design = Design.of(CELLS, counted, np.full(16, 0.3))
    none = Variances(np.full((3, 1), 1e-9), np.empty(0))
    assert np.abs(shrink(counted, design, variances=none).at).max() < 1e-3
