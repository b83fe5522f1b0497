"""Policies of a replay, in the form in which other processes receive them."""

from dataclasses import replace

from tasks.contracts import canonical, load_surface
from tasks.replay.entrants import EntrantVersions
from tests.feeds.mini import NAME, SURFACES


def test_entrants_are_read_as_they_were_written_but_for_prose() -> None:
    policy = load_surface(SURFACES, NAME).utility
    bold = policy.model_copy(update={"version": policy.version + 1})
    entrants = EntrantVersions(3, 1, None, {"stable": 2, "four promotions ago": 1}, {"z": bold, "a": policy})
    read = EntrantVersions.from_json(entrants.to_json())
    assert replace(read, others={}) == replace(entrants, others={})
    assert [*read.others] == ["z", "a"]
    assert [canonical(one) for one in read.others.values()] == [canonical(bold), canonical(policy)]
