"""Order of verdicts on a page: what blocks, then what is inconclusive; of equal ones the primary, then costs.

::

    block, missing   before   inconclusive that holds   before   a warning
    constraint, primary   before   costs   before   safety   before   other guardrails   before   other gates
"""

from collections.abc import Sequence

from tasks.contracts import Family
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import holds_release
from tasks.replay.leaks import GATE as CONSTRAINTS
from tasks.reports.words import Vocabulary

_SEVERITY = {Outcome.BLOCK: 0, Outcome.METRIC_MISSING: 1, Outcome.INCONCLUSIVE: 2, Outcome.WARN: 3}
_FAMILIES = {Family.NEGATIVE: 1, Family.SAFETY: 2}
_NEVER_SHOWN, _OTHER_GUARDRAIL, _OTHER_GATE = -1, 3, 4


def order_worst_first(verdicts: Sequence[Verdict], words: Vocabulary) -> list[Verdict]:
    """Return the verdicts that hold or warn, the worst first."""
    shown = [verdict for verdict in verdicts if verdict.outcome in _SEVERITY]
    return sorted(shown, key=lambda verdict: _rank(verdict, words))


def _rank(verdict: Verdict, words: Vocabulary) -> tuple[bool, int, int, bool]:
    holds = holds_release(verdict, words.inconclusive)
    return not holds, _SEVERITY[verdict.outcome], _kind(verdict, words), verdict.segment != ALL


def _kind(verdict: Verdict, words: Vocabulary) -> int:
    if verdict.gate == CONSTRAINTS:
        return _NEVER_SHOWN
    if verdict.gate != "decision":
        return _OTHER_GATE
    if verdict.subject.name == words.primary:
        return 0
    family = words.family(verdict.subject.task)
    return _OTHER_GUARDRAIL if family is None else _FAMILIES.get(family, _OTHER_GUARDRAIL)
