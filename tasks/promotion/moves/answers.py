"""Approvals of a promotion: one approval for each role of the utility policy, recorded in the audit log.

An approval is by a reviewer of the role, for exactly this evidence. The newest answer of a role counts, so a
later rejection cancels an approval.

::

    answer     a reviewer's approval or rejection, recorded by the step or command they used
    time_out   a missing answer for a role, recorded by the step that waited
    Signing    the required approvals, and whether the audit log contains them

An Airflow run counts only its own answers. The command line counts all answers since the newest alias update,
unless the surface permits that its user approves alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from shlex import quote
from typing import Self

from tasks.contracts.durations import describe_duration
from tasks.contracts.gates import Rules
from tasks.errors import ContractError, GateRefused, unknown
from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.promotion.gates.loosened import lasting_reviewers, name_loosened
from tasks.promotion.moves.rules import Actor, Override, PromotionRequest, PromotionSupport, PromotionTerms
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import NOBODY, Entry, Kind, since_last_move
from tasks.stores.manifest import Part
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class Review:
    """A reviewer's answer for a role to the evidence they read; ``why`` is required for a rejection."""

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
    """Require an approval for each role, by its reviewer and for this evidence; the newest answer counts.

    Parameters
    ----------
    reviewers : users who may approve, by role of the utility policy.
    evidence : digest of the evidence; None accepts an approval of any evidence.
    way_out : sentence about where answers are given.

    Returns
    -------
    One approval for each role.
    """
    newest = {answer.role: answer for answer in answers}
    lacks = [_lacks(role, users, newest.get(role), evidence) for role, users in reviewers.items()]
    if any(lacks):
        raise GateRefused(". ".join(filter(None, (*lacks, way_out))))
    return tuple(newest[role] for role in reviewers)


def require_several(answers: Sequence[Review]) -> None:
    """Raise GateRefused if one person answered for several roles alone.

    Examples
    --------
    >>> require_several([Review("product", "ana", True, "e"), Review("safety", "sam", True, "e")])
    >>> require_several([Review("product", "ana", True, "e")])
    """
    names = {answer.by for answer in answers}
    if len(answers) > 1 and len(names) == 1:
        roles = " and ".join(answer.role for answer in answers)
        raise GateRefused(
            f"{answers[0].by} approved for {roles}, but looser gates or an override need two people: another "
            "reviewer of one of these roles has to approve"
        )


def name_signers(answers: Sequence[Review]) -> str:
    """Return the signers and their roles.

    Examples
    --------
    >>> name_signers([Review("product", "ana", True, "e"), Review("safety", "sam", True, "e")])
    'ana for product, sam for safety'
    """
    return ", ".join(f"{answer.by} for {answer.role}" for answer in answers)


def _lacks(role: str, users: Sequence[str], answer: Review | None, evidence: str | None) -> str:
    """Return why a role has not approved, or an empty string."""
    if answer is None and not users:
        return (
            f"Nobody may approve for {role}: all of its reviewers were named after the release was made. "
            "Retrain to make a release that they may review"
        )
    if answer is None:
        return f"Nobody approved for {role}: {' or '.join(users)} has to review"
    if answer.by not in users:
        return f"{answer.by} reviewed for {role}, but its reviewers are {' and '.join(users) or 'none'}"
    if not answer.approves:
        return f"{answer.by} rejects the release for {role}: {answer.why}"
    if evidence is not None and answer.evidence != evidence:
        return (
            f"{answer.by} approved for {role} on evidence {answer.evidence[:12]}, and it is "
            f"{evidence[:12]} now: start the promotion again"
        )
    return ""


