"""The policy gate: whether what decides is in force, versioned, and has people who may answer for it.

::

    in_force     tasks, utility and slate of the release are those of the surface's files
    <policy>     its version is another wherever its content is another than the champion's
    approvals    for each role that has to agree somebody may answer

Who approved stands in the audit and is asked at the move: a row of this gate is part of what they approve.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.moves.rules import POLICIES, changed_contracts

GATE = "policy"


@dataclass(frozen=True)
class PolicyVersion:
    """A registered policy: its name and version in its file, and the digest of its content."""

    policy: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.policy} version {self.version}"


@dataclass(frozen=True)
class PolicyStanding:
    """What decides in a release.

    Attributes
    ----------
    contracts, in_force : digests of the release's contracts, and of the surface's files.
    policies, champion : by file (`utility`, `slate`) what the release pins, and what the champion does; empty
        of a first release.
    reviewers : by role that has to agree, who may answer for this release.
    """

    contracts: Mapping[str, str]
    in_force: Mapping[str, str]
    policies: Mapping[str, PolicyVersion]
    champion: Mapping[str, PolicyVersion]
    reviewers: Mapping[str, Sequence[str]]


def judge_policy(standing: PolicyStanding, *, run: str) -> Iterator[Verdict]:
    """Judge the policies of a release."""
    yield _in_force(standing, run)
    for kind, policy in standing.policies.items():
        yield _version(policy, standing.champion.get(kind), kind, run)
    yield _approvals(standing, run)


def _in_force(standing: PolicyStanding, run: str) -> Verdict:
    other = [POLICIES[kind] for kind in changed_contracts(standing.contracts, standing.in_force)]
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


def _approvals(standing: PolicyStanding, run: str) -> Verdict:
    """Judge whether somebody may answer for each role; nobody can where all reviewers are newer."""
    vacant = [role for role, users in standing.reviewers.items() if not users]
    asked = "; ".join(f"{role}: {' or '.join(users)}" for role, users in standing.reviewers.items())
    reason = f"nobody may answer for {', '.join(vacant)}" if vacant else f"asked before it moves: {asked}"
    outcome = Outcome.WARN if vacant else Outcome.PASS
    threshold = Threshold(words="a reviewer for each role")
    return Verdict(GATE, Subject("approvals"), ALL, outcome, threshold, None, reason, run)
