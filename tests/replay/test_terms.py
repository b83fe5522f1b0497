"""A policy's utility taken apart into what each task adds to a slot, by hand."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tasks.contracts.utility import Term
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.terms import composition

LOG = CandidateLog(
    requests=np.array([0, 0, 1, 1]),
    users=np.array([0, 0, 1, 1]),
    items=np.arange(4),
    logged_position=np.array([1.0, 2.0, 1.0, 2.0]),
    shown=np.ones(4, dtype=bool),
    labels={},
    outcomes={},
    segments={},
    days=np.zeros(4, dtype=int),
    dates=(date(2026, 3, 1),),
    examination=None,
    positions_logged=True,
    complete=True,
    inclusion=None,
)
SLATES = PolicySlates(
    name="release 1",
    slot=np.array([1, 0, 1, 2]),
    predictions={"click": np.array([0.2, 0.1, 0.4, 0.2])},
    utility=np.array([2.0, 1.0, 4.0, 1.0]),
    contributions={"click": np.array([2.0, 1.0, 4.0, 2.0]), "hide": np.array([0.0, 0.0, 0.0, -1.0])},
)


DECLARED = {
    "click": Term(task="click", weight=2.0, times="margin"),
    "hide": Term(task="hide", weight=-1.0),
}


def test_means_are_over_the_slots_and_spreads_over_all_candidates_of_a_request() -> None:
    made = composition(LOG, SLATES, DECLARED)
    assert made is not None
    assert made.utility == pytest.approx((2 + 4 + 1) / 3)
    assert made.spread == pytest.approx(np.sqrt((2 * 0.5**2 + 2 * 1.5**2) / 4))
    click, hide = made.terms
    assert (click.task, click.weight, click.times) == ("click", 2.0, "margin")
    assert (hide.task, hide.weight, hide.heads) == ("hide", -1.0, ("hide",))
    assert click.prediction == pytest.approx((0.2 + 0.4 + 0.2) / 3)
    assert click.contribution == pytest.approx((2 + 4 + 2) / 3)
    assert click.spread == pytest.approx(np.sqrt((2 * 0.5**2 + 2 * 1.0**2) / 4))
    assert hide.contribution == pytest.approx(-1 / 3)
    assert np.isnan(hide.prediction)


def test_a_candidate_without_a_utility_takes_no_part() -> None:
    unknown = replace(SLATES, utility=np.array([2.0, np.nan, 4.0, 1.0]))
    made = composition(LOG, unknown, DECLARED)
    assert made is not None
    assert made.spread == pytest.approx(np.sqrt(2 * 1.5**2 / 3))


def test_an_order_without_a_utility_has_no_composition() -> None:
    assert composition(LOG, PolicySlates("logged order", SLATES.slot), {}) is None