def answer(workspace: Workspace, reply: Review, *, release: int, run: str) -> None:
    """Record a reviewer's answer in the audit log; a repeated answer adds nothing."""
    by, role = reply.by, reply.role
    reviewers = workspace.contracts.surface.reviewers
    if role not in reviewers:
        raise ContractError(unknown("role", role, reviewers, where="the reviewers of surface.yaml"))
    if by not in reviewers[role]:
        raise ContractError(
            f"{by} is not a reviewer for {role}; surface.yaml names {', '.join(reviewers[role]) or 'none'}"
        )
    eligible = eligible_reviewers(workspace, workspace.releases.part(release))[role]
    if by not in eligible:
        raise ContractError(
            f"{by} became a reviewer for {role} after release {release} was made: "
            f"{' or '.join(eligible) or 'nobody'} may review it. Retrain to make a release that {by} may "
            "review"
        )
    if not reply.approves and not reply.why.strip():
        raise ContractError(f"{by} rejects release {release} without a reason: give one")
    kind = Kind.APPROVE if reply.approves else Kind.REJECT

    def once(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        champion = aliases.get(CHAMPION)
        entry = Entry(kind, by, release, champion, reply.why.strip(), reply.evidence, role=role, run=run)
        recorded = [known for known in _recorded_answers(entries, run, release) if known.role == role]
        return None if recorded and _same_answer(entry, recorded[-1]) else entry

    workspace.aliases.add(once)


def time_out(
    workspace: Workspace, role: str, *, release: int, evidence: str, run: str, waited: timedelta
) -> None:
    """Record in the audit log that nobody answered for a role in time; a repeated call adds nothing.

    Parameters
    ----------
    release, evidence : what the role was asked to approve, as champion.
    run : the Airflow run that asked.
    """
    part = workspace.releases.part(release)
    why = f"no review within {describe_duration(waited)}"

    def once(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        champion = aliases.get(CHAMPION)
        entry = Entry(Kind.TIME_OUT, NOBODY, part.version, champion, why, evidence, role=role, run=run)
        return None if any(_same_answer(entry, known) for known in entries) else entry

    workspace.aliases.add(once)


@dataclass(frozen=True)
class Signing:
    """The reviewers who must approve for each role; ``alone``: the actor approves for all roles.

    ``apart``: no single person may answer for every role, since gates are overridden or loosened.
    """

    reviewers: Mapping[str, Sequence[str]]
    way_out: str
    alone: bool
    apart: bool = False

    @classmethod
    def of(
        cls,
        workspace: Workspace,
        part: Part,
        by: Actor,
        terms: PromotionTerms,
        *,
        loosened: Sequence[str],
        request: PromotionRequest | None = None,
    ) -> Self:
        """Return the required approvals; with looser rules or an override the actor cannot approve alone.

        Parameters
        ----------
        loosened : rules that are looser than when the release was made.
        request : the request that is answered, or None before the gates are evaluated.
        """
        eligible, override = eligible_reviewers(workspace, part), terms.override
        roles = dict.fromkeys(
            (*workspace.contracts.utility.approvals, *([override.role] if override else []))
        )
        reviewers = {role: eligible[role] for role in roles}
        apart = bool(loosened or override)
        if by.run:
            by_hand = "Marking a step success by hand does not approve"
            return cls(reviewers, by_hand, alone=False, apart=apart)
        allowed = workspace.contracts.surface.promotion.approvals_on_command_line
        command = "" if allowed is False else _approve_command(workspace.surface, part, terms, request)
        where = _way_out(workspace.surface, part, loosened, request, command)
        return cls(reviewers, where, alone=allowed is True and not apart, apart=apart)

    def sign(self, entry: Entry, entries: Sequence[Entry]) -> Entry:
        """Return an alias update with its signers."""
        if self.alone:
            return replace(entry, signed=f"{entry.by} alone, for {' and '.join(self.reviewers)}")
        answers = answers_of(entries, run=entry.run, release=entry.release)
        evidence = entry.evidence or ""
        given = require_answers(self.reviewers, answers, evidence=evidence, way_out=self.way_out)
        if self.apart:
            require_several(given)
        return replace(entry, signed=name_signers(given))


def require_any_answers(
    workspace: Workspace, part: Part, by: Actor, support: PromotionSupport, entries: Sequence[Entry]
) -> None:
    """Raise GateRefused before the gates run if an answer is missing or a role rejects.

    Whether answers are to the current evidence is known only after the gates.
    """
    rule = workspace.contracts.surface.override
    override = Override(rule.role, support.override, ()) if rule and support.override else None
    before = Rules.model_validate(_released(workspace, part).rules)
    loosened = name_loosened(before, workspace.contracts.surface.rules)
    terms = PromotionTerms(override=override, was_canary=support.stage == CHAMPION, support=support)
    signing = Signing.of(workspace, part, by, terms, loosened=loosened)
    if not signing.alone:
        answers = answers_of(entries, run=by.run, release=part.version)
        require_answers(signing.reviewers, answers, evidence=None, way_out=signing.way_out)


def _way_out(
    surface: str, part: Part, loosened: Sequence[str], request: PromotionRequest | None, command: str
) -> str:
    """Describe where to give the answers that a promotion on the command line counts."""
    changes = "; ".join(loosened)
    because = changes and f"surface.yaml was loosened since release {part.version} was made: {changes}. "
    answers = "reviews of its reviewers"
    if request is not None:
        answers = f"reviews of evidence {request.evidence[:12]}, as of {request.as_of}"
    or_type = f", or let each type `{command}` under their own account" if command else ""
    where = f"start the DAG {surface}__promote, where reviewers decide{or_type}"
    return f"{because}Valid are only {answers}: {where}"


def _approve_command(
    surface: str, part: Part, terms: PromotionTerms, request: PromotionRequest | None
) -> str:
    """Return the command that approves on these terms."""
    command = f"equipoise approve {surface} {part.version} --role ROLE --why TEXT"
    command += "" if request is None else f" --as-of {request.as_of}"
    support = terms.support
    given = {"promotion-why": support.why, "experiment": support.experiment, "waiver": support.waiver}
    command += "".join(f" --{name} {quote(text)}" for name, text in given.items() if text)
    if terms.override is not None:
        command += f" --override {quote(terms.override.why)}"
    return command + (" --stage champion" if terms.was_canary else "")


def answers_of(entries: Sequence[Entry], *, run: str, release: int) -> list[Review]:
    """Return the answers about a release in an Airflow run, oldest first.

    On the command line, where ``run`` is empty, all answers since the newest alias update: earlier approvals
    were about another champion, or were used by that update.
    """
    return [
        Review(entry.role or "", entry.by, entry.kind is Kind.APPROVE, entry.evidence or "", entry.why)
        for entry in _recorded_answers(entries, run, release)
        if entry.kind in {Kind.APPROVE, Kind.REJECT}
    ]


def _recorded_answers(entries: Sequence[Entry], run: str, release: int) -> list[Entry]:
    """Return the audit rows about a release that count for a run, or for the command line."""
    rows = [entry for entry in entries if entry.run == run] if run else since_last_move(entries, release)
    return [entry for entry in rows if entry.release == release]


def eligible_reviewers(workspace: Workspace, part: Part) -> dict[str, tuple[str, ...]]:
    """Return each role's current reviewers who were reviewers when the release was made."""
    before = _released(workspace, part).rules
    return lasting_reviewers(Rules.model_validate(before), workspace.contracts.surface.rules)


def _released(workspace: Workspace, part: Part) -> ReleaseEvidence:
    """Read the evidence of the release step."""
    return workspace.store.runs.read_evidence(workspace.store.registry.run_id(part), ReleaseEvidence)


def _same_answer(one: Entry, other: Entry) -> bool:
    def key(entry: Entry) -> tuple[object, ...]:
        return entry.kind, entry.run, entry.role, entry.by, entry.release, entry.evidence

    return key(one) == key(other)
