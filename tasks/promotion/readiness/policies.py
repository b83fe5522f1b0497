"""Readiness of what decides: weights, versions, guardrails, filters, business value, slates and changes.

Each function reads one line of the list from the policies, what a release pins of them, its verdicts, and the
audit.
"""

from collections.abc import Iterable, Iterator

from tasks.contracts import SlateSpec, TasksSpec, UtilitySpec
from tasks.contracts.metrics import read_metric
from tasks.contracts.tasks import Family
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.moves.rules import POLICIES
from tasks.promotion.readiness.facts import ReadinessFacts, ReadinessLine, StandingRelease
from tasks.stores.manifest import Role

_UTILITY, _SLATE = POLICIES["utility"], POLICIES["slate"]
_BUSINESS = frozenset({Family.CONVERSION})
"""Families of outcomes that earn money; a guardrail on any other protects people or their experience."""


def utility_weights_separate(standing: ReadinessFacts) -> ReadinessLine:
    """Whether the weights of the decision are others than those of the losses (R13)."""
    name, contracts = "utility weights separate", standing.contracts
    losses = {task: contracts.tasks.tasks[task].loss_weight for task in contracts.utility.weights}
    ratios = {abs(term.weight) / losses[task] for task, term in contracts.utility.weights.items()}
    copied = len({*losses.values()}) > 1 and max(ratios) - min(ratios) <= 1e-9 * max(ratios)
    if copied:
        said = ", ".join(f"{task} {loss:g}" for task, loss in losses.items())
        why = f"the weights of the decision are those of the losses ({said}) times {max(ratios):g}"
        return ReadinessLine.not_met(name, why, _UTILITY, "tasks.yaml")
    units = ", ".join(f"{task} {term.weight:g}" for task, term in contracts.utility.weights.items())
    learned = ", ".join(f"{loss:g}" for loss in sorted({*losses.values()}))
    return ReadinessLine.met(name, f"{units}; loss weights {learned}", _UTILITY, "tasks.yaml")


def composition_versioned(standing: ReadinessFacts) -> ReadinessLine:
    """Whether the release pins the policies in force, each by version and digest (R19)."""
    name, contracts, release = "composition versioned", standing.contracts, standing.release
    if release is None:
        return ReadinessLine.not_met(name, f"nothing pins a policy: {standing.without_release}", _UTILITY)
    other = [
        POLICIES[kind]
        for kind in ("utility", "slate")
        if release.manifest.contracts.get(kind) != contracts.digests[kind]
    ]
    if other:
        why = f"{release.name} pins another {' and '.join(other)} than is in force"
        return ReadinessLine.not_met(name, f"{why}: equipoise policy apply {contracts.name}", *other)
    pinned = [release.manifest.find(role) for role in (Role.UTILITY_POLICY, Role.SLATE_POLICY)]
    said = ", ".join(f"{part.name} version {part.version}" for part in pinned if part is not None)
    owned = f"owner {contracts.utility.owner}, approved by {' and '.join(contracts.utility.approvals)}"
    return ReadinessLine.met(name, f"{release.name} pins {said}; {owned}", _UTILITY, _SLATE, release.run)


def guardrails_defined(standing: ReadinessFacts) -> ReadinessLine:
    """Whether the decision has bounds, and each was judged where it was replayed (R17, R33).

    A bound that is inconclusive counts as judged where it was conclusive of an earlier release.
    """
    name, utility, release = "guardrails defined", standing.contracts.utility, standing.release
    if not utility.guardrails:
        return ReadinessLine.not_met(name, "the policy has no guardrail: nothing bounds its harm", _UTILITY)
    metrics = list(dict.fromkeys(rail.metric for rail in utility.guardrails))
    said = ", ".join(metrics)
    judgement = release.judgement if release else None
    if release is None or judgement is None:
        return ReadinessLine.met(name, said, _UTILITY)
    measured = {str(v.subject) for v in judgement.of("decision") if v.outcome is not Outcome.METRIC_MISSING}
    judged = {*judgement.conclusive("decision"), *release.judged_before}
    problems = {
        f"could not be judged of {release.name}": [one for one in metrics if one not in measured],
        f"inconclusive of {release.name} and of every release before": [
            one for one in metrics if one in measured and one not in judged
        ],
    }
    if any(problems.values()):
        why = "; ".join(f"{', '.join(found)}: {problem}" for problem, found in problems.items() if found)
        return ReadinessLine.not_met(name, why, _UTILITY, judgement.run)
    before = " or of a release before" if release.judged_before else ""
    why = f"{said}; each judged of {release.name}{before}"
    return ReadinessLine.met(name, why, _UTILITY, judgement.runs.simulation)


