"""Verdicts become one decision, and whatever holds a release is said in a line."""

from dataclasses import replace
from typing import Literal

import pytest

from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.decision import GateDecision, decide_release, explain_verdict
from tests.verdicts import bound, subject

PASSED = Verdict("data", subject("validation"), ALL, Outcome.PASS, bound(""), None)


def test_inconclusive_holds_unless_declared_a_warning() -> None:
    verdict = Verdict(
        "data", subject("click.rows"), ALL, Outcome.INCONCLUSIVE, bound(">= 10"), None, "3 rows"
    )
    assert decide_release([PASSED, verdict], inconclusive="hold").verdict == "hold"
    assert decide_release([PASSED, verdict], inconclusive="warn") == GateDecision(
        warnings=(explain_verdict(verdict),)
    )


@pytest.mark.parametrize("declared", ["hold", "warn"])
def test_a_verdict_with_a_rule_of_its_own_decides_by_it(declared: Literal["hold", "warn"]) -> None:
    primary = Verdict(
        "decision", subject("observed_utility"), ALL, Outcome.INCONCLUSIVE, bound(""), None, holds=True
    )
    cost = Verdict("decision", subject("hide_rate"), ALL, Outcome.INCONCLUSIVE, bound(""), None, holds=False)
    assert decide_release([PASSED, primary], inconclusive=declared).verdict == "hold"
    assert decide_release([PASSED, cost], inconclusive=declared) == GateDecision(
        warnings=(explain_verdict(cost),)
    )


def test_what_keeps_a_release_from_being_champion_alone_permits_a_canary_unless_more_holds_it() -> None:
    reordered = Verdict(
        "decision",
        subject("observed_utility"),
        ALL,
        Outcome.INCONCLUSIVE,
        bound(""),
        None,
        holds="champion",
    )
    cost = Verdict("decision", subject("hide_rate"), ALL, Outcome.INCONCLUSIVE, bound(""), None, holds=True)
    held, more = (
        decide_release([PASSED, *each], inconclusive="warn") for each in ([reordered], [reordered, cost])
    )
    assert held.verdict == "hold"
    assert more.verdict == "hold"
    assert (held.canary_permitted, more.canary_permitted) == (True, False)
    blocked = decide_release([replace(reordered, outcome=Outcome.BLOCK)], inconclusive="warn")
    assert blocked.verdict == "hold"
    assert not blocked.canary_permitted


def test_a_release_of_which_nothing_could_be_told_is_held() -> None:
    verdict = Verdict("data", subject("click.rows"), ALL, Outcome.INCONCLUSIVE, bound(""), None)
    decision = decide_release([verdict], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.reasons == ("every verdict is inconclusive or has no limit: none is a pass",)


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.METRIC_MISSING])
def test_a_block_and_a_missing_metric_always_hold(outcome: Outcome) -> None:
    verdict = Verdict("decision", subject("x"), ALL, outcome, bound(""), None)
    assert decide_release([verdict], inconclusive="warn").verdict == "hold"


def test_what_leaks_is_said_before_a_harmed_segment() -> None:
    harmed = Verdict(
        "decision", subject("hide_rate"), Segment("tenure", "new"), Outcome.BLOCK, bound(""), None
    )
    leak = Verdict("constraints", subject("legal"), ALL, Outcome.BLOCK, bound(""), None)
    decision = decide_release([PASSED, harmed, leak], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.reasons == (explain_verdict(leak), explain_verdict(harmed))


def test_where_no_gate_was_judged_the_release_is_held() -> None:
    assert decide_release([], inconclusive="warn") == GateDecision(("no gate was evaluated",), ())


def test_a_held_release_names_what_holds_it_apart_from_what_only_warns() -> None:
    blocked = Verdict("model", subject("click.auc"), ALL, Outcome.BLOCK, bound(">= 0.55"), None)
    warned = Verdict("data", subject("buy.trained"), ALL, Outcome.WARN, bound(""), None)
    passed = Verdict("data", subject("click.rows"), ALL, Outcome.PASS, bound(""), None)
    decision = decide_release([passed, warned, blocked], inconclusive="hold")
    assert decision == GateDecision(
        ("model: AUC of click (at least 0.55): block",), ("data: training of buy: warning",)
    )


def test_a_share_of_a_baseline_is_told_in_percent_with_its_segment_and_reason() -> None:
    rise = Estimate(0.05, 0.01, 0.09, 900)
    verdict = Verdict(
        "decision",
        subject("hide_rate"),
        Segment("tenure", "new"),
        Outcome.WARN,
        bound("rise of 2.0%"),
        rise,
        "evaluated by 1",
        relative=True,
    )
    assert explain_verdict(verdict) == (
        "decision: hide rate, tenure = new: +5.0 % vs baseline (95 % CI +1.0 to +9.0 %; limit +2 %): warning, "
        "evaluated by 1"
    )


def test_a_harmed_segment_is_the_first_reason() -> None:
    primary = Verdict(
        "decision", subject("observed_utility"), ALL, Outcome.INCONCLUSIVE, bound(""), None, holds=True
    )
    harmed = Verdict(
        "decision", subject("hide_rate"), Segment("tenure", "new"), Outcome.BLOCK, bound(""), None
    )
    warned = Verdict(
        "decision", subject("hide_rate"), Segment("tenure", "old"), Outcome.WARN, bound(""), None
    )
    uncertain = Verdict("data", subject("click.rows"), ALL, Outcome.WARN, bound(""), None)
    decision = decide_release([primary, uncertain, harmed, warned], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.reasons == (explain_verdict(harmed), explain_verdict(primary))
    assert decision.warnings[0] == explain_verdict(warned)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.INCONCLUSIVE, "inconclusive"),
        (Outcome.METRIC_MISSING, "not measured"),
        (Outcome.PASS, "pass"),
    ],
)
def test_people_read_words_and_documents_hold_codes(outcome: Outcome, words: str) -> None:
    verdict = Verdict("decision", subject("hide_rate"), ALL, outcome, bound(""), None)
    assert explain_verdict(verdict) == f"decision: hide rate: {words}"
    assert verdict.to_json()["outcome"] == outcome.value


def test_a_segment_that_is_read_from_right_to_left_moves_no_figure() -> None:
    hebrew = "\u05e0\u05e2\u05dc"
    seen = Estimate(0.3, 0.2, 0.4, 90)
    told = Verdict(
        "decision",
        subject("hide_rate"),
        Segment("kind", str(hebrew)),
        Outcome.BLOCK,
        bound(""),
        seen,
        relative=True,
    )
    assert explain_verdict(told) == (
        f"decision: hide rate, kind = \u2068{hebrew}\u2069: +30.0 % vs baseline (95 % CI +20.0 to +40.0 %): block"
    )
