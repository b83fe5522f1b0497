"""None, one map or one by segment: chosen on users held out, and said why."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.calibrating.rows import simulated
from tasks.calibration import choice
from tasks.calibration.choice import MapChoice, MapKind, choose_map, fit_map, read_segment_columns
from tasks.calibration.fit import LOGISTIC_BELOW, fit_binary
from tasks.errors import DataError, ImmatureLabels
from tasks.evaluation.binary import log_loss, normalized_entropy
from tasks.evaluation.segments import SegmentColumn
from tasks.ranking.maps import IdentityMap, IsotonicMap, LogisticMap, expit
from tasks.ranking.segmented_map import Calibrator, MappedSegment, SegmentedMap, apply_calibrator
from tasks.stores.workspace import Workspace
from tasks.training.rows import TaskRows, read_labels
from tests.feeds.small_feed import AS_OF, NAME, SURFACE, write_contracts

Floats = npt.NDArray[np.float64]
SEGMENTS = (MappedSegment("source", "source"), MappedSegment("age", "age_days", (7.0,)))
Feed = tuple[Workspace, str]

TRAINING = """
training: {spend_2d: {objective: quantile, quantile: 0.9}, click_1d: {objective: lambdarank}}
"""

CALIBRATED = ("click_1d", "back_2d", "spend_2d")

_UTILITY = """
policy: small-feed-utility
version: 1
owner: tests
approvals: [product]
weights: {buy_2d: 10.0, back_2d: -5.0}
guardrails: [{metric: back_2d_rate, relative_increase_max: 0.05, action: block}]
"""


def rows(
    n: int, seed: int = 0, *, effect: float = 0.0, slope: float = 1.0, level: float = -2.0
) -> tuple[Floats, Floats, pd.DataFrame]:
    """Scores, outcomes and frame: the truth is ``slope`` times the logit, and ``effect`` more for ads."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "source": rng.choice(np.array(["ads", "feed", None], dtype=object), n, p=[0.3, 0.6, 0.1]),
            "age_days": rng.choice([1.0, 20.0, np.nan], n),
            "user": rng.integers(0, n // 10 + 1, n),
        }
    )
    z = rng.normal(level, 1.0, n)
    truth = expit(slope * (z - level) + level + effect * (frame["source"] == "ads"))
    return expit(z), (rng.random(n) < truth).astype(float), frame


def chosen(
    made: tuple[Floats, Floats, pd.DataFrame], segments: Sequence[SegmentColumn] = SEGMENTS
) -> tuple[Calibrator, MapChoice]:
    scores, outcomes, frame = made
    return choose_map(scores, outcomes, frame, segments, users=frame["user"])


def test_where_a_segment_is_off_it_gets_a_map_by_segment() -> None:
    made = rows(20_000, effect=1.0)
    calibrator, found = chosen(made)
    assert found.kind == "segment"
    assert isinstance(calibrator, SegmentedMap)
    assert found.held_out["segment"] < found.held_out["global"]
    gained = found.gains["segment"]
    assert gained.gain == pytest.approx(found.held_out["global"] - found.held_out["segment"])
    assert gained.gain > 3 * gained.standard_error
    fresh, happened, frame = rows(20_000, seed=1, effect=1.0)
    ours = log_loss(happened, apply_calibrator(calibrator, fresh, frame))
    assert ours < log_loss(happened, fresh)


def test_where_all_are_off_alike_one_map_is_enough() -> None:
    calibrator, found = chosen(rows(20_000, seed=1, slope=0.5))
    assert found.kind == "global"
    assert isinstance(calibrator, IsotonicMap)
    assert abs(found.gains["segment"].gain) < 0.001


def test_scores_that_mean_what_they_say_are_never_made_much_worse() -> None:
    fresh, happened, frame = rows(100_000, seed=99)
    for seed in range(4):
        calibrator, _ = chosen(rows(6000, seed))
        ours = log_loss(happened, apply_calibrator(calibrator, fresh, frame))
        assert ours < 1.01 * log_loss(happened, fresh)


def test_no_map_is_chosen_where_any_only_adds_noise() -> None:
    found = [chosen(rows(4000, seed)) for seed in range(9, 15)]
    none = [calibrator for calibrator, choice in found if choice.kind == "none"]
    assert none
    assert all(choice.kind != "segment" for _, choice in found)
    assert apply_calibrator(none[0], [0.01, 0.4], rows(2)[2]) == pytest.approx([0.01, 0.4])


