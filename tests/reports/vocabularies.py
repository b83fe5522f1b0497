"""A small surface's words, and verdicts on it."""

from tasks.contracts import Family
from tasks.evaluation.subjects import ALL, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.reports.phrases import TaskWords, Vocabulary
from tests.verdicts import bound, subject

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
    primary=("observed_utility",),
    baseline="champion 3",
    inconclusive="warn",
)


def rail(
    name: str,
    outcome: Outcome,
    *seen: float,
    allowed: Threshold,
    segment: Segment = ALL,
    relative: bool = True,
    holds: bool | None = None,
) -> Verdict:
    """Return a verdict on a metric of the decision, of value, low and high."""
    value, low, high = seen
    return Verdict(
        "decision",
        subject(name),
        segment,
        outcome,
        allowed,
        Estimate(value, low, high, 900),
        relative=relative,
        holds=holds,
    )


def verdict(
    gate: str, name: str | Subject, outcome: Outcome, *seen: float, threshold: str = "<= 1"
) -> Verdict:
    """Return a verdict of another gate; without a figure where none is given."""
    observed = None
    if seen:
        value, low, high = seen
        observed = Estimate(value, low, high, 900)
    judged = subject(name) if isinstance(name, str) else name
    return Verdict(gate, judged, ALL, outcome, bound(threshold), observed)
