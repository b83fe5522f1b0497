"""All verdicts as one table that is filtered by gate and outcome without a script.

Gates are numbered, and each row carries its gate's number: what a name holds never enters a style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.evaluation.verdicts import WORST_FIRST, Outcome, Verdict
from tasks.promotion.pages.lineage import MlflowPages
from tasks.reports.phrases import phrase_verdict
from tasks.reports.words import Vocabulary


@dataclass(frozen=True)
class VerdictRow:
    """A verdict, its sentence, its gate's number, and the address of the run behind it."""

    verdict: Verdict
    sentence: str
    gate: int
    address: str


@dataclass(frozen=True)
class VerdictTable:
    """What is looked at and what passed, with the gates and outcomes that there are, and how many of each."""

    looked_at: Sequence[VerdictRow]
    passed: Sequence[VerdictRow]
    gates: Sequence[tuple[int, str, int]]
    outcomes: Sequence[tuple[str, int]]


def tabulate_verdicts(verdicts: Sequence[Verdict], words: Vocabulary, pages: MlflowPages) -> VerdictTable:
    """Lay out all verdicts, the worst first; what passed, and what has no rule, stands apart."""
    numbers = {gate: n for n, gate in enumerate(dict.fromkeys(verdict.gate for verdict in verdicts))}
    ordered = sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.outcome))
    rows = [VerdictRow(v, phrase_verdict(v, words), numbers[v.gate], pages.run(v.evidence)) for v in ordered]
    quiet = {Outcome.PASS, Outcome.NO_RULE}
    return VerdictTable(
        looked_at=[row for row in rows if row.verdict.outcome not in quiet],
        passed=[row for row in rows if row.verdict.outcome in quiet],
        gates=[(n, gate, sum(v.gate == gate for v in verdicts)) for gate, n in numbers.items()],
        outcomes=[(o.value, n) for o in WORST_FIRST if (n := sum(v.outcome is o for v in verdicts))],
    )
