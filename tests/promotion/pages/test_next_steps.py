"""What to do next follows from the worst verdict."""

from dataclasses import replace

import pytest

from tasks.evaluation.verdicts import Bounds, Outcome, Power, Verdict
from tasks.promotion.pages.next_steps import say_next
from tests.promotion.pages.vocabularies import rail, verdict

UNKNOWN = rail("hide_rate", Outcome.CANNOT_TELL, 0.0, -0.2, 0.2, allowed=Bounds(high=0.1))


def after(worst: Verdict | None, *, held: bool = True) -> str:
    return say_next(worst, surface="feed", release=3, held=held)


def test_a_release_that_nothing_holds_is_put_before_its_reviewers() -> None:
    for worst in (None, UNKNOWN):
        assert after(worst, held=False).startswith("Put it before its reviewers: trigger feed__promote")


def test_how_many_more_requests_would_tell_is_said_where_it_is_known() -> None:
    told = after(replace(UNKNOWN, power=Power(0.2, 4.04)))
    assert told.startswith("Wait for about 4 times as many requests, which would tell it. Keep the champion")
    for needed in (float("nan"), float("inf"), 0.5, 1e6):
        assert after(replace(UNKNOWN, power=Power(0.2, needed))).startswith("These data do not tell it")


@pytest.mark.parametrize(
    "gate", ["constraints", "data", "model", "calibration", "decision", "shadow", "freshness", "parity"]
)
@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.CANNOT_TELL, Outcome.METRIC_MISSING])
def test_every_gate_has_a_way_out(gate: str, outcome: Outcome) -> None:
    said = after(verdict(gate, "click.rows", outcome))
    assert said.endswith(".")
    assert "promote" not in said.replace("Do not promote", "")


def test_with_nothing_to_judge_by_the_champion_stays() -> None:
    assert after(None) == "Keep the champion, and retrain when there is something to judge by."
