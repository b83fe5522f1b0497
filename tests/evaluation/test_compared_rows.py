"""Two models on eight impressions: what is lost, on the whole and in each segment, counted by hand."""

import math

import numpy.typing as npt

from tasks.evaluation.compared_rows import compare_amounts, compare_rows
from tasks.evaluation.paired import PairedRows
from tasks.evaluation.subjects import Segment
from tests.known import known

CLICKED = [1, 0, 1, 0, 1, 0, 1, 0]
RIGHT = [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1]
ONE_TURNED = [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.1, 0.9]
USERS, REQUESTS = list("uuvvwwxx"), list("aabbccdd")
SEGMENTS: dict[str, npt.ArrayLike] = {"tenure": ["new"] * 2 + ["old"] * 6, "wide": [True] * 8}


def _paired(before: list[float], after: list[float]) -> PairedRows:
    return PairedRows(CLICKED, before, after, USERS, REQUESTS, SEGMENTS)


def test_a_turned_request_is_lost_by_its_own_segments_and_no_other() -> None:
    both = _paired(RIGHT, ONE_TURNED)
    found = compare_rows("click", both, ranked=both, calibrated=both)
    assert known(found.auc_by_request_drop).value == 1 / 4
    order = {one.segment: one.auc_by_request_drop for one in found.segments}
    assert {name: drop.value for name, drop in order.items() if drop} == {
        Segment("tenure", "new"): 0.0,
        Segment("tenure", "old"): 1 / 3,
        Segment("wide", "true"): 1 / 4,
    }
    calibrated = {one.segment: known(one.normalized_entropy_rise).value for one in found.segments}
    assert calibrated[Segment("tenure", "new")] == 0
    assert (
        calibrated[Segment("tenure", "old")]
        > known(found.normalized_entropy_rise).value
        == calibrated[Segment("wide", "true")]
        > 0
    )


def test_one_outcome_a_request_has_no_order_in_any_segment() -> None:
    both = _paired(RIGHT, ONE_TURNED)
    found = compare_rows("click", both, ranked=None, calibrated=both)
    assert [found.auc_by_request_drop, *(one.auc_by_request_drop for one in found.segments)] == [None] * 4
    assert known(found.auc_drop).value == 1 - 12 / 16, "of 16 pairs 9 are won, 6 are ties and 1 is lost"


def test_without_probabilities_the_order_alone_is_compared() -> None:
    scores = _paired([2 * p for p in RIGHT], [p - 7 for p in ONE_TURNED])
    found = compare_rows("click", scores, ranked=scores, calibrated=None)
    assert known(found.auc_by_request_drop).value == 1 / 4
    rises = [found.normalized_entropy_rise, *(one.normalized_entropy_rise for one in found.segments)]
    assert all(math.isnan(known(rise).value) for rise in rises)


def test_without_declared_segments_there_is_the_whole_alone() -> None:
    rows = PairedRows(CLICKED, RIGHT, RIGHT, USERS, REQUESTS)
    assert compare_rows("click", rows, ranked=rows, calibrated=rows).segments == ()


def test_an_order_is_compared_by_itself() -> None:
    both = _paired(RIGHT, ONE_TURNED)
    found = compare_rows("click", None, ranked=both, calibrated=None)
    assert (found.auc_drop, found.normalized_entropy_rise) == (None, None)
    with_errors = compare_rows("click", both, ranked=both, calibrated=None)
    assert repr(found.auc_by_request_drop) == repr(with_errors.auc_by_request_drop)  # a NaN equals no other
    assert [one.segment for one in found.segments] == [
        Segment("tenure", "new"),
        Segment("tenure", "old"),
        Segment("wide", "true"),
    ]


def test_amounts_lose_by_squared_error_or_by_pinball_loss_in_each_segment() -> None:
    """Seconds watched; one user of the old ones is predicted 2 too low."""
    watched = [4.0, 0.0] * 4
    rows = PairedRows(watched, watched, [*watched[:-2], 2.0, 0.0], USERS, REQUESTS, SEGMENTS)
    by_mean = compare_amounts("watch", rows, base=2.0, quantile=None)
    assert known(by_mean.relative_squared_error_rise).value == 2**2 / (8 * 2**2)
    assert by_mean.relative_pinball_loss_rise is None
    segments = {one.segment: one.relative_squared_error_rise for one in by_mean.segments}
    assert {name: rise.value for name, rise in segments.items() if rise} == {
        Segment("tenure", "new"): 0.0,
        Segment("tenure", "old"): 2**2 / (6 * 2**2),
        Segment("wide", "true"): 2**2 / (8 * 2**2),
    }
    by_quantile = compare_amounts("watch", rows, base=2.0, quantile=0.75)
    assert known(by_quantile.relative_pinball_loss_rise).value == 0.75 * 2 / (4 * 2 * 0.75 + 4 * 2 * 0.25)
    assert (by_quantile.auc_by_request_drop, by_quantile.relative_squared_error_rise) == (None, None)
