"""The conditions for a release to become champion, and the request that states them.

::

    verdict of the gates is promote  the release may be exposed
    experiment, or a waiver          tasks or policies changed: the gates cannot show which are better
    one approval for each role       see `answers`

A declared role may override declared gates that hold a release, with a reason.

::

    surface.yaml    override: {role: safety_lead, gates: [decision, shadow]}
    verdicts        each that holds the release   ->  listed and overridden;  or refused

Never overridden, regardless of surface.yaml: data, lineage, violated hard constraints and every undeclared
gate; implausibly good models, which may leak the outcome; verdicts on a safety task. Of the model gate, only
comparisons with the champion, and of refits with the tested models, can be overridden. A gain over the
champion is such a comparison, also for a safety task: the reason is the cause of the gain. A release that
surface.yaml permits only as the canary cannot be promoted to champion by an override.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self

from tasks.contracts import digest
from tasks.contracts.gates import OverrideRule, Ramp
from tasks.errors import ContractError, GateRefused, unknown
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import SAME_DAY
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.decision import explain_verdict, find_holding, permits_canary
from tasks.promotion.gates.gains import GAINS
from tasks.promotion.gates.policy import POLICIES, changed_contracts
from tasks.stores.manifest import Manifest

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


CHAMPION: Final = "champion"
CANARY: Final = "canary"
"""The stages of a promotion, and their aliases."""


@dataclass(frozen=True)
class PromotionSupport:
    """The reasons and options given for a promotion.

    Parameters
    ----------
    experiment, waiver : online experiment that supports changed tasks or policies, or why there is none.
    override : reason to override gates that hold the release.
    stage : ``canary`` or ``champion``; default: the surface's first stage.
    why : reason for the promotion.
    """

    experiment: str | None = None
    waiver: str | None = None
    override: str | None = None
    stage: str | None = None
    why: str = ""


@dataclass(frozen=True)
class PromotionTerms:
    """The stage of a promotion and its support; each approval is for exactly these terms.

    ``share`` is the share of its pool's users that a canary serves, and None for the champion.
    ``was_canary``: the release is the canary and becomes champion. ``support`` holds the given reasons.
    """

    share: float | None = None
    override: Override | None = None
    was_canary: bool = False
    support: PromotionSupport = PromotionSupport()

    @property
    def plain(self) -> dict[str, object]:
        """The part of the terms in an evidence digest."""
        texts = {name: getattr(self.support, name) for name in ("experiment", "waiver", "why")}
        return {
            "canary_share": self.share,
            "override": None if self.override is None else asdict(self.override),
            **{name: " ".join((text or "").split()) for name, text in texts.items()},
        }


@dataclass(frozen=True)
class PromotionRequest:
    """The gates' evidence on a release compared with the current champion, and the terms of its promotion.

    Parameters
    ----------
    gate : evidence of the gates.
    champion : the champion's version, or None.
    changed : tasks and policies that differ from the champion's.
    evidence : digest of everything the decision is based on.
    terms : stage of the promotion, and its override.
    """

    gate: GateEvidence
    champion: int | None
    changed: tuple[str, ...]
    evidence: str
    terms: PromotionTerms

    @classmethod
    def of(
        cls,
        gate: GateEvidence,
        champion: int | None,
        manifests: tuple[Manifest, Manifest | None],
        terms: PromotionTerms,
    ) -> Self:
        """Compare the manifests of a release and of the champion, if there is one, and digest both."""
        manifest, old = manifests
        changed = changed_contracts(manifest.contracts, None if old is None else old.contracts)
        return cls(gate, champion, changed, evidence_digest(manifest, old, gate, terms), terms)

    @property
    def release(self) -> int:
        """The release's version."""
        return self.gate.release

    @property
    def as_of(self) -> str:
        """The day of the evaluation."""
        return self.gate.evaluated_as_of or self.gate.as_of


@dataclass(frozen=True)
class Actor:
    """The actor of an alias update: a name, and the Airflow run of the approvals (command line: empty)."""

    name: str
    run: str = ""


