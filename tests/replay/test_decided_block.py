"""Of which entrants the predictions of every candidate are kept; what they decide is tested in test_stream."""

from tasks.replay.decided_block import BASELINE, POLICY, EntrantKey


def test_policies_that_are_judged_are_asked_for_every_candidate() -> None:
    judged = {key: key.judged for key in (POLICY, EntrantKey("others", "bold"), BASELINE)}
    assert judged == {POLICY: True, EntrantKey("others", "bold"): True, BASELINE: False}
    assert not EntrantKey("anchors", "stable").judged
