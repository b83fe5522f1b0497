"""The page of one segment: its own verdicts, and nothing of another segment or of the whole."""

import pytest

from tasks.errors import ContractError
from tasks.evaluation.subjects import ALL, Segment, Threshold
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.pages.segment_page import write_segment_page
from tests.reports.vocabularies import WORDS, rail

OURS, THEIRS = Segment("tenant", "aurora"), Segment("tenant", "dune")
RISE = Threshold(high=0.1)
VERDICTS = [
    rail("hide_rate", Outcome.PASS, 0.011, -0.02, 0.04, allowed=RISE, segment=OURS),
    rail("hide_rate", Outcome.BLOCK, 0.333, 0.2, 0.4, allowed=RISE, segment=THEIRS),
    rail("hide_rate", Outcome.INCONCLUSIVE, 0.055, 0.0, 0.2, allowed=RISE, segment=ALL, holds=False),
]


def test_it_holds_the_figures_of_the_segment_alone() -> None:
    page = write_segment_page("desk release 3", OURS, VERDICTS, WORDS)
    assert "desk release 3: tenant aurora" in page
    assert "1 verdict: 1 pass" in page
    assert "hide rate +1.1 % vs champion 3 (95 % CI -2.0 to +4.0 %; limit +10 %): pass" in page
    assert not any(word in page for word in ("dune", "33.3", "5.5 %", "held"))


def test_a_segment_that_was_not_judged_is_an_error() -> None:
    with pytest.raises(
        ContractError, match=r"Unknown segment 'tenant=dawn' in the verdicts\. Known: tenant="
    ):
        write_segment_page("desk release 3", Segment("tenant", "dawn"), VERDICTS, WORDS)
