"""Two models on eight impressions: what is lost, on the whole and in each segment, counted by hand."""

import math

import numpy.typing as npt

from tasks.evaluation.compared_rows import ComparedRows, compare_rows
from tasks.evaluation.paired import PairedRows

CLICKED = [1, 0, 1, 0, 1, 0, 1, 0]
RIGHT = [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1]
ONE_TURNED = [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.1, 0.9]
USERS, REQUESTS = list("uuvvwwxx"), list("aabbccdd")
SEGMENTS: dict[str, npt.ArrayLike] = {"tenure": ["new"] * 2 + ["old"] * 6, "wide": [True] * 8}


def _paired(before: list[float], after: list[float]) -> ComparedRows:
    return ComparedRows.of(PairedRows(CLICKED, before, after, USERS, REQUESTS), SEGMENTS)


def test_a_turned_request_is_lost_by_its_own_segments_and_no_other() -> None:
    both = _paired(RIGHT, ONE_TURNED)
    found = compare_rows("click", both.rows, ranked=both, told=both)
    assert found.auc_by_request_drop is not None
    assert found.auc_by_request_drop.value == 1 / 4
    order = {one.segment: one.auc_by_request_drop for one in found.segments}
    assert {name: drop.value for name, drop in order.items() if drop} == {
        "tenure=new": 0.0,
        "tenure=old": 1 / 3,
        "wide=true": 1 / 4,
    }
    told = {one.segment: one.normalized_entropy_rise.value for one in found.segments}
    assert told["tenure=new"] == 0
    assert told["tenure=old"] > found.normalized_entropy_rise.value == told["wide=true"] > 0


def test_one_outcome_a_request_has_no_order_in_any_segment() -> None:
    both = _paired(RIGHT, ONE_TURNED)
    found = compare_rows("click", both.rows, ranked=None, told=both)
    assert [found.auc_by_request_drop, *(one.auc_by_request_drop for one in found.segments)] == [None] * 4
    assert found.auc_drop.value == 1 - 12 / 16, "of 16 pairs 9 are won, 6 are ties and 1 is lost"


def test_without_probabilities_the_order_alone_is_compared() -> None:
    scores = _paired([2 * p for p in RIGHT], [p - 7 for p in ONE_TURNED])
    found = compare_rows("click", scores.rows, ranked=scores, told=None)
    assert found.auc_by_request_drop is not None
    assert found.auc_by_request_drop.value == 1 / 4
    rises = [found.normalized_entropy_rise, *(one.normalized_entropy_rise for one in found.segments)]
    assert all(math.isnan(rise.value) and not rise.known for rise in rises)


def test_without_declared_segments_there_is_the_whole_alone() -> None:
    rows = PairedRows(CLICKED, RIGHT, RIGHT, USERS, REQUESTS)
    both = ComparedRows.of(rows, {})
    assert compare_rows("click", rows, ranked=both, told=both).segments == ()
