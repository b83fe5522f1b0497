"""The segments of a task as one family: a true loss is found, and chance among many is not one."""

import numpy as np
import pytest
from scipy.stats import norm, t

from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate
from tasks.promotion.gates.segment_losses import LEVEL, SegmentLoss, judge_losses, loss_p_value

BOUND = 0.005


def loss(segment: Segment, value: float, error: float, users: int = 10_000) -> SegmentLoss:
    half = norm.ppf(0.975) * error
    return SegmentLoss(
        segment, "auc_by_request_drop", Estimate(value, value - half, value + half, users), BOUND
    )


def test_a_p_value_is_that_of_students_law_above_the_bound() -> None:
    new = Segment("new", "true")
    assert loss_p_value(loss(new, 0.03, 0.01)) == pytest.approx(norm.sf(2.5), rel=1e-2)
    assert loss_p_value(loss(new, 0.03, 0.01, users=15)) == pytest.approx(t(14).sf(2.5), rel=1e-5)
    assert loss_p_value(loss(new, BOUND, 0.01)) == pytest.approx(0.5)


def test_an_interval_of_no_width_is_within_the_bound_or_is_not() -> None:
    assert loss_p_value(loss(Segment("new", "true"), 0.0, 0.0)) == 1.0
    assert loss_p_value(loss(Segment("new", "true"), 0.01, 0.0)) == 0.0


def test_what_is_found_alone_is_chance_among_thirty() -> None:
    """One-sided p .02: below .025 alone, .6 among thirty."""
    odd = loss(Segment("region", "7"), BOUND + norm.isf(0.02) * 0.01, 0.01)
    assert [one.lost for one in judge_losses([odd])] == [True]
    fine = [loss(Segment("region", str(i)), 0.0, 0.01) for i in range(8, 37)]
    assert not any(one.lost for one in judge_losses([odd, *fine]))


def test_a_segment_that_truly_loses_is_named_among_many() -> None:
    fine = [loss(Segment("region", str(i)), 0.0, 0.01) for i in range(30)]
    worst, *others = judge_losses([*fine, loss(Segment("tenure", "new"), 0.1, 0.02)])
    assert (worst.of.segment, worst.lost) == (Segment("tenure", "new"), True)
    assert not any(one.lost for one in others)


def test_a_dozen_events_make_no_segment_lost_among_four_hundred() -> None:
    """4.2 standard errors: by the normal law p is 1.3e-5, which times 400 is below the level of one of five."""
    fine = [loss(Segment("creator", f"c{i}"), 0.0, 0.01) for i in range(399)]
    few, many = (loss(Segment("creator", "c106"), BOUND + 0.042, 0.01, users) for users in (15, 10_000))
    assert [judge_losses([*fine, one], level=LEVEL / 4)[0].lost for one in (few, many)] == [False, True]


def test_with_more_tasks_each_is_judged_more_strictly() -> None:
    odd = loss(Segment("region", "7"), BOUND + norm.isf(0.01) * 0.01, 0.01)
    assert [one.lost for one in judge_losses([odd])] == [True]
    assert [one.lost for one in judge_losses([odd], level=LEVEL / 9)] == [False]


def test_what_cannot_be_told_is_no_member_of_the_family() -> None:
    unknown = SegmentLoss(Segment("region", "9"), "auc_by_request_drop", UNKNOWN_ESTIMATE, BOUND)
    assert judge_losses([unknown]) == []
    assert len(judge_losses([unknown, loss(Segment("region", "1"), 0.0, 0.01)])) == 1


@pytest.mark.parametrize("shared", [0.0, 0.7], ids=["independent", "overlapping"])
def test_of_equal_releases_at_most_the_declared_share_has_a_segment_that_loses(shared: float) -> None:
    """At the bound, the worst of the null, with thirty segments: uncorrected more than 30 % would have one."""
    rng = np.random.default_rng(1)
    held = uncorrected = 0
    releases = 1000
    for _ in range(releases):
        z = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(size=30)
        judged = judge_losses([loss(Segment("s", str(i)), BOUND + 0.01 * z[i], 0.01) for i in range(30)])
        held += any(one.lost for one in judged)
        uncorrected += any(one.p_value <= LEVEL for one in judged)
    assert held / releases <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / releases)
    assert uncorrected / releases > (0.4 if shared == 0 else 0.1)
