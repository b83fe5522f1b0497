"""The first screen: one sentence, what to do, what changed, the bounds and who is harmed."""

import pytest

from tasks.evaluation.subjects import Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.pages.changes import Change
from tasks.promotion.pages.first_screen import FirstScreen, Subject, first_screen
from tests.reports.vocabularies import WORDS, rail, verdict

RISE = Threshold(high=0.1)
HARM = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE, segment="tenure=new")
DOUBT = rail("hide_rate", Outcome.INCONCLUSIVE, 0.05, 0.0, 0.2, allowed=RISE, holds=False)
FINE = verdict("data", "validation", Outcome.PASS)


def screen(*verdicts: Verdict, held: bool) -> FirstScreen:
    subject = Subject("feed", 4, 3, "hold" if held else "promote")
    return first_screen(subject, verdicts, [Change("code", "the same", differs=False)], WORDS)


def test_a_held_release_says_why_with_its_worst_verdict() -> None:
    first = screen(FINE, DOUBT, HARM, held=True)
    assert first.sentence.startswith(
        "Where tenure is new, of what it puts into the slots, people hid it 30% more"
    )
    assert first.next_step.startswith("Do not promote.")
    assert first.harmed == (first.sentence,)


def test_a_release_that_nothing_holds_says_how_much_passed_and_what_is_most_doubtful() -> None:
    first = screen(FINE, DOUBT, held=False)
    assert first.sentence.startswith(
        "No gate holds it: 1 of 2 verdicts pass. The most doubtful: Of what it puts"
    )
    assert first.harmed == ()
    assert screen(FINE, held=False).sentence == "Nothing is worse than it may be."


def test_what_its_slots_are_worth_stands_before_the_most_doubtful() -> None:
    worth = rail("observed_utility", Outcome.PASS, 0.057, 0.01, 0.1, allowed=Threshold(low=-0.05))
    first = screen(FINE, worth, DOUBT, held=False)
    assert first.sentence.startswith(
        "No gate holds it: 2 of 3 verdicts pass. What its slots are worth, by the outcomes that were seen, is "
        "5.7% higher than under champion 3; a fall of 5% is allowed. The most doubtful: Of what it puts"
    )
    assert screen(FINE, worth, held=False).sentence.count("slots are worth") == 0


def test_nothing_to_say_is_said() -> None:
    assert screen(held=True).sentence == "No gate has judged it."
    unruled = verdict("shadow", "overlap_at_k", Outcome.NO_RULE)
    assert screen(unruled, held=True).sentence == "Nothing could be told: no verdict is a pass."


@pytest.mark.parametrize("count", [0, 8, 30])
def test_eight_harmed_segments_are_named_and_the_others_counted(count: int) -> None:
    rows = [
        rail("hide_rate", Outcome.WARN, 0.3, 0.2, 0.4, allowed=RISE, segment=f"tenure={n}")
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
    subject = Subject("feed", 4, 3, "promote")
    first = first_screen(subject, [FINE], [Change(of, "another", differs=differs)], WORDS)
    assert first.next_step.startswith("It changes what is decided") is asks
    assert "feed__promote" in first.next_step


def test_a_release_that_is_held_for_several_reasons_says_how_many() -> None:
    loss = rail("click_rate", Outcome.BLOCK, -0.3, -0.4, -0.2, allowed=Threshold(low=-0.1))
    missing = verdict("decision", "buy_rate", Outcome.METRIC_MISSING)
    assert screen(FINE, HARM, loss, held=True).sentence.endswith(" 1 more verdict holds it too.")
    assert screen(FINE, HARM, loss, missing, DOUBT, held=True).sentence.endswith(
        " 2 more verdicts hold it too."
    )
    assert "too" not in screen(FINE, HARM, DOUBT, held=True).sentence, "a warning holds nothing"


def test_where_no_segment_is_harmed_it_says_of_how_many_that_is_not_known() -> None:
    def at(segment: str, outcome: Outcome) -> Verdict:
        return rail("hide_rate", outcome, 0.0, -0.1, 0.2, allowed=RISE, segment=segment, holds=False)

    assert screen(FINE, DOUBT, held=False).unharmed == "No segment was judged."
    known = at("tenure=new", Outcome.PASS)
    assert screen(known, held=False).unharmed == "No segment is shown to be harmed."
    assert screen(known, at("tenure=old", Outcome.INCONCLUSIVE), held=False).unharmed == (
        "No segment is shown to be harmed. In 1 of the 2 that were judged something cannot be told."
    )
