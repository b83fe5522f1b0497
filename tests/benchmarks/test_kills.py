"""Kills are dealt out among the commands, and ends that differ are named."""

import pytest

from benchmarks.killed.state import differences, state_digest
from benchmarks.kills import deal_kills


@pytest.mark.parametrize("kills", [0, 1, 6, 7, 200])
def test_every_kill_is_dealt_out_and_no_command_gets_many_more_than_another(kills: int) -> None:
    verbs = ("retrain", "promote", "rollback")
    dealt = [*deal_kills(verbs, kills)]
    by_verb = {verb: sum(here for name, here in dealt if name == verb) for verb in verbs}
    assert sum(by_verb.values()) == kills
    assert max(by_verb.values()) - min(by_verb.values()) <= 3
    assert all(1 <= here <= 3 for _, here in dealt)


def test_an_end_that_differs_is_told_by_what_differs() -> None:
    expected = {"labels": ["a", True], "aliases": {"champion": 1}, "audit": []}
    found = {**expected, "aliases": {"champion": 2}}
    assert differences(expected, expected) == []
    assert differences(expected, found) == ["aliases: {'champion': 1} -> {'champion': 2}"]
    assert state_digest(expected) != state_digest(found)
