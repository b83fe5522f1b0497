"""A small surface's words, and verdicts on it."""

from tasks.contracts import Family
from tasks.evaluation.verdicts import Bounds, Estimate, Outcome, Verdict
from tasks.reports.words import TaskWords, Vocabulary

WORDS = Vocabulary(
    tasks={
        "click": TaskWords("opened it"),
        "buy": TaskWords("bought it", Family.CONVERSION),
        "hide": TaskWords("hid it", Family.NEGATIVE),
        "report": TaskWords("reported it", Family.SAFETY),
        "spend": TaskWords("paid for it", Family.CONVERSION, value=True),
        "odd": TaskWords(),
    },
    columns=("source", "tenure"),
    constraints={"legal": "items nobody may sell"},
    primary="observed_utility",
    baseline="champion 3",
    inconclusive="warn",
)


def rail(
    subject: str,
    outcome: Outcome,
    *seen: float,
    allowed: Bounds | None,
    segment: str = "all",
    relative: bool = True,
    holds: bool | None = None,
) -> Verdict:
    """Return a verdict on a metric of the decision, of value, low and high."""
    value, low, high = seen
    return Verdict(
        "decision",
        subject,
        segment,
        outcome,
        "as declared",
        Estimate(value, low, high, 900),
        relative=relative,
        holds=holds,
        allowed=allowed,
    )


def verdict(gate: str, subject: str, outcome: Outcome, *seen: float, threshold: str = "<= 1") -> Verdict:
    """Return a verdict of another gate; without a figure where none is given."""
    observed = None
    if seen:
        value, low, high = seen
        observed = Estimate(value, low, high, 900)
    return Verdict(gate, subject, "all", outcome, threshold, observed)
