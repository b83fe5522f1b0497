"""Who has to agree to a promotion: one Approve for each role of the utility policy.

It is by a reviewer of the role, and for this very evidence. The newest answer of a role counts, so an
approval after which a reviewer rejects is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.errors import GateRefused


@dataclass(frozen=True)
class ReviewRequest:
    """What a role is asked: whether a release may be champion on this evidence, by an Airflow run."""

    role: str
    release: int
    evidence: str
    run: str


@dataclass(frozen=True)
class Review:
    """A reviewer's answer for a role, to the evidence that they were shown; ``why`` where they reject."""

    role: str
    by: str
    approves: bool
    evidence: str
    why: str = ""


def require_answers(
    reviewers: Mapping[str, Sequence[str]],
    answers: Sequence[Review],
    *,
    evidence: str | None,
    way_out: str = "",
) -> tuple[Review, ...]:
    """Demand an Approve for each role, by a reviewer of the role, for this very evidence; the newest counts.

    Parameters
    ----------
    reviewers : for each role that the utility policy names, who may answer for it.
    evidence : its digest; None before it is known, when an Approve for whatever evidence is enough.
    way_out : a sentence that says where answers are given.

    Returns
    -------
    What was answered, one Approve for each role.
    """
    newest = {answer.role: answer for answer in answers}
    lacks = [_lacks(role, users, newest.get(role), evidence) for role, users in reviewers.items()]
    if any(lacks):
        raise GateRefused(". ".join(filter(None, (*lacks, way_out))))
    return tuple(newest[role] for role in reviewers)


def require_several(answers: Sequence[Review]) -> None:
    """Refuse that one person answered for every one of several roles.

    Examples
    --------
    >>> require_several([Review("product", "ana", True, "e"), Review("safety", "sam", True, "e")])
    >>> require_several([Review("product", "ana", True, "e")])
    """
    names = {answer.by for answer in answers}
    if len(answers) > 1 and len(names) == 1:
        roles = " and ".join(answer.role for answer in answers)
        raise GateRefused(
            f"{answers[0].by} answered for {roles}, and nobody lets a release through looser gates or by an "
            "override alone: another reviewer of one of these roles has to answer"
        )


def name_signers(answers: Sequence[Review]) -> str:
    """Say who signed for which role.

    Examples
    --------
    >>> name_signers([Review("product", "ana", True, "e"), Review("safety", "sam", True, "e")])
    'ana for product, sam for safety'
    """
    return ", ".join(f"{answer.by} for {answer.role}" for answer in answers)


def _lacks(role: str, users: Sequence[str], answer: Review | None, evidence: str | None) -> str:
    """Say why a role has not approved; empty where it has."""
    if answer is None and not users:
        return (
            f"Nobody approved for {role}, and nobody may: its reviewers were named since the release was "
            "made. A retrain makes one that they may answer for"
        )
    if answer is None:
        return f"Nobody approved for {role}: {' or '.join(users)} has to answer"
    if answer.by not in users:
        return f"{answer.by} answered for {role}; its reviewers are {' and '.join(users) or 'none'}"
    if not answer.approves:
        return f"{answer.by} rejects the release for {role}: {answer.why}"
    if evidence is not None and answer.evidence != evidence:
        return (
            f"{answer.by} approved for {role} on other evidence ({answer.evidence[:12]}) than holds "
            f"now ({evidence[:12]}): start the promotion anew, so that it is seen"
        )
    return ""
