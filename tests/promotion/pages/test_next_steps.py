"""What to do next follows from the worst verdict."""

from dataclasses import replace

import pytest

from tasks.evaluation.subjects import Threshold
from tasks.evaluation.verdicts import Outcome, Power, Verdict
from tasks.promotion.pages.next_steps import say_next
from tasks.replay.compared import BIASED
from tasks.replay.metrics import REORDERING
from tests.reports.vocabularies import rail, verdict

UNKNOWN = rail("hide_rate", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=Threshold(high=0.1))


def after(worst: Verdict | None, *, held: bool = True, first: bool = False) -> str:
    return say_next(worst, surface="feed", release=3, held=held, first=first)


def test_a_release_that_nothing_holds_is_put_before_its_reviewers() -> None:
    for worst in (None, UNKNOWN):
        assert after(worst, held=False).startswith("Put it before its reviewers: trigger feed__promote")


def test_the_lever_is_named_with_its_size_where_more_days_decide() -> None:
    advice = after(replace(UNKNOWN, power=Power(0.2, 7, 41)))
    assert advice.startswith("Lengthen `split.test` from 7 to about 41 days")
    never = after(replace(UNKNOWN, power=Power(0.2, 7, never=True)))
    assert never.startswith("No number of test days decides it at this traffic")
    years = after(replace(UNKNOWN, power=Power(0.2, 7, 10_631)))
    assert years.startswith("At this traffic more than a year of test days would be needed")
    for power in (None, Power(0.2), Power(0.2, 7, 3)):
        assert after(replace(UNKNOWN, power=power)).startswith("These data cannot decide it")


@pytest.mark.parametrize(
    "gate",
    ["constraints", "data", "model", "inputs", "calibration", "decision", "shadow", "freshness", "parity"],
)
@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING])
def test_every_gate_has_a_way_out(gate: str, outcome: Outcome) -> None:
    said = after(verdict(gate, "click.rows", outcome))
    assert said.endswith(".")
    assert "promote" not in said.replace("Do not promote", "")


def test_no_wait_is_proposed_for_what_this_log_can_never_tell() -> None:
    doubted = replace(UNKNOWN, doubt="no propensity is logged", power=Power(0.2, 7, 41))
    assert after(doubted).startswith("More days of this log cannot decide it")
    assert "log with each shown item the probability of its place" in after(replace(doubted, doubt=BIASED))


def test_a_reordering_is_sent_to_the_log_and_where_it_may_to_the_canary() -> None:
    reordered = replace(UNKNOWN, doubt=REORDERING, holds=True)
    assert after(reordered).endswith("Keep what serves now meanwhile.")
    assert "shown_is_all: true" in after(reordered)
    canary = replace(reordered, holds="champion")
    assert after(canary).endswith("type equipoise promote feed 3 --stage canary --why ...")
    assert "canary" not in after(canary, first=True)


def test_what_could_not_be_measured_is_no_matter_of_other_weights() -> None:
    said = after(verdict("decision", "hide_rate", Outcome.METRIC_MISSING))
    assert said == "Mend the log or the contract, so that it can be measured; keep the champion meanwhile."


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING])
def test_before_there_is_a_champion_nobody_is_told_to_keep_it(outcome: Outcome) -> None:
    said = after(replace(UNKNOWN, outcome=outcome), first=True)
    assert "what serves now" in said
    assert "champion" not in said


def test_the_command_of_a_changed_policy_names_its_support() -> None:
    said = say_next(None, surface="feed", release=3, held=False, asks_support=True)
    assert said.endswith("type equipoise promote feed 3 --experiment ... --why ...")


def test_with_nothing_to_judge_by_the_champion_stays() -> None:
    assert after(None) == "Keep the champion, and retrain when there is something to judge by."