def test_what_is_printed_of_a_choice_by_chance_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be gained, and segments are taken wherever they look better at all."""
    monkeypatch.setattr(choice, "ERRORS", {"none": np.inf, "segment": 0.0})
    made = [chosen(rows(2500, 100 + seed)) for seed in range(24)]
    printed = np.array([one.gains["segment"].gain for _, one in made if one.kind == "segment"])
    assert printed.size >= 5
    assert printed.mean() <= 0


def test_users_who_are_measured_have_no_part_in_the_choice() -> None:
    scores, outcomes, frame = rows(20_000, effect=1.0)
    _, fold = choice.assign_folds(frame["user"].to_numpy())
    turned = np.where(fold == choice.MEASURED, 1 - outcomes, outcomes)
    (_, before), (_, after) = chosen((scores, outcomes, frame)), chosen((scores, turned, frame))
    assert before.kind == after.kind == "segment"
    assert after.held_out["segment"] > 2 * before.held_out["segment"]


@pytest.mark.parametrize("seed", [2, 4, 8])
def test_from_some_hundred_positives_variances_that_saw_all_rows_do_not_choose(seed: int) -> None:
    case = simulated("interacting", 5000, test_rows=20_000, seed=seed)
    known, fresh = case.calibrate, case.test
    assert 400 < known.outcomes.sum() < 500
    calibrator, _ = chosen((known.scores, known.outcomes, known.frame), case.segments)
    ours = normalized_entropy(fresh.outcomes, apply_calibrator(calibrator, fresh.scores, fresh.frame))
    one = fit_binary(known.scores, known.outcomes).apply(fresh.scores)
    assert ours < 1.001 * normalized_entropy(fresh.outcomes, one)


def test_few_positives_are_not_told_apart_by_segment() -> None:
    made = rows(3000, effect=1.0, level=-4.0)
    assert made[1].sum() < 200
    calibrator, found = chosen(made)
    assert "segment" not in found.held_out
    assert isinstance(calibrator, LogisticMap)


def test_positives_of_a_single_user_leave_nothing_to_hold_out() -> None:
    scores, outcomes, frame = rows(1000)
    frame["user"] = np.where(outcomes == 1, 0, frame["user"] + 1)
    _, found = choose_map(scores, outcomes, frame, SEGMENTS, users=frame["user"])
    assert (found.kind, dict(found.held_out)) == ("global", {})
    assert "too few users" in found.reason


def test_without_segments_there_is_one_map_or_none() -> None:
    _, found = chosen(rows(5000, effect=1.0), segments=())
    assert set(found.held_out) == {"none", "global"}


def test_the_reason_names_the_figures_and_json_holds_them() -> None:
    _, found = chosen(rows(20_000, effect=1.0))
    assert found.reason.startswith("segments: on users held out of the choice normalized entropy is 0.")
    plain = json.loads(found.model_dump_json())
    assert plain["kind"] == "segment"
    assert set(plain["held_out"]) == {"none", "global", "segment"}
    assert set(plain["gains"]) == {"none", "segment"}
    assert f"{plain['held_out']['segment']:.4f}" in found.reason


def test_the_order_of_rows_does_not_matter() -> None:
    scores, outcomes, frame = rows(5000, effect=1.0)
    mixed = np.random.default_rng(0).permutation(5000)
    _, one = chosen((scores, outcomes, frame))
    _, other = chosen((scores[mixed], outcomes[mixed], frame.iloc[mixed]))
    assert one.kind == other.kind
    assert one.held_out["segment"] == pytest.approx(other.held_out["segment"], rel=1e-6)


def test_rows_of_weight_0_are_as_if_they_were_not_there() -> None:
    scores, outcomes, frame = rows(6000, effect=1.0)
    counted = np.arange(6000) < 5000
    with_them, _ = choose_map(
        scores, outcomes, frame, SEGMENTS, users=frame["user"], weights=counted.astype(float)
    )
    kept = frame[counted]
    without, _ = choose_map(scores[counted], outcomes[counted], kept, SEGMENTS, users=kept["user"])
    one, other = (apply_calibrator(c, scores, frame) for c in (with_them, without))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_weights_count_by_their_ratios_alone(factor: float) -> None:
    scores, outcomes, frame = rows(5000, slope=0.5)
    weights = np.full(5000, factor)
    _, one = chosen((scores, outcomes, frame))
    _, other = choose_map(scores, outcomes, frame, SEGMENTS, users=frame["user"], weights=weights)
    assert other.kind == one.kind
    for kind, gain in one.gains.items():
        assert other.gains[kind].model_dump() == pytest.approx(gain.model_dump(), rel=1e-9)


def test_a_slice_without_a_positive_is_refused() -> None:
    scores, outcomes, frame = rows(500)
    with pytest.raises(DataError, match="there is no positive among 500 observed rows"):
        choose_map(scores, np.zeros_like(outcomes), frame, SEGMENTS, users=frame["user"])


def test_a_missing_user_and_a_missing_column_are_named() -> None:
    scores, outcomes, frame = rows(500)
    with pytest.raises(DataError, match="user is missing in 500 of 500 rows"):
        choose_map(scores, outcomes, frame, SEGMENTS, users=np.full(500, None))
    with pytest.raises(DataError, match="Unknown column 'age_days'"):
        chosen((scores, outcomes, frame.drop(columns="age_days")))


def opened(feed: Feed, task: str) -> tuple[TaskRows, pa.Table]:
    rows = TaskRows.open(feed[0], task=task, as_of=AS_OF, snapshot=feed[1])
    return rows, rows.read_for_report(rows.slices.calibrate)


@pytest.mark.parametrize("task", CALIBRATED)
@pytest.mark.parametrize("tested", [None, "global"])
def test_a_slice_without_a_positive_is_a_matter_of_time_and_names_its_days(
    labelled_feed: tuple[Workspace, str], task: str, tested: MapKind | None
) -> None:
    rows, table = opened(labelled_feed, task)
    first, last = rows.slices.calibrate.to_json()
    words = (
        rf"'{task}' cannot be calibrated: .* {first} to {last} has 0 .* in {len(table)} .* split\.calibrate"
    )
    with pytest.raises(ImmatureLabels, match=words):
        fit_map(rows, table, np.full(len(table), 0.1), np.zeros(len(table)), tested=tested)


@pytest.mark.parametrize("task", CALIBRATED)
def test_a_slice_without_a_row_is_a_matter_of_time(labelled_feed: tuple[Workspace, str], task: str) -> None:
    rows, table = opened(labelled_feed, task)
    with pytest.raises(ImmatureLabels, match=r"has 0 .* in 0 observed rows"):
        fit_map(rows, table.slice(0, 0), np.array([]), np.array([]), tested=None)


def test_a_slice_of_positives_alone_tells_no_more(labelled_feed: tuple[Workspace, str]) -> None:
    rows, table = opened(labelled_feed, "click_1d")
    with pytest.raises(ImmatureLabels, match="needs both outcomes"):
        fit_map(rows, table, np.full(len(table), 0.1), np.ones(len(table)), tested=None)


def test_values_that_add_up_to_less_than_nothing_have_no_map_of_means(
    labelled_feed: tuple[Workspace, str],
) -> None:
    rows, table = opened(labelled_feed, "spend_2d")
    values = np.where(np.arange(len(table)) == 0, -5.0, 0.0)
    with pytest.raises(DataError, match=r"has values that add up to -5, .* Clip the value in tasks\.yaml"):
        fit_map(rows, table, np.ones(len(table)), values, tested=None)


@pytest.mark.parametrize("task", CALIBRATED)
def test_scores_that_are_all_equal_get_the_mean_outcome(
    labelled_feed: tuple[Workspace, str], task: str
) -> None:
    rows, table = opened(labelled_feed, task)
    scores, outcomes = np.full(len(table), 0.3), read_labels(table, task)
    fitted, _ = fit_map(rows, table, scores, outcomes, tested=None)
    mapped = apply_calibrator(fitted, scores, read_segment_columns(rows, table))
    assert mapped.mean() == pytest.approx(
        outcomes.mean(), rel=0.01 if outcomes.sum() >= LOGISTIC_BELOW else 0.1
    )


@pytest.mark.parametrize("task", ["spend_2d", "click_1d"])
def test_a_quantile_and_an_order_need_no_map_whatever_the_slice_holds(
    labelled_feed: tuple[Workspace, str], tmp_path: Path, task: str
) -> None:
    surfaces = write_contracts(tmp_path, surface=SURFACE + TRAINING, utility=_UTILITY)
    asked = Workspace.open(NAME, surfaces=surfaces, home=labelled_feed[0].home)
    rows, table = opened((asked, labelled_feed[1]), task)
    assert fit_map(rows, table.slice(0, 0), np.array([]), np.array([]), tested=None) == (IdentityMap(), None)
