"""Tuned weights as people read them."""

from tasks.cli.output import as_plain, as_text
from tasks.cli.tune_text import write_tuning
from tests.replay.tuning.tuning_documents import evidence


def test_a_proposal_is_told_with_what_it_gained_where_it_was_not_chosen() -> None:
    text = " ".join(as_text(write_tuning(as_plain(evidence().content()))).split())
    assert "release 2 against champion 1, candidates from 2026-01-01 to 2026-01-06" in text
    assert "40 policies on 100 requests of half of the users, 3 confirmed on 110 of the other half" in text
    assert "proposed: version 8, click 1 -> 2, hide -3 -> -6" in text
    assert "+4.80% (+3.80% to +5.80%) where it was not chosen, +6.10% where it was" in text
    assert "guardrails on the other half: 1 pass" in text


def test_nothing_to_propose_is_told() -> None:
    found = evidence(ending="within bounds", proposal=None, front=(), exceeded={"hide_rate": 0.02})
    text = as_text(write_tuning(as_plain(found.content())))
    assert "every bound holds under the current weights" in text
    assert "exceeded by the current weights: hide_rate, by 2.0%" in text
