"""The first screen: counts, the primary metric, what holds the release, the next step, harmed segments."""

from dataclasses import replace

import pytest

from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import ALL, Segment, Threshold
from tasks.evaluation.verdicts import Outcome, Power, Verdict
from tasks.promotion.pages.changes import Change
from tasks.promotion.pages.first_screen import FirstScreen, first_screen, order_worst_first, say_next
from tasks.replay.compared import BIASED
from tasks.replay.metrics import REORDERING
from tasks.reports.phrases import phrase_verdict
from tests.reports.vocabularies import WORDS, rail, verdict

RISE = Threshold(high=0.1)
HARM = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE, segment=Segment("tenure", "new"))
DOUBT = rail("hide_rate", Outcome.INCONCLUSIVE, 0.05, 0.0, 0.2, allowed=RISE, holds=False)
FINE = verdict("data", "validation", Outcome.PASS)


SAME = Change("code", "the same", differs=False)


def screen(*verdicts: Verdict, held: bool, change: Change = SAME) -> FirstScreen:
    verdict = "hold" if held else "promote"
    evidence = GateEvidence.model_construct(surface="feed", release=4, verdict=verdict, gates=verdicts)
    return first_screen(evidence, 3, [change], WORDS)


def test_a_held_release_counts_and_lists_what_holds_it() -> None:
    missing = verdict("decision", "buy_rate", Outcome.METRIC_MISSING)
    first = screen(FINE, DOUBT, HARM, missing, held=True)
    assert first.sentence == (
        "Held by 1 block, 1 not measured. 4 verdicts: 1 block, 1 not measured, 1 inconclusive, 1 pass."
    )
    assert first.holding == (phrase_verdict(missing, WORDS),)
    assert first.harmed == (phrase_verdict(HARM, WORDS),)
    assert first.next_step.startswith("Do not promote.")


def test_a_release_that_nothing_holds_counts_its_verdicts() -> None:
    first = screen(FINE, DOUBT, held=False)
    assert first.sentence == "No verdict holds it. 2 verdicts: 1 inconclusive, 1 pass."
    assert (first.holding, first.harmed) == ((), ())


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.BLOCK])
def test_the_primary_metric_stands_first_and_only_once(outcome: Outcome) -> None:
    worth = rail("observed_utility", outcome, 0.057, 0.01, 0.1, allowed=Threshold(low=-0.05))
    first = screen(FINE, worth, DOUBT, held=outcome is Outcome.BLOCK)
    assert first.primary == (phrase_verdict(worth, WORDS),)
    assert first.holding == ()
    assert screen(FINE, held=False).primary == ()


def test_no_verdict_and_no_pass_are_reported() -> None:
    assert screen(held=True).sentence == "No gate was evaluated."
    unruled = verdict("shadow", "overlap_at_k", Outcome.NO_RULE)
    assert screen(unruled, held=True).sentence == (
        "Held: no verdict is a pass. 1 verdict: 1 with no limit set."
    )


@pytest.mark.parametrize("count", [0, 8, 30])
def test_eight_reasons_and_eight_harmed_segments_are_named_and_the_others_counted(count: int) -> None:
    shown = (min(count, 8), max(count - 8, 0))
    held = screen(FINE, *(verdict("data", f"t{n}.rows", Outcome.BLOCK) for n in range(count)), held=True)
    assert (len(held.holding), held.more_holding) == shown
    harmed = [replace(HARM, segment=Segment("tenure", str(n)), outcome=Outcome.WARN) for n in range(count)]
    first = screen(*harmed, held=False)
    assert (len(first.harmed), first.more_harmed) == shown


@pytest.mark.parametrize(
    ("of", "differs", "asks"),
    [
        ("policy", True, True),
        ("slate", True, True),
        ("tasks", True, True),
        ("policy", False, False),
        ("data", True, False),
    ],
)
def test_a_changed_policy_asks_for_an_experiment_or_a_reason(of: str, differs: bool, asks: bool) -> None:
    first = screen(FINE, held=False, change=Change(of, "another", differs=differs))
    assert first.next_step.startswith("It changes tasks or policies") is asks
    assert "feed__promote" in first.next_step


