"""Who agrees to a promotion: answers are kept in the audit, and held against what is to move.

::

    answer     a reviewer's Approve or Reject, written by the step or the command that they answered
    time_out   that nobody answered for a role in time, written by the step that waited
    Signing    who has to approve for each role, and whether the answers in the audit are enough

An Airflow run counts the answers that it was given itself. The command line counts all that were given since
the newest move, unless the surface lets whoever types it sign alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from shlex import quote
from typing import Self

from tasks.contracts.durations import describe_duration
from tasks.contracts.gates import Rules
from tasks.errors import ContractError, unknown
from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.promotion.gates.loosened import long_standing_reviewers, name_loosened
from tasks.promotion.moves.approvals import (
    Review,
    ReviewRequest,
    name_signers,
    require_answers,
    require_several,
)
from tasks.promotion.moves.override import Override
from tasks.promotion.moves.rules import Actor, PromotionRequest, PromotionSupport, PromotionTerms
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import ANSWERS, NOBODY, Entry, Kind, since_last_move
from tasks.stores.parts import Part
from tasks.stores.releases import release_part
from tasks.stores.workspace import Workspace


def answer(workspace: Workspace, reply: Review, *, release: int, run: str) -> None:
    """Write a reviewer's answer to the audit; the same answer once more adds nothing."""
    by, role = reply.by, reply.role
    reviewers = workspace.contracts.surface.reviewers
    if role not in reviewers:
        raise ContractError(unknown("role", role, reviewers, where="the reviewers of surface.yaml"))
    if by not in reviewers[role]:
        raise ContractError(
            f"{by} is not a reviewer for {role}; surface.yaml names {', '.join(reviewers[role]) or 'none'}"
        )
    standing = standing_reviewers(workspace, release_part(workspace, release))[role]
    if by not in standing:
        raise ContractError(
            f"{by} reviews {role} only since release {release} was made, so that change is part of what is "
            f"asked: {' or '.join(standing) or 'nobody'} may answer. A retrain makes a release that "
            f"{by} may answer for"
        )
    if not reply.approves and not reply.why.strip():
        raise ContractError(f"{by} rejects release {release} without a reason: say why")
    kind = Kind.APPROVE if reply.approves else Kind.REJECT

    def once(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        champion = aliases.get(CHAMPION)
        entry = Entry(kind, by, release, champion, reply.why.strip(), reply.evidence, role=role, run=run)
        told = [known for known in _told(entries, run, release) if known.role == role]
        return None if told and _same_answer(entry, told[-1]) else entry

    workspace.aliases.add(once)


def time_out(workspace: Workspace, question: ReviewRequest, *, waited: timedelta) -> None:
    """Write to the audit that nobody answered for a role; the same once more adds nothing."""
    part = release_part(workspace, question.release)
    why = f"no answer within {describe_duration(waited)}"

    def once(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        entry = Entry(
            Kind.TIME_OUT, NOBODY, part.version, aliases.get(CHAMPION), why, question.evidence,
            role=question.role, run=question.run,
        )  # fmt: skip
        return None if any(_same_answer(entry, known) for known in entries) else entry

    workspace.aliases.add(once)


@dataclass(frozen=True)
class Signing:
    """Who has to approve for each role, and where; ``alone`` says that whoever moves it signs for all.

    ``apart`` says that nobody may answer for every role: gates are overridden, or are looser than they were.
    """

    reviewers: Mapping[str, Sequence[str]]
    way_out: str
    alone: bool
    apart: bool = False

    @classmethod
    def of(cls, workspace: Workspace, part: Part, case: PromotionRequest, by: Actor) -> Self:
        """Return who has to agree to a move; looser rules and an override are never for one person to use."""
        standing = standing_reviewers(workspace, part)
        override = case.terms.override
        roles = dict.fromkeys(
            (*workspace.contracts.utility.approvals, *([override.role] if override else []))
        )
        reviewers = {role: standing[role] for role in roles}
        apart = bool(case.loosened or override)
        if by.run:
            by_hand = "A step that was marked success by hand is no answer"
            return cls(reviewers, by_hand, alone=False, apart=apart)
        allowed = workspace.contracts.surface.promotion.approvals_on_command_line
        where = _way_out(case, workspace.surface, by_command=allowed is not False)
        return cls(reviewers, where, alone=allowed is True and not apart, apart=apart)

    def sign(self, entry: Entry, entries: Sequence[Entry]) -> Entry:
        """Return a move with who signed it."""
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
    """Refuse, before a release is judged, what no role's answer allows: an answer is missing, or one rejects.

    Whether answers are to the evidence that holds now is known only when it was judged.
    """
    rule = workspace.contracts.surface.override
    override = Override(rule.role, support.override, ()) if rule and support.override else None
    before = Rules.model_validate(_released(workspace, part).rules)
    case = PromotionRequest(
        part.version, None, "", (), (), (), "",
        loosened=name_loosened(before, workspace.contracts.surface.rules),
        terms=PromotionTerms(override=override, was_canary=support.stage == CHAMPION, support=support),
    )  # fmt: skip
    signing = Signing.of(workspace, part, case, by)
    if not signing.alone:
        answers = answers_of(entries, run=by.run, release=part.version)
        require_answers(signing.reviewers, answers, evidence=None, way_out=signing.way_out)


def _way_out(case: PromotionRequest, surface: str, *, by_command: bool) -> str:
    """Say where the answers are given that a move on the command line counts."""
    loosened = "; ".join(case.loosened)
    because = (
        f"surface.yaml was loosened since release {case.release} was made: {loosened}. " if loosened else ""
    )
    command = f"equipoise approve {surface} {case.release} --role ROLE --why TEXT"
    command += f" --as-of {case.as_of}" if case.as_of else ""
    support = case.terms.support
    given = {"promotion-why": support.why, "experiment": support.experiment, "waiver": support.waiver}
    command += "".join(f" --{name} {quote(text)}" for name, text in given.items() if text)
    if case.terms.override is not None:
        command += f" --override {quote(case.terms.override.why)}"
    if case.terms.was_canary:
        command += " --stage champion"
    or_type = f", or let each type `{command}` under their own account" if by_command else ""
    answers = f"answers to evidence {case.evidence[:12]}, as of {case.as_of}"
    counts = f"What counts are {answers if case.evidence else 'answers of its reviewers'}: "
    return f"{because}{counts}start the DAG {surface}__promote, where reviewers answer{or_type}"


def answers_of(entries: Sequence[Entry], *, run: str, release: int) -> list[Review]:
    """Return the answers about a release, oldest first: those that an Airflow run was given.

    On the command line, where ``run`` is empty, they are all that were given since the newest move: what was
    approved before it was about another champion, or was used up by it.
    """
    return [
        Review(entry.role or "", entry.by, entry.kind is Kind.APPROVE, entry.evidence or "", entry.why)
        for entry in _told(entries, run, release)
        if entry.kind in ANSWERS
    ]


def _told(entries: Sequence[Entry], run: str, release: int) -> list[Entry]:
    """Return the rows about a release that count for a run, or for the command line."""
    rows = [entry for entry in entries if entry.run == run] if run else since_last_move(entries, release)
    return [entry for entry in rows if entry.release == release]


def standing_reviewers(workspace: Workspace, part: Part) -> dict[str, tuple[str, ...]]:
    """Return each role's current reviewers who reviewed for it when the release was made."""
    before = _released(workspace, part).rules
    return long_standing_reviewers(Rules.model_validate(before), workspace.contracts.surface.rules)


def _released(workspace: Workspace, part: Part) -> ReleaseEvidence:
    """Read what the step that made a release found."""
    return workspace.store.runs.read_evidence(workspace.store.registry.run_id(part), ReleaseEvidence)


def _same_answer(one: Entry, other: Entry) -> bool:
    def key(entry: Entry) -> tuple[object, ...]:
        return entry.kind, entry.run, entry.role, entry.by, entry.release, entry.evidence

    return key(one) == key(other)
