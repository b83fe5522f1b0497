"""A ramp is stopped by harm, waits while harm is possible, goes on without it, and asks where it cannot say."""

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.contracts.gates import Ramp
from tasks.experiments.always_valid import LogRatio
from tasks.experiments.ramp import GuardrailReading, decide_ramp, find_bound, read_guardrail
from tests.feeds import ramp_feed

RAMP = Ramp(guardrails=("hide_7d_rate", "like_7d_rate"))
LAST = len(RAMP.stages) - 1


def reading(
    estimate: float, *, error: float = 0.05, events: int = 900, stage: int = 0, costs: bool = True
) -> GuardrailReading:
    ratio = LogRatio(estimate, error, events, 9 * events)
    return read_guardrail("hide_7d_rate", ratio, costs=costs, bound=0.15, ramp=RAMP, stage=stage)


@pytest.mark.parametrize(
    ("estimate", "error", "stage", "days", "state"),
    [
        (1.0, 0.05, 0, 0, "roll_back"),  # harm stops it on the first day
        (1.0, 0.05, LAST, 20, "roll_back"),
        (0.0, 0.05, 0, 1, "wait"),  # wait.least
        (0.0, 0.05, 0, 2, "advance"),
        (0.0, 0.05, LAST, 2, "finish"),
        (0.0, 0.5, LAST, 13, "wait"),  # harm of 30 % is possible
        (0.0, 0.5, LAST, 14, "ask"),
        (0.0, 0.5, 0, 14, "ask"),
        (-2.0, 0.5, 0, 2, "advance"),  # fewer hides
    ],
)
def test_a_stage_ends_by_what_its_guardrails_show(
    estimate: float, error: float, stage: int, days: int, state: str
) -> None:
    read = reading(estimate, error=error, stage=stage)
    assert decide_ramp(RAMP, [read], stage=stage, waited=timedelta(days=days)).state.value == state


def test_arms_that_cannot_be_compared_ask_a_person_and_harm_stops_all_the_same() -> None:
    problems = ["No impression of the treatment is logged"]
    waited = timedelta(days=5)
    asked = decide_ramp(RAMP, [reading(0.0)], stage=0, waited=waited, problems=problems)
    assert (asked.state.value, list(asked.reasons)) == ("ask", problems)
    harmed = decide_ramp(RAMP, [reading(0.0), reading(1.0)], stage=0, waited=waited, problems=problems)
    assert harmed.state.value == "roll_back"


def test_a_ratio_without_events_is_unclear_and_raises_no_alarm() -> None:
    read = reading(math.nan, error=math.inf, events=0)
    assert (read.change, read.upper, read.alarm, read.clear) == (None, None, False, False)
    assert "no ratio yet" in str(read)


def test_a_fall_of_a_benefit_is_a_harm_and_events_are_counted_by_arm() -> None:
    fallen, risen = (reading(change, costs=False) for change in (-1.0, 1.0))
    assert (fallen.alarm, risen.alarm, risen.clear) == (True, False, True)
    assert fallen.change == pytest.approx(math.e - 1)
    assert (fallen.treated_events, fallen.control_events) == (900, 8100)


def test_a_bound_is_that_of_the_policy_and_a_fall_of_a_benefit_is_a_rise_of_harm(tmp_path: Path) -> None:
    contracts = ramp_feed.ramping(tmp_path).contracts
    assert find_bound(contracts, "hide_7d_rate") == 0.15
    assert find_bound(contracts, "like_7d_rate") == 0.0, "the policy bounds no change of likes"
    fall = contracts.utility.guardrails[0].model_copy(
        update={"metric": "like_7d_rate", "relative_decrease_max": 0.2}
    )
    falls = contracts.utility.model_copy(update={"guardrails": (fall,)})
    assert find_bound(replace(contracts, utility=falls), "like_7d_rate") == pytest.approx(0.25)