def choose_share(
    ramp: Ramp | None,
    *,
    stage: str | None,
    release: int,
    aliases: Mapping[str, int],
    live: Mapping[int, bool],
) -> float | None:
    """Return the share of its pool's users that a release serves as the canary; None for a champion.

    Parameters
    ----------
    ramp : the surface's ramp, or None.
    stage : requested stage; default: ``canary`` if a ramp is declared.
    live : by release in a ramp, whether it passed the last stage.

    Examples
    --------
    >>> ramp = Ramp(guardrails=("hide_7d_rate",))
    >>> choose_share(ramp, stage=None, release=3, aliases={"champion": 2}, live={})
    0.01
    >>> choose_share(ramp, stage="champion", release=3, aliases={"champion": 2}, live={3: True})
    >>> choose_share(ramp, stage=None, release=3, aliases={}, live={})
    """
    if stage not in {None, CANARY, CHAMPION}:
        raise ContractError(unknown("stage", stage or "", [CANARY, CHAMPION]))
    if stage == CANARY and ramp is None:
        raise ContractError("surface.yaml declares no ramp (ramp: {guardrails: [hide_7d_rate]})")
    if stage == CANARY and CHAMPION not in aliases:
        raise ContractError("There is no champion to compare a canary with: promote the release to champion")
    if ramp is None or CHAMPION not in aliases:
        return None
    if stage in {None, CANARY}:
        if release in live:
            raise GateRefused(f"Release {release} is the canary already. `equipoise ramp` takes it on")
        return ramp.stages[0].share
    if release not in live:
        now = f"release {' and '.join(map(str, live))} is" if live else "there is none"
        raise GateRefused(
            f"Release {release} is champion only after it was the canary, and {now} now: promote it as the "
            "canary first"
        )
    if not live[release]:
        raise GateRefused(
            f"Release {release} has not reached the end of its ramp. `equipoise ramp` shows its stage and "
            "what it waits for"
        )
    return None


def evidence_digest(
    manifest: Manifest, champion: Manifest | None, gate: GateEvidence, terms: PromotionTerms
) -> str:
    """Digest both releases, every verdict, the gates and the terms of a promotion, but not the runs."""
    verdicts = [
        {name: value for name, value in one.to_json().items() if name != "evidence"} for one in gate.gates
    ]
    return digest(
        {
            "release": manifest.digest,
            "champion": None if champion is None else champion.digest,
            "gates": verdicts,
            "rules": digest(gate.rules),
            **terms.plain,
        }
    )


def refuse_other_contracts(manifest: Manifest, contracts: Mapping[str, str]) -> None:
    """Raise GateRefused if tasks or policies of a release are not those in force."""
    other = changed_contracts(manifest.contracts, contracts)
    if other:
        files = ", ".join(POLICIES[name] for name in other)
        raise GateRefused(
            f"This release was made under another {files} than is in force now. Retrain to make one under "
            "the contracts in force, or take the change back."
        )


def refuse_verdict(request: PromotionRequest) -> None:
    """Raise GateRefused if gates hold the release, without an override or a ramp that permits it."""
    ramps = request.terms.share is not None or request.terms.was_canary
    gate, permitted = request.gate, request.gate.canary_permitted
    if gate.verdict != "promote" and request.terms.override is None and not (permitted and ramps):
        shown = "; ".join(gate.reasons[:3])
        more = f" and {len(gate.reasons) - 3} more, in its dossier" if len(gate.reasons) > 3 else ""
        beside = (
            "without a champion" if request.champion is None else f"compared with champion {request.champion}"
        )
        alone = "; it may be champion after a ramp, as the canary first" if permitted else ""
        raise GateRefused(f"Release {request.release} is held, {beside}: {shown}{more}{alone}")


def require_reason(support: PromotionSupport) -> None:
    """Raise ContractError if a promotion has no reason."""
    if not support.why.strip():
        raise ContractError("A promotion needs a reason (why)")


def require_support(request: PromotionRequest) -> None:
    """Require an experiment or a waiver if tasks or policies differ from the champion's."""
    support = request.terms.support
    if support.experiment and support.waiver:
        raise ContractError("An experiment and a waiver exclude each other: give the one that is true")
    if request.changed and not (support.experiment or support.waiver):
        files = " and ".join(POLICIES[name] for name in request.changed)
        raise ContractError(
            f"Release {request.release} changes {files} of champion {request.champion}. The gates allow its "
            "exposure but cannot show that it is better for people: name the online "
            "experiment that supports it (--experiment REF), or give a reason why there is none (--waiver "
            "WHY)"
        )
