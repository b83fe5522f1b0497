"""Slates are held against each hard constraint by itself, however many there are and whatever their names.

A page with fewer items than before, or with none, is harm that no rate per look shows.
"""

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.utility import UtilitySpec
from tasks.errors import GateRefused
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.decision import explain_verdict
from tasks.replay.evidence import FilledSlots
from tasks.replay.slate_checks import (
    count_filled,
    count_leaks,
    evaluate_empty,
    evaluate_filled,
    evaluate_leaks,
    refuse_leaks,
)
from tests.ranking.policies import utility_json

NO_VIOLATION = {"name": "legal", "drop_when": {"column": "violation", "equals": True}}
PERMITTED = {"name": "legal", "keep_when": {"column": "permitted", "equals": True}}
POLICY = UtilitySpec.model_validate(utility_json(hard_constraints=[NO_VIOLATION, PERMITTED]))
FRAME = pd.DataFrame(
    {
        "request_id": ["r"] * 4,
        "item_id": list("abcd"),
        "violation": [False, True, False, None],
        "permitted": [True, True, False, True],
    }
)


@pytest.mark.parametrize("slot", [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 2], [1, 2, 3, 4]])
def test_what_is_kept_out_or_not_known_to_be_allowed_is_a_leak_in_a_slot(slot: list[int]) -> None:
    """Both constraints have one name, as once made the first stop filtering."""
    with pytest.raises(GateRefused, match=r"release 1 puts into its slots .*: legal"):
        refuse_leaks(count_leaks(FRAME, np.array(slot), POLICY), name="release 1")


def test_what_has_no_slot_leaks_nothing() -> None:
    assert count_leaks(FRAME, np.array([1, 0, 0, 0]), POLICY) == ()
    with pytest.raises(GateRefused, match="legal 2, legal 1"):
        refuse_leaks(count_leaks(FRAME, np.array([1, 2, 3, 4]), POLICY), name="release 1")


def test_what_a_context_adds_is_counted_in_its_own_rows() -> None:
    home = {"name": "home", "when": {"page": "home"}, "hard_constraints": [PERMITTED]}
    policy = UtilitySpec.model_validate(utility_json(contexts=[home]))
    frame = FRAME.assign(page=["home", "home", "away", "away"])
    assert count_leaks(frame, np.array([1, 2, 3, 4]), policy) == ()
    (leak,) = count_leaks(frame.assign(page="home"), np.array([1, 2, 3, 4]), policy)
    assert (leak.constraint, leak.items) == ("legal", 1)


def test_each_constraint_that_leaks_blocks_by_its_name_and_count() -> None:
    leaks = count_leaks(FRAME, np.array([1, 2, 0, 0]), POLICY)
    (verdict,) = evaluate_leaks(leaks, candidates=4, where="2026-02-11", run="run")
    assert explain_verdict(verdict) == (
        "constraints: legal in the slots 1 (at most 0 in its slots): block, "
        "1 of 4 candidates of 2026-02-11 got a slot"
    )
    assert verdict.evidence == "run"
    assert [*evaluate_leaks((), candidates=4, where="2026-02-11", run="run")] == []


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
