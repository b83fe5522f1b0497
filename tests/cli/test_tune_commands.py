"""`tune` asks for what was typed; out of reach is a no."""

from tasks.cli.program import parse
from tasks.cli.text import as_plain, as_text
from tasks.cli.tune_commands import write_tuning
from tests.tuning.tuning_documents import evidence


def test_the_number_of_trials_has_a_default_and_restoring_is_asked_for() -> None:
    call = parse(["tune", "home_feed", "--release", "3"])
    assert (call.arguments["trials"], call.arguments["seed"], call.arguments["restore"]) == (200, 0, False)
    assert parse(["tune", "home_feed", "--release", "3", "--restore"]).arguments["restore"]


def test_bounds_out_of_reach_are_a_verdict_that_says_no() -> None:
    command = parse(["tune", "home_feed", "--release", "3"]).command
    assert not command.passed({"ending": "out of reach"})
    assert command.passed({"ending": "nothing better"})


def test_a_proposal_is_told_with_what_it_gained_where_it_was_not_chosen() -> None:
    text = " ".join(as_text(write_tuning(as_plain(evidence().content()))).split())
    assert "release 2 against champion 1, candidates from 2026-01-01 to 2026-01-06" in text
    assert (
        "40 policies on 100 requests of half of the users, 3 confirmed on 110 requests of the other half"
        in text
    )
    assert "proposed: version 8, click 1 -> 2, hide -3 -> -6" in text
    assert "click_rate +2.4 % (+1.4 to +3.4) vs the current weights, by outcomes of the other half" in text
    assert "click_predicted, model-judged +4.8 % (+3.8 to +5.8) on the other half, +6.1% where it was" in text
    assert "click_predicted, model-judged hide_predicted (fall), model-judged" in text
    assert "guardrails on the other half: 1 pass" in text


def test_nothing_to_propose_is_told() -> None:
    found = evidence(ending="within bounds", proposal=None, front=(), exceeded={"hide_rate": 0.02})
    text = as_text(write_tuning(as_plain(found.content())))
    assert "every bound holds under the current weights" in text
    assert "exceeded by the current weights: hide_rate, by 2%" in text


def told(weights: dict[str, float]) -> str:
    plain = as_plain(evidence().content())
    return " ".join(
        as_text(write_tuning({**plain, "proposal": {**plain["proposal"], "weights": weights}})).split()
    )


def test_weights_have_three_digits_and_those_that_stay_are_not_told() -> None:
    assert "version 8, click 1 -> 1.23 click_rate +2.4 %" in told({"click": 1.2345, "hide": -3.0})
    assert "version 8, weights as now click_rate +2.4 %" in told({"click": 1.0001, "hide": -3.0})
