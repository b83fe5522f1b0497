"""What an approver reads first: the verdict, why, what to do, what changed, the bounds, who is harmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import holds_release
from tasks.promotion.pages.changes import POLICY_ROWS, Change
from tasks.promotion.pages.next_steps import say_next
from tasks.promotion.pages.rails import Rail, draw_rails
from tasks.promotion.pages.sentences import say_verdict
from tasks.promotion.pages.worst_first import order_worst_first
from tasks.reports.words import Vocabulary

_MOST_HARMED = 8
_UNTOLD = frozenset({Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING})
_UNHARMED = "No segment is shown to be harmed."


@dataclass(frozen=True)
class Subject:
    """Whose first screen it is: the release, the champion that it stands beside, and the gates' decision."""

    surface: str
    release: int
    champion: int | None
    verdict: Literal["promote", "hold"]


@dataclass(frozen=True)
class FirstScreen:
    """What is read in two minutes.

    ``more_harmed`` counts the segments beyond those that are named; ``unharmed`` is said where none is.
    """

    verdict: Literal["promote", "hold"]
    sentence: str
    next_step: str
    changes: tuple[Change, ...]
    rails: tuple[Rail, ...]
    harmed: tuple[str, ...]
    more_harmed: int
    unharmed: str = _UNHARMED


def first_screen(
    subject: Subject, verdicts: Sequence[Verdict], changes: Sequence[Change], words: Vocabulary
) -> FirstScreen:
    """Gather the first screen of a release.

    Parameters
    ----------
    verdicts : of every gate.
    changes : against the champion.
    """
    worst = next(iter(order_worst_first(verdicts, words)), None)
    held = subject.verdict == "hold"
    harmed = [verdict for verdict in order_worst_first(verdicts, words) if verdict.harms_segment]
    return FirstScreen(
        verdict=subject.verdict,
        sentence=_say_why(worst, verdicts, words, held=held),
        next_step=say_next(
            worst,
            surface=subject.surface,
            release=subject.release,
            held=held,
            asks_support=any(change.differs and change.of in POLICY_ROWS for change in changes),
            first=subject.champion is None,
        ),
        changes=tuple(changes),
        rails=tuple(draw_rails(verdicts, words)),
        harmed=tuple(say_verdict(verdict, words) for verdict in harmed[:_MOST_HARMED]),
        more_harmed=max(len(harmed) - _MOST_HARMED, 0),
        unharmed=_say_unharmed(verdicts),
    )


def _say_why(worst: Verdict | None, verdicts: Sequence[Verdict], words: Vocabulary, *, held: bool) -> str:
    if not verdicts:
        return "No gate has judged it."
    if worst is None:
        return (
            "Nothing is worse than it may be." if not held else "Nothing could be told: no verdict is a pass."
        )
    if held:
        others = sum(holds_release(verdict, words.inconclusive) for verdict in verdicts) - 1
        more = f" {others} more verdict{'s hold' if others > 1 else ' holds'} it too." if others > 0 else ""
        return f"{say_verdict(worst, words)}{more}"
    passed = sum(verdict.outcome is Outcome.PASS for verdict in verdicts)
    primary = next((v for v in verdicts if str(v.subject) == words.primary and v.segment == ALL), None)
    sentences = [f"No gate holds it: {passed} of {len(verdicts)} verdicts pass."]
    if primary is not None and primary != worst:
        sentences.append(say_verdict(primary, words))
    return " ".join((*sentences, f"The most doubtful: {say_verdict(worst, words)}"))


def _say_unharmed(verdicts: Sequence[Verdict]) -> str:
    """Say that no segment is harmed, and of how many that is not known."""
    judged = {verdict.segment for verdict in verdicts} - {ALL}
    untold = {verdict.segment for verdict in verdicts if verdict.outcome in _UNTOLD} - {ALL}
    if not judged:
        return "No segment was judged."
    if not untold:
        return _UNHARMED
    return f"{_UNHARMED} In {len(untold)} of the {len(judged)} that were judged something cannot be told."