def hard_constraints(standing: ReadinessFacts) -> ReadinessLine:
    """Whether what may never be shown is filtered, not only made dear (R17, F5)."""
    name, contracts = "hard constraints are filters", standing.contracts
    filters = dict.fromkeys(one.name for one in contracts.utility.filters)
    if filters:
        why = f"{', '.join(filters)}: filters that drop what is unknown too"
        return ReadinessLine.met(name, why, _UTILITY)
    safety = [task for task, one in contracts.tasks.tasks.items() if one.family is Family.SAFETY]
    if safety:
        why = f"{', '.join(safety)} is only penalised or bounded: no hard constraint keeps anything out"
        return ReadinessLine.not_met(name, why, _UTILITY)
    why = "no task is of the safety family and the policy names nothing that may never be shown"
    return ReadinessLine.not_applicable(name, why, _UTILITY, "tasks.yaml")


def business_balanced(standing: ReadinessFacts) -> ReadinessLine:
    """Whether money is held by a relevance floor and a guardrail on an outcome that is no sale (R26, F8)."""
    name, contracts = "business balanced with user value", standing.contracts
    utility = contracts.utility
    terms = {name: one for name, one in utility.named_terms.items() if one.tasks or one.weight > 0}
    priced = [f"{name} x {one.value_column}" for name, one in terms.items() if one.value_column]
    if not priced:
        return ReadinessLine.not_applicable(name, "no term multiplies by a value column", _UTILITY)
    guards = list(dict.fromkeys(_guards_of_people(utility, contracts.tasks)))
    missing = ["a relevance floor"] * (not utility.relevance_floor)
    missing += ["a guardrail on an outcome that is no sale"] * (not guards)
    if missing:
        why = f"{', '.join(priced)} has nothing to hold it: {' and '.join(missing)} is missing"
        return ReadinessLine.not_met(name, why, _UTILITY)
    floors = ", ".join(utility.relevance_floor)
    return ReadinessLine.met(
        name, f"{', '.join(priced)}, held by floors on {floors} and by {', '.join(guards)}", _UTILITY
    )


def _guards_of_people(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[str]:
    for rail in utility.guardrails:
        subject = read_metric(rail.metric).subject
        if subject in tasks.tasks and tasks.tasks[subject].family not in _BUSINESS:
            yield rail.metric


def slate_reranker(standing: ReadinessFacts) -> ReadinessLine:
    """Whether slates are composed by rules of their own, and those were replayed (R36, R37)."""
    name, contracts = "reranker for slates", standing.contracts
    rules = list(_slate_rules(contracts.slate))
    if not rules:
        why = f"slate.yaml has a length of {contracts.slate.length} and no rule: slates are the sorted list"
        return ReadinessLine.not_met(name, why, _SLATE)
    release = standing.release
    judgement = release.judgement if release else None
    counted = judgement.simulation.slate_rules if judgement and judgement.simulation else ()
    if not counted:
        return ReadinessLine.met(name, ", ".join(rules), _SLATE)
    run = judgement.runs.simulation if judgement else ""
    met = ", ".join(f"{one.rule} in {one.slates - one.unmet:,} of {one.slates:,} slates" for one in counted)
    return ReadinessLine.met(name, f"met: {met}", _SLATE, run)


def _slate_rules(slate: SlateSpec) -> Iterator[str]:
    for kind in ("max_per", "max_where", "min_where_if_available"):
        limits: dict[str, int] = getattr(slate, kind)
        yield from (f"{kind} {column} {limit}" for column, limit in limits.items())
    if slate.required_first is not None:
        yield f"required_first {slate.required_first}"
    if slate.diversity is not None:
        yield f"diversity by {slate.diversity.by}"
    if slate.decay is not None:
        yield f"decay by {slate.decay.by}"
    if slate.exposure is not None and slate.exposure.least:
        yield f"exposure by {slate.exposure.by}"
    if slate.exploration is not None:
        yield f"exploration in {slate.exploration.slots} slots"


def changes_tracked(standing: ReadinessFacts) -> ReadinessLine:
    """Whether each promotion that changed tasks or policies names its online experiment (R19, R34)."""
    name, audit = "policy changes tracked as experiments", standing.audit
    if audit.problem:
        return ReadinessLine.not_met(name, f"the audit cannot be believed: {audit.problem}", "audit")
    if not audit.policy_moves:
        whole = f"none of {audit.promotions} promotions changed tasks or policies"
        why = "the one promotion changed no tasks or policies" if audit.promotions == 1 else whole
        return ReadinessLine.not_applicable(name, why if audit.promotions else _never(standing), "audit")
    waived = [move for move in audit.policy_moves if not move.experiment]
    if waived:
        said = "; ".join(f"row {one.row}: {_files(one.changed)}, {_excuse(one.waiver)}" for one in waived)
        why = f"{len(waived)} of {len(audit.policy_moves)} changes name no experiment ({said})"
        return ReadinessLine.not_met(name, why, "audit")
    said = ", ".join(f"{one.experiment} for release {one.release}" for one in audit.policy_moves)
    return ReadinessLine.met(name, said, "audit")


def _never(standing: ReadinessFacts) -> str:
    release: StandingRelease | None = standing.release
    return "nothing was promoted yet" + ("" if release is None else f"; {release.name} is the newest")


def _files(changed: Iterable[str]) -> str:
    return " and ".join(POLICIES[name] for name in changed)


def _excuse(waiver: str | None) -> str:
    return f"waived: {waiver}" if waiver else "unsupported"
