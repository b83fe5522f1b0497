"""`tune` asks for what was typed; out of reach is a no."""

from tasks.cli.program import parse


def test_the_number_of_trials_has_a_default_and_restoring_is_asked_for() -> None:
    call = parse(["tune", "home_feed", "--release", "3"])
    assert (call.arguments["trials"], call.arguments["seed"], call.arguments["restore"]) == (200, 0, False)
    assert parse(["tune", "home_feed", "--release", "3", "--restore"]).arguments["restore"]


def test_bounds_out_of_reach_are_a_verdict_that_says_no() -> None:
    command = parse(["tune", "home_feed", "--release", "3"]).command
    assert not command.passed({"ending": "out of reach"})
    assert command.passed({"ending": "nothing better"})
