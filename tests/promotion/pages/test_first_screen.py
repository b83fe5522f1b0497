"""The first screen: counts, the primary metric, what holds the release, the next step, harmed segments."""

import pytest

from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.pages.changes import Change
from tasks.promotion.pages.first_screen import FirstScreen, ReleaseHeader, first_screen, order_worst_first
from tasks.reports.phrases import phrase_verdict
from tests.reports.vocabularies import WORDS, rail, verdict

RISE = Threshold(high=0.1)
HARM = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE, segment=Segment("tenure", "new"))
DOUBT = rail("hide_rate", Outcome.INCONCLUSIVE, 0.05, 0.0, 0.2, allowed=RISE, holds=False)
FINE = verdict("data", "validation", Outcome.PASS)


def screen(*verdicts: Verdict, held: bool) -> FirstScreen:
    subject = ReleaseHeader("feed", 4, 3, "hold" if held else "promote")
    return first_screen(subject, verdicts, [Change("code", "the same", differs=False)], WORDS)


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
def test_eight_reasons_are_listed_and_the_others_counted(count: int) -> None:
    rows = [verdict("data", f"task{n}.rows", Outcome.BLOCK, 9, 9, 9, threshold=">= 10") for n in range(count)]
    first = screen(FINE, *rows, held=True)
    assert (len(first.holding), first.more_holding) == (min(count, 8), max(count - 8, 0))


@pytest.mark.parametrize("count", [0, 8, 30])
def test_eight_harmed_segments_are_named_and_the_others_counted(count: int) -> None:
    rows = [
        rail("hide_rate", Outcome.WARN, 0.3, 0.2, 0.4, allowed=RISE, segment=Segment("tenure", str(n)))
        for n in range(count)
    ]
    first = screen(*rows, held=False)
    assert (len(first.harmed), first.more_harmed) == (min(count, 8), max(count - 8, 0))


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
    subject = ReleaseHeader("feed", 4, 3, "promote")
    first = first_screen(subject, [FINE], [Change(of, "another", differs=differs)], WORDS)
    assert first.next_step.startswith("It changes what is decided") is asks
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


def test_what_may_never_be_shown_comes_before_the_primary() -> None:
    primary = rail("observed_utility", Outcome.BLOCK, -0.3, -0.4, -0.2, allowed=RISE)
    leak = verdict("constraints", "legal", Outcome.BLOCK, 3, 3, 3)
    assert order_worst_first([primary, leak], WORDS) == [leak, primary]


def test_a_broken_bound_comes_before_what_cannot_be_told_and_that_before_a_warning() -> None:
    unknown = rail("observed_utility", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=RISE, holds=True)
    warned = rail("observed_utility", Outcome.WARN, 0.3, 0.2, 0.4, allowed=RISE)
    broken = rail("coverage", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE)
    assert order_worst_first([warned, unknown, broken], WORDS) == [broken, unknown, warned]


def test_a_inconclusive_that_only_warns_comes_after_one_that_holds() -> None:
    warns = rail("observed_utility", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=RISE, holds=False)
    holds = rail("coverage", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=RISE, holds=True)
    assert order_worst_first([warns, holds], WORDS) == [holds, warns]


def test_the_whole_comes_before_its_segments_and_what_passes_is_not_told() -> None:
    new = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE, segment=Segment("tenure", "new"))
    whole = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE)
    passed = rail("hide_rate", Outcome.PASS, 0.0, -0.1, 0.05, allowed=RISE)
    assert order_worst_first([passed, new, whole], WORDS) == [whole, new]
