"""Reasons in the words of the surface: a sentence, and the names of what was judged."""

from dataclasses import replace

from tasks.evaluation.subjects import Threshold
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.decision import explain_verdict
from tasks.promotion.pages.reasons import Reason, say_reasons
from tasks.promotion.pages.sentences import say_verdict
from tests.reports.vocabularies import WORDS, rail, verdict

RAIL = rail(
    "hide_rate", Outcome.INCONCLUSIVE, 0.05, 0.0, 0.2, allowed=Threshold(high=0.1), segment="tenure=new"
)


def test_a_line_of_a_verdict_becomes_its_sentence_with_its_names() -> None:
    judged = replace(RAIL, reason="ten events")
    (reason,) = say_reasons([explain_verdict(judged)], [verdict("data", "rows", Outcome.PASS), judged], WORDS)
    assert reason.sentence == say_verdict(judged, WORDS)
    assert reason.names == "decision inconclusive: hide_rate at tenure=new; ten events"
    assert reason.line == f"{reason.sentence} ({reason.names})"


def test_a_reason_that_the_sentence_says_is_not_said_again() -> None:
    judged = replace(verdict("shadow", "latency", Outcome.METRIC_MISSING), reason="no clock")
    (reason,) = say_reasons([explain_verdict(judged)], [judged], WORDS)
    assert "no clock" in reason.sentence
    assert reason.names == "shadow metric missing: latency"


def test_a_line_that_is_of_no_verdict_stays_in_its_place() -> None:
    lines = ["loosened since then: rows", explain_verdict(RAIL), "nothing could be told"]
    assert [reason.line for reason in say_reasons(lines, [RAIL], WORDS)][::2] == lines[::2]
    assert say_reasons(lines[:1], [], WORDS) == [Reason(lines[0])]
