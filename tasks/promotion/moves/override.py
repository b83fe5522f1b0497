"""Override gates that hold a release: by a declared role, for declared gates, with a reason.

::

    surface.yaml    override: {role: safety_lead, gates: [decision, shadow]}
    verdicts        each that holds the release   ->  listed and overridden;  or refused

Never overridden, regardless of surface.yaml: data, lineage, violated hard constraints and every undeclared
gate; implausibly good models, which may leak the outcome; verdicts on a safety task. Of the model gate, only
comparisons with the champion, and of refits with the tested models, can be overridden. A gain over the
champion is such a comparison, also for a safety task: the reason is the cause of the gain. A release that
surface.yaml permits only as the canary cannot be promoted to champion by an override.
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
"""Metrics of the model gate that may be overridden, by the baseline of their comparison."""


@dataclass(frozen=True)
class Override:
    """An override: the role, the reason, and a phrase for each overridden verdict."""

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
    rule : the surface's rule, or None.
    safety : tasks of the family ``safety``.
    inconclusive : the surface's rule for inconclusive verdicts.
    """
    if rule is None:
        raise ContractError("surface.yaml declares no override")
    if not why.strip():
        raise ContractError("An override needs a reason")
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
    """Whether a surface's override may apply to a verdict.

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
