"""Where weights stand on a front that was searched: on it, below it, or where nobody looked."""

from datetime import date
from typing import Any

import pytest

from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.promotion.gates.front import SearchedFront, judge_front
from tasks.tuning.evidence import FrontPoint, Objective, TuningEvidence, WeightProposal

CURRENT, BETTER = {"click": 1.0, "hide": -5.0}, {"click": 1.5, "hide": -9.0}
GAIN = Estimate(0.03, 0.01, 0.05, 400)


def _point(trial: int, weights: dict[str, float], *, dominated: bool = False) -> FrontPoint:
    return FrontPoint(trial=trial, weights=weights, searched=(0.1,), confirmed=(GAIN,), dominated=dominated)


def _proposal(gain: Estimate | None) -> WeightProposal:
    return WeightProposal(
        trial=7,
        version=2,
        weights=BETTER,
        moved=0.5,
        gain_searched=0.1,
        gain_metric="click_rate",
        gain=gain,
        gain_predicted=gain,
        verdicts=(),
        file="",
    )


def _front(**changes: Any) -> SearchedFront:
    found = {
        "ending": "proposed",
        "release": 3,
        "baseline": "champion 3",
        "days": (date(2026, 3, 1), date(2026, 3, 14)),
        "requests": (900, 900),
        "objectives": (Objective(metric="click_rate", raised=True, model_judged=False),),
        "current": CURRENT,
        "searched_policies": (90, 90),
        "confirmed_policies": (3, 3),
        "feasible": 80,
        "exceeded": {},
        "front": (_point(7, BETTER), _point(9, {"click": 2.0, "hide": -5.0})),
        "hypervolume": 0.1,
        "knee": 7,
        "proposal": None,
        "report": "",
        "notes": (),
    }
    return SearchedFront(TuningEvidence.model_validate({**found, **changes}), "run-tune")


def test_without_a_front_nothing_is_said_but_how_to_find_one() -> None:
    for front in (None, _front(front=())):
        verdict = judge_front(CURRENT, front, run="run-simulate")
        assert (verdict.outcome, verdict.evidence) == (Outcome.NO_RULE, "run-simulate")
        assert "equipoise tune" in verdict.reason


def test_weights_of_a_point_are_on_the_front_and_the_row_names_its_run() -> None:
    verdict = judge_front(BETTER, _front(), run="run-simulate")
    assert (verdict.outcome, verdict.evidence) == (Outcome.PASS, "run-tune")
    assert verdict.reason == "trial 7 of a front of 2; searched with release 3 on 2026-03-01 to 2026-03-14"


def test_a_point_that_another_was_confirmed_to_beat_warns() -> None:
    verdict = judge_front(BETTER, _front(front=(_point(7, BETTER, dominated=True),)), run="r")
    assert verdict.outcome is Outcome.WARN


def test_weights_below_the_front_warn_where_a_gain_was_confirmed() -> None:
    verdict = judge_front(CURRENT, _front(proposal=_proposal(GAIN)), run="r")
    assert verdict.outcome is Outcome.WARN
    assert "trial 7 was confirmed to gain click_rate +3.0%" in verdict.reason


@pytest.mark.parametrize("gain", [None, Estimate(0.03, -0.01, 0.07, 400)])
def test_a_gain_that_was_not_confirmed_is_no_warning(gain: Estimate | None) -> None:
    verdict = judge_front(CURRENT, _front(proposal=_proposal(gain)), run="r")
    assert (verdict.outcome, "no gain was confirmed" in verdict.reason) == (Outcome.NO_RULE, True)


def test_weights_that_no_search_began_with_are_no_part_of_it() -> None:
    verdict = judge_front({"click": 3.0, "hide": -1.0}, _front(), run="r")
    assert (verdict.outcome, "none of a front of 2" in verdict.reason) == (Outcome.NO_RULE, True)


def test_a_weight_that_the_search_could_not_move_is_not_compared() -> None:
    assert judge_front({**BETTER, "buy": 9.0}, _front(), run="r").outcome is Outcome.PASS