def test_where_no_segment_is_harmed_it_says_of_how_many_that_is_not_known() -> None:
    def at(segment: Segment, outcome: Outcome) -> Verdict:
        return rail("hide_rate", outcome, 0.0, -0.1, 0.2, allowed=RISE, segment=segment, holds=False)

    assert screen(FINE, DOUBT, held=False).unharmed == "No segment was evaluated."
    known = at(Segment("tenure", "new"), Outcome.PASS)
    assert screen(known, held=False).unharmed == "No segment is harmed beyond its limit."
    assert screen(known, at(Segment("tenure", "old"), Outcome.INCONCLUSIVE), held=False).unharmed == (
        "No segment is harmed beyond its limit. 1 of 2 evaluated segments have inconclusive verdicts."
    )


def test_the_primary_comes_before_costs_safety_other_guardrails_and_other_gates() -> None:
    subjects = ["coverage", "report_rate", "hide_rate", "observed_utility"]
    rails = [rail(subject, Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE) for subject in subjects]
    told = order_worst_first([verdict("model", "click.auc", Outcome.BLOCK), *rails], WORDS)
    assert [str(one.subject) for one in told] == [
        "observed_utility",
        "hide_rate",
        "report_rate",
        "coverage",
        "click.auc",
    ]


def whole(name: str, outcome: Outcome, *, holds: bool | None = None, of: Segment = ALL) -> Verdict:
    return rail(name, outcome, 0.0, -0.2, 0.2, allowed=RISE, segment=of, holds=holds)


BROKEN, UNTOLD = whole("coverage", Outcome.BLOCK), whole("coverage", Outcome.INCONCLUSIVE, holds=True)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (verdict("constraints", "legal", Outcome.BLOCK, 3, 3, 3), whole("observed_utility", Outcome.BLOCK)),
        (BROKEN, whole("observed_utility", Outcome.INCONCLUSIVE, holds=True)),
        (UNTOLD, whole("observed_utility", Outcome.WARN)),
        (UNTOLD, whole("observed_utility", Outcome.INCONCLUSIVE, holds=False)),
        (whole("hide_rate", Outcome.BLOCK), whole("hide_rate", Outcome.BLOCK, of=Segment("tenure", "new"))),
    ],
    ids=[
        "what may never be shown before the primary",
        "a broken bound before what is inconclusive",
        "what is inconclusive before a warning",
        "inconclusive that holds before one that only warns",
        "the whole before its segments",
    ],
)
def test_the_worse_comes_first_and_what_passes_is_not_told(first: Verdict, then: Verdict) -> None:
    assert order_worst_first([whole("hide_rate", Outcome.PASS), then, first], WORDS) == [first, then]


UNKNOWN = rail("hide_rate", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=Threshold(high=0.1))


def after(worst: Verdict | None, *, held: bool = True, first: bool = False) -> str:
    return say_next(worst, surface="feed", release=3, held=held, first=first)


def test_a_release_that_nothing_holds_is_put_before_its_reviewers() -> None:
    for worst in (None, UNKNOWN):
        assert after(worst, held=False).startswith("Request its promotion: trigger feed__promote")


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
    doubted = replace(UNKNOWN, caveat="no propensity is logged", power=Power(0.2, 7, 41))
    assert after(doubted).startswith("More days of this log cannot decide it")
    assert "log with each shown item the probability of its place" in after(replace(doubted, caveat=BIASED))


def test_a_reordering_is_sent_to_the_log_and_where_it_may_to_the_canary() -> None:
    reordered = replace(UNKNOWN, caveat=REORDERING, holds=True)
    assert after(reordered).endswith("Keep what serves now meanwhile.")
    assert "shown_is_all: true" in after(reordered)
    canary = replace(reordered, holds="champion")
    assert after(canary).endswith("type equipoise promote feed 3 --stage canary --why ...")
    assert "canary" not in after(canary, first=True)


def test_what_could_not_be_measured_is_no_matter_of_other_weights() -> None:
    said = after(verdict("decision", "hide_rate", Outcome.METRIC_MISSING))
    assert said == "Fix the log or the contract so that it can be measured; keep the champion meanwhile."


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING])
def test_before_there_is_a_champion_nobody_is_told_to_keep_it(outcome: Outcome) -> None:
    said = after(replace(UNKNOWN, outcome=outcome), first=True)
    assert "what serves now" in said
    assert "champion" not in said


def test_the_command_of_a_changed_policy_names_its_support() -> None:
    said = say_next(None, surface="feed", release=3, held=False, asks_support=True)
    assert said.endswith("type equipoise promote feed 3 --experiment ... --why ...")


def test_with_nothing_to_judge_by_the_champion_stays() -> None:
    assert after(None) == "Keep the champion, and retrain when there is something to evaluate."
