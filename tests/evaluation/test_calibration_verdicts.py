"""Of many segments at once: none is called off by chance, a harmed one is found, and passing needs evidence."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import poisson

from tasks.evaluation.calibration_verdicts import (
    LEAST_PREDICTED,
    Calibration,
    CalibrationStatus,
    SegmentRatio,
    evaluate_calibration,
    inflation,
    off_p_value,
)
from tasks.evaluation.figures import binary_report
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import calibration_interval
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate

RANGE = {"low": 0.9, "high": 1.1}
NAN = float("nan")
Counts = npt.NDArray[np.int64]


def _seen(counts: Counts, predicted: npt.NDArray[np.float64], rng: np.random.Generator) -> list[SegmentRatio]:
    """Segments of independent outcomes with the interval that resampling gives their ratio."""
    draws = rng.poisson(counts, (300, counts.size)) / predicted
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return [
        SegmentRatio(Estimate(o / e, a, b, 90) if o else Estimate(NAN, NAN, NAN, 90), o, e, 1.0)
        for o, e, a, b in zip(counts.tolist(), predicted.tolist(), low.tolist(), high.tolist(), strict=True)
    ]


def _off(judged: list[Calibration]) -> npt.NDArray[np.bool_]:
    return np.array([one.status is CalibrationStatus.OFF for one in judged])


def test_a_p_value_is_twice_the_poisson_tail_at_the_nearer_edge() -> None:
    few = SegmentRatio(Estimate(0.3, 0.2, 0.4, 9), observed=3, predicted=10, inflation=1.0)
    many = SegmentRatio(Estimate(1.9, 1.8, 2.0, 19), observed=19, predicted=10, inflation=1.0)
    assert off_p_value(few, **RANGE) == pytest.approx(2 * poisson.cdf(3, 9.0))
    assert off_p_value(many, **RANGE) == pytest.approx(2 * poisson.sf(18, 11.0))


def test_outcomes_that_come_in_clusters_are_fewer_outcomes() -> None:
    alone = SegmentRatio(Estimate(2.0, 1.4, 2.6, 9), observed=40, predicted=20, inflation=1.0)
    together = SegmentRatio(Estimate(2.0, 1.4, 2.6, 9), observed=40, predicted=20, inflation=4.0)
    assert off_p_value(together, **RANGE) > 10 * off_p_value(alone, **RANGE)
    assert inflation(Estimate(1.0, 0.804, 1.196, 90), 100.0) == pytest.approx(1.0, rel=1e-3)


def test_a_ratio_inside_the_range_is_never_evidence_against_it() -> None:
    assert off_p_value(SegmentRatio(Estimate(1.09, 1.085, 1.095, 9)), **RANGE) == 1.0


def test_no_positive_where_many_were_predicted_is_off_and_where_few_were_is_not() -> None:
    unknown = Estimate(NAN, NAN, NAN, 90)
    many, few = (SegmentRatio(unknown, 0, predicted, 1.0) for predicted in (50.0, 2.0))
    assert [one.status for one in evaluate_calibration([many, few], **RANGE)] == [
        CalibrationStatus.OFF,
        CalibrationStatus.INCONCLUSIVE,
    ]


def test_a_cost_that_exceeds_the_range_is_judged_by_the_poisson_tail_alone() -> None:
    one = SegmentRatio(Estimate(1.9, 1.8, 2.0, 19), observed=19, predicted=10, inflation=1.0, cost=True)
    healthy = [SegmentRatio(Estimate(1.0, 0.95, 1.05, 900))] * 99
    for family in ([one], [one, *healthy]):
        judged = evaluate_calibration(family, **RANGE)[0]
        assert judged.status is CalibrationStatus.OFF
        assert judged.p_value == pytest.approx(poisson.sf(18, 11.0))
        assert judged.family == 1


def test_a_count_without_an_interval_is_judged_from_so_many_predicted_on() -> None:
    unknown = Estimate(0.05, NAN, NAN, 90)
    less, enough = (SegmentRatio(unknown, 1, n, 1.0) for n in (LEAST_PREDICTED - 0.1, LEAST_PREDICTED))
    assert off_p_value(less, **RANGE) == 1.0
    assert off_p_value(enough, **RANGE) == pytest.approx(2 * poisson.cdf(1, 18.0))
    assert off_p_value(SegmentRatio(unknown, 1, None, 1.0), **RANGE) == 1.0


@pytest.mark.parametrize("appetite", [None, 1.0, 0.3], ids=["users alike", "users differ", "few users do it"])
@pytest.mark.parametrize("expected", [4, 10, 20, 50])
def test_an_equal_cost_is_off_in_at_most_a_twentieth_of_worlds(
    expected: float, appetite: float | None
) -> None:
    rng = np.random.default_rng(6)
    off = []
    for _ in range(200):
        users = np.repeat(np.arange(80), rng.geometric(0.1, 80))
        weight = np.ones(80) if appetite is None else rng.gamma(appetite, 1 / appetite, 80)
        p = np.full(users.size, expected / users.size)
        y = (rng.random(users.size) < np.minimum(1, p * weight[users])).astype(float)
        ratio = calibration_interval(y, p, users)
        one = SegmentRatio(ratio, y.sum(), p.sum(), inflation(ratio, y.sum()), cost=True)
        off.append(_off(evaluate_calibration([one], **RANGE))[0])
    assert np.mean(off) <= 0.05


def test_one_segment_alone_is_judged_as_its_interval_says() -> None:
    rng = np.random.default_rng(5)
    predicted = np.full(400, 900.0)
    for one in _seen(rng.poisson(predicted * rng.uniform(0.7, 1.4, 400)), predicted, rng):
        (judged,) = evaluate_calibration([one], **RANGE)
        outside = one.ratio.high < 0.9 or one.ratio.low > 1.1
        near = min(abs(one.ratio.high - 0.9), abs(one.ratio.low - 1.1)) < 0.015
        assert near or (judged.status is CalibrationStatus.OFF) == outside


def test_a_healthy_release_of_rare_segments_is_not_held_by_chance() -> None:
    rng = np.random.default_rng(1)
    held, naive = [], []
    for _ in range(60):
        predicted = rng.uniform(2, 40, 100)
        family = _seen(rng.poisson(predicted), predicted, rng)
        held.append(_off(evaluate_calibration(family, **RANGE)).any())
        naive.append(any(one.ratio.high < 0.9 or one.ratio.low > 1.1 for one in family))
    assert np.mean(held) <= 0.05
    assert np.mean(naive) > 0.8


def test_false_discoveries_are_a_twentieth_where_the_healthy_stand_on_the_edge_itself() -> None:
    rng = np.random.default_rng(2)
    harmed = np.arange(100) < 20
    shares, found = [], []
    for _ in range(80):
        predicted = rng.uniform(100, 400, 100)
        truth = np.where(harmed, 1.8, rng.choice([0.9, 1.1], 100))
        off = _off(evaluate_calibration(_seen(rng.poisson(predicted * truth), predicted, rng), **RANGE))
        shares.append((off & ~harmed).sum() / max(1, off.sum()))
        found.append(off[harmed].mean())
    assert np.mean(shares) <= 0.06
    assert np.mean(found) > 0.95


def test_one_harmed_segment_is_found_among_many_healthy_ones() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(30):
        predicted = rng.uniform(5, 60, 100)
        predicted[0] = 150.0
        truth = np.where(np.arange(100) == 0, 1.8, 1.0)
        found.append(
            _off(evaluate_calibration(_seen(rng.poisson(predicted * truth), predicted, rng), **RANGE))[0]
        )
    assert np.mean(found) > 0.9


def test_passing_needs_the_whole_interval_inside_however_many_segments_there_are() -> None:
    sure, thin = Estimate(1.0, 0.95, 1.05, 900), Estimate(1.0, 0.8, 1.2, 40)
    judged = evaluate_calibration([SegmentRatio(sure), *[SegmentRatio(thin)] * 30], **RANGE)
    assert judged[0].status is CalibrationStatus.CALIBRATED
    assert {one.status for one in judged[1:]} == {CalibrationStatus.INCONCLUSIVE}


def test_a_mean_of_values_is_judged_by_its_interval_alone() -> None:
    off, well = Estimate(1.4, 1.3, 1.5, 900), Estimate(1.02, 0.97, 1.07, 900)
    assert [one.status for one in evaluate_calibration([SegmentRatio(off), SegmentRatio(well)], **RANGE)] == [
        CalibrationStatus.OFF,
        CalibrationStatus.CALIBRATED,
    ]


def test_users_who_come_back_do_not_make_a_healthy_release_look_harmed() -> None:
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(400), 20)
    segments = {"kind": rng.integers(40, size=400)[users].astype(str)}
    appetite = rng.gamma(0.5, 2.0, 400)[users]
    p = np.full(users.size, 0.02)
    y = (rng.random(users.size) < np.minimum(1, p * appetite)).astype(float)
    rows = binary_report(Observations(y, p, users, users, segments), replicates=100)
    ratios = {row.segment: row for row in rows if row.subject.metric == "calibration_ratio"}
    whole = ratios.pop(ALL)
    spread = inflation(whole.estimate, whole.events)
    assert spread > 1.2
    family = [SegmentRatio(r.estimate, r.events, 0.02 * r.rows, spread) for r in ratios.values()]
    assert not _off(evaluate_calibration(family, low=0.8, high=1.25)).any()
