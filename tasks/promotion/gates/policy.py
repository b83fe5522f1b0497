"""The policy gate: the policies of a release are in force, versioned, and have reviewers.

::

    in_force     tasks, utility and slate of the release are those of the surface's files
    <policy>     its version differs from the champion's if its content does
    constraint   warns of each hard constraint of the champion's that is missing or changed
    approvals    each required role has a reviewer who may approve

Approvals are in the audit log and are checked at the promotion: this gate's verdicts are part of the
evidence that reviewers approve.

Position of the release's weights on a tuned front::

    no front for the release's or the champion's models   no_rule
    weights of a point of the front                       pass; warn if a confirmed point is better
    initial weights of the search, below the front        warn if a gain was confirmed, else no_rule
    other weights                                         no_rule: the search did not try them

A front is searched on one half of the users and confirmed on the other, on days that no gate reads.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.contracts import UtilitySpec
from tasks.contracts.slate import Condition
from tasks.contracts.utility import HardConstraint
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.reports.numbers import format_estimate
from tasks.tuning.evidence import TuningEvidence

GATE = "policy"
POLICIES: Final = {"tasks": "tasks.yaml", "utility": "utility.yaml", "slate": "slate.yaml"}
"""The contracts whose change no gate can evaluate, and their files."""


_SUBJECT = Subject("front")
_THRESHOLD = Threshold(words="no confirmed point is better")


@dataclass(frozen=True)
class PolicyVersion:
    """A registered policy: name and version in its file, and the digest of its content."""

    policy: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.policy} version {self.version}"


@dataclass(frozen=True)
class ReleasedPolicies:
    """The policies of a release.

    Attributes
    ----------
    contracts, in_force : digests of the release's contracts, and of the surface's files.
    policies, champion : policies that the release and the champion pin, by file (`utility`, `slate`); the
        champion's are empty for a first release.
    reviewers : users who may approve this release, by required role.
    lost_constraints : hard constraints of the champion that the release lacks or changes.
    """

    contracts: Mapping[str, str]
    in_force: Mapping[str, str]
    policies: Mapping[str, PolicyVersion]
    champion: Mapping[str, PolicyVersion]
    reviewers: Mapping[str, Sequence[str]]
    lost_constraints: Sequence[str] = ()


def find_lost_constraints(before: UtilitySpec, after: UtilitySpec) -> tuple[str, ...]:
    """Return the names of hard constraints of one policy that another lacks or changes.

    A base constraint is lost if only a context keeps it; a context's constraint is kept if the base has it.

    Examples
    --------
    >>> plain = {"policy": "p", "version": 1, "owner": "o", "approvals": ["safety"], "weights": {"click": 1}}
    >>> legal = {"name": "legal", "drop_when": {"column": "banned", "equals": True}}
    >>> find_lost_constraints(UtilitySpec(**plain, hard_constraints=[legal]), UtilitySpec(**plain))
    ('legal',)
    """
    base = _filters(after.hard_constraints)
    kept = {context.name: base | _filters(context.hard_constraints) for context in after.contexts}
    lost = _filters(before.hard_constraints) - base
    for context in before.contexts:
        lost |= _filters(context.hard_constraints) - kept.get(context.name, base)
    return tuple(dict.fromkeys(one.name for one in before.filters if _filter(one) in lost))


def _filters(constraints: Iterable[HardConstraint]) -> set[tuple[str, Condition, bool]]:
    return {_filter(one) for one in constraints}


def _filter(constraint: HardConstraint) -> tuple[str, Condition, bool]:
    """Return a constraint without its description."""
    return constraint.name, constraint.condition, constraint.keeps


def evaluate_policy(released: ReleasedPolicies, *, run: str) -> Iterator[Verdict]:
    """Evaluate the policies of a release."""
    yield _in_force(released, run)
    for kind, policy in released.policies.items():
        yield _version(policy, released.champion.get(kind), kind, run)
    for name in released.lost_constraints:
        reason = "what the champion filters may be shown: no weight and no penalty takes its place"
        subject, threshold = Subject("lost", constraint=name), Threshold(words="a filter, as the champion's")
        yield Verdict(GATE, subject, ALL, Outcome.WARN, threshold, None, reason, run)
    yield _approvals(released, run)


def _in_force(released: ReleasedPolicies, run: str) -> Verdict:
    other = [POLICIES[kind] for kind in changed_contracts(released.contracts, released.in_force)]
    reason = (
        f"made under another {', '.join(other)}" if other else f"{', '.join(POLICIES.values())} as in force"
    )
    outcome = Outcome.BLOCK if other else Outcome.PASS
    threshold = Threshold(words="the contracts in force")
    return Verdict(GATE, Subject("in_force"), ALL, outcome, threshold, None, reason, run)


def _version(policy: PolicyVersion, before: PolicyVersion | None, kind: str, run: str) -> Verdict:
    outcome, reason = Outcome.PASS, f"{policy}"
    if before is None:
        reason += "; no champion's to compare with"
    elif policy.digest == before.digest:
        reason += ", as the champion's"
    elif (policy.policy, policy.version) == (before.policy, before.version):
        outcome, reason = Outcome.BLOCK, f"{policy} is another than the champion's of the same version"
    else:
        reason += f", the champion's is {before}"
    threshold = Threshold(words="another version where its content changed")
    return Verdict(GATE, Subject(f"{kind}_version"), ALL, outcome, threshold, None, reason, run)


def _approvals(released: ReleasedPolicies, run: str) -> Verdict:
    """Evaluate whether each role has a reviewer who is not newer than the release."""
    vacant = [role for role, users in released.reviewers.items() if not users]
    asked = "; ".join(f"{role}: {' or '.join(users)}" for role, users in released.reviewers.items())
    reason = f"nobody may review for {', '.join(vacant)}" if vacant else f"required approvals: {asked}"
    outcome = Outcome.WARN if vacant else Outcome.PASS
    threshold = Threshold(words="a reviewer for each role")
    return Verdict(GATE, Subject("approvals"), ALL, outcome, threshold, None, reason, run)


def evaluate_front(
    policy: UtilitySpec, tuning: TuningEvidence | None, *, tuning_run: str, simulation: str
) -> Verdict:
    """Evaluate the position of a policy's weights on a front.

    Parameters
    ----------
    policy : the release's policy.
    tuning : newest tuning with the release's or the champion's models, or None.
    tuning_run, simulation : their MLflow runs; the replay's is cited if there is no front.
    """
    if tuning is None or not tuning.front:
        reason = "no front was searched with these models or the champion's (equipoise tune)"
        return Verdict("decision", _SUBJECT, ALL, Outcome.NO_RULE, _THRESHOLD, None, reason, simulation)
    outcome, reason = _position(policy, tuning)
    searched = f"searched with release {tuning.release} on {tuning.days[0]} to {tuning.days[1]}"
    return Verdict("decision", _SUBJECT, ALL, outcome, _THRESHOLD, None, f"{reason}; {searched}", tuning_run)


def _position(policy: UtilitySpec, tuning: TuningEvidence) -> tuple[Outcome, str]:
    size, proposal = len(tuning.front), tuning.proposal
    point = tuning.find_point(policy)
    if point is not None:
        of = f"trial {point.trial} of a front of {size}"
        if not point.dominated:
            return Outcome.PASS, of
        return Outcome.WARN, f"{of}; another point is better in one objective and worse in none"
    if not tuning.started_from(policy):
        return Outcome.NO_RULE, f"these weights are none of a front of {size}, nor where its search began"
    if proposal is not None and proposal.gain is not None and proposal.gain.low > 0:
        gain = f"{proposal.gain_metric} {format_estimate(proposal.gain, relative=True)}"
        return Outcome.WARN, f"below a front of {size}: trial {proposal.trial} was confirmed to gain {gain}"
    return Outcome.NO_RULE, f"below a front of {size} where it was searched; no gain was confirmed"


def changed_contracts(release: Mapping[str, str], champion: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the tasks and policies that differ from the champion's, by their contract digests.

    Examples
    --------
    >>> release = {"tasks": "a", "utility": "b", "slate": "c"}
    >>> changed_contracts(release, release | {"utility": "x"}), changed_contracts(release, None)
    (('utility',), ())
    """
    if champion is None:
        return ()
    return tuple(name for name in POLICIES if release[name] != champion[name])
