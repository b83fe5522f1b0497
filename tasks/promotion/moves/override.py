"""Whether gates that hold a release may be overridden: by a declared role, for declared gates, with a reason.

::

    surface.yaml    override: {role: safety_lead, gates: [decision, shadow]}
    verdicts        each that holds the release   ->  named, and lifted;  or refused

Never lifted, whatever the surface says: data, lineage, what leaks through a hard constraint and every gate
that is not declared; what is too good to be true, since it may know the outcome; whatever names a safety
task. So of the model gate only comparisons with the champion, and of refits with what was tested, are there
to be lifted. A gain over the champion is one, of a safety task too: the reason is the cause of the gain.
Nor is a release that can only be replayed as a reordering lifted to champion where the surface
lets it be the canary alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tasks.contracts.gates import OverrideRule
from tasks.errors import ContractError, GateRefused
from tasks.evaluation.subjects import SAME_DAY
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.decision import explain_verdict, find_holding, permits_canary
from tasks.promotion.gates.gains import GAINS

_GAINS: Final = frozenset(GAINS)
_VS_CHAMPION: Final = _GAINS | {
    "auc_drop",
    "auc_by_request_drop",
    "normalized_entropy_rise",
    "refit",
    "refit_shift",
}
_VS_RECIPE: Final = _GAINS | {
    "auc_drop",
    "auc_by_request_drop",
    "normalized_entropy_rise",
    "relative_squared_error_rise",
    "relative_pinball_loss_rise",
}
"""Metrics of the model gate that may be lifted, by what they are compared with."""


@dataclass(frozen=True)
class Override:
    """What is overridden, verdict by verdict in words; by which role, and why."""

    role: str
    why: str
    verdicts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.why} ({self.role} lifts {'; '.join(self.verdicts)})"


def lift_verdicts(
    verdicts: Sequence[Verdict],
    *,
    rule: OverrideRule | None,
    why: str,
    safety: Iterable[str],
    inconclusive: Literal["hold", "warn"],
) -> Override:
    """Return the override of every verdict that holds a release.

    Parameters
    ----------
    rule : what the surface declares; None where it declares nothing.
    safety : the tasks of the family ``safety``.
    inconclusive : what the surface makes of verdicts that is inconclusive.
    """
    if rule is None:
        raise ContractError("surface.yaml declares no override: what holds a release, holds it")
    if not why.strip():
        raise ContractError("An override needs a reason: say why")
    holding = find_holding(verdicts, inconclusive=inconclusive)
    if not holding:
        raise ContractError("No verdict holds the release, so there is nothing to override")
    protected = frozenset(safety)
    rest = [verdict for verdict in holding if not is_liftable(verdict, rule=rule, safety=protected)]
    if rest:
        named = "; ".join(map(explain_verdict, rest))
        raise GateRefused(f"{rule.role} may lift {', '.join(rule.gates)}, and never this: {named}")
    return Override(rule.role, " ".join(why.split()), tuple(map(explain_verdict, holding)))


def is_liftable(verdict: Verdict, *, rule: OverrideRule, safety: frozenset[str]) -> bool:
    """Whether a verdict is one that a surface's override may lift.

    Examples
    --------
    >>> from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Subject
    >>> from tasks.evaluation.verdicts import Outcome
    >>> rule = OverrideRule(role="lead", gates=("decision", "model"))
    >>> def held(gate, metric, task):
    ...     return Verdict(gate, Subject(metric, task=task), ALL, Outcome.BLOCK, NO_THRESHOLD, None)
    >>> safety = frozenset({"report"})
    >>> verdicts = [held("decision", "rate", task) for task in ("buy", "report")]
    >>> [is_liftable(one, rule=rule, safety=safety) for one in (*verdicts, held("data", "rows", "buy"))]
    [True, False, False]
    >>> models = [held("model", "auc", "click"), held("model", "auc_drop", "click")]
    >>> [is_liftable(one, rule=rule, safety=safety) for one in models]
    [False, True]
    """
    subject = verdict.subject
    gains = verdict.gate == "model" and subject.metric in _GAINS
    protected = not safety.isdisjoint({subject.task, subject.parent}) and not gains
    if verdict.gate not in rule.gates or protected or permits_canary(verdict):
        return False
    comparisons = {"": _VS_CHAMPION, SAME_DAY: _VS_RECIPE}.get(subject.baseline, frozenset())
    return verdict.gate != "model" or (subject.metric in comparisons and not subject.feature)
