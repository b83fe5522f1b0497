"""Intervals of the metrics: the resampled samples themselves are the oracle."""

import numpy as np
import numpy.typing as npt
import pytest

from tasks.evaluation import binary, intervals, rank_sums
from tasks.evaluation.observations import Observations
from tasks.evaluation.report import binary_report
from tasks.evaluation.resampling import Resampler, cluster_rows
from tasks.evaluation.verdicts import Estimate
from tests.evaluation.users_rows import draw_rows


def _ranked(y: npt.ArrayLike, p: npt.ArrayLike, users: npt.ArrayLike) -> tuple[Estimate, Estimate]:
    who = cluster_rows(users)
    (auc,), (precision,) = rank_sums.ranked_intervals(
        rank_sums.FallingRows.of(*binary.check_binary(y, p)), who.codes, Resampler(who.count, 0, 200)
    )
    return auc, precision


def test_values_are_those_of_the_plain_metrics() -> None:
    y, p, users = draw_rows(seed=5)
    w = np.random.default_rng(0).random(y.size)
    told = intervals.calibration_interval(y, p, users, weights=w)
    assert told.value == pytest.approx(binary.calibration_ratio(y, p, weights=w))
    assert told.low < told.value < told.high


def test_the_order_of_rows_does_not_move_a_value() -> None:
    y, p, users = draw_rows(seed=6)
    mixed = np.random.default_rng(0).permutation(y.size)
    before, after = _ranked(y, p, users)[0], _ranked(y[mixed], p[mixed], users[mixed])[0]
    assert after.value == pytest.approx(before.value)
    assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=0.03)


@pytest.mark.parametrize(
    ("outcomes", "users"),
    [
        ([], []),
        ([0, 0, 0], ["u", "v", "w"]),
        ([1, 0, 0], ["u", "u", "u"]),
        ([1, 0, 0], ["u", "v", "w"]),
        ([1] * 9 + [0] * 30, list(range(39))),
        ([1, 0, 0] * 19, list(range(19)) * 3),
        ([1, 0, 0] * 30, [*range(10), *["ana"] * 80]),
    ],
    ids=[
        "no rows",
        "no positive",
        "one user",
        "one user's positive",
        "nine positives",
        "nineteen users",
        "one of eleven users has most rows",
    ],
)
def test_too_little_data_is_no_interval_and_no_exception(outcomes: list[int], users: npt.ArrayLike) -> None:
    predictions: npt.NDArray[np.float64] = np.resize([0.2, 0.1, 0.3], len(outcomes))
    report = binary_report(Observations(outcomes, predictions, users, users), replicates=20)
    assert not any(row.estimate.known for row in report if row.subject.metric in {"auc", "average_precision"})
    assert not intervals.calibration_interval(outcomes, predictions, users).known
