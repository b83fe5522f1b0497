"""A page with fewer items than before, or with none, is harm that no rate per look shows."""

import numpy as np
import pytest

from tasks.evaluation.verdicts import Outcome
from tasks.replay.evidence import FilledSlots
from tasks.replay.filled import count_filled, evaluate_empty, evaluate_filled

CHAMPION = FilledSlots(requests=100, empty=0, slots=1000)


def test_requests_whose_candidates_all_stay_off_the_slate_are_counted_as_empty() -> None:
    counted = count_filled(np.array([0, 0, 1, 1, 2]), np.array([1, 2, 0, 0, 1]))
    assert counted == FilledSlots(requests=3, empty=1, slots=3)


@pytest.mark.parametrize(
    ("slots", "outcome"),
    [(1000, Outcome.PASS), (990, Outcome.PASS), (989, Outcome.BLOCK), (0, Outcome.BLOCK)],
)
def test_a_fall_of_over_one_per_cent_of_the_baselines_slots_holds(slots: int, outcome: Outcome) -> None:
    ours = FilledSlots(requests=100, empty=0, slots=slots)
    verdict = evaluate_filled(ours, CHAMPION, gate="decision", against="champion 1", run="r")
    assert verdict.outcome is outcome


def test_where_no_baseline_fills_a_slot_empty_slates_alone_hold() -> None:
    """A column of a constraint that is null drops the candidates of every release alike."""
    none = FilledSlots(requests=100, empty=100, slots=0)
    for baseline in (none, None):
        verdict = evaluate_filled(none, baseline, gate="decision", against="logged order", run="r")
        assert verdict.outcome is Outcome.NO_RULE
    (empty,) = evaluate_empty(none, most=0.0, gate="decision", run="r")
    assert empty.outcome is Outcome.BLOCK
    assert empty.reason.startswith("100 of 100 requests get an empty slate")


def test_as_many_empty_slates_as_a_surface_allows_hold_nothing() -> None:
    few = FilledSlots(requests=100, empty=2, slots=980)
    assert list(evaluate_empty(few, most=0.02, gate="decision", run="r")) == []
    assert len(list(evaluate_empty(few, most=0.01, gate="decision", run="r"))) == 1
