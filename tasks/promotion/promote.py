"""The promote step: a release that may be exposed becomes champion; the old one becomes previous.

::

    prepare   every byte verified, gates judged beside the champion of now -> a case, with its evidence digest
    answer    a reviewer's Approve or Reject, written to the audit by the step that they answered
    time_out  that nobody answered for a role in time, written by the step that waited
    run       the case once more, the answers held against it -> one audit row, one move of the alias

What judges a release once more is handed in, since it is the end of a retrain: `tasks.pipeline.recheck`. The
command line calls ``run`` alone. Killed anywhere and run again, the same move is made once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from tasks.contracts.durations import describe_duration
from tasks.contracts.gates import Rules
from tasks.errors import ContractError, GateRefused, StoreError
from tasks.evaluation.evidence import ReleaseEvidence
from tasks.promotion.gate import GateResult
from tasks.promotion.loosened_gates import long_standing_reviewers
from tasks.promotion.rules import (
    Answer,
    Case,
    Mover,
    Question,
    Support,
    changed_contracts,
    evidence_digest,
    refuse_loosened,
    refuse_other_contracts,
    refuse_verdict,
    require_answers,
    require_support,
)
from tasks.release.view import verify_bytes
from tasks.stores.alias_moves import CHAMPION, AliasMoves
from tasks.stores.audit import ANSWERS, NOBODY, Entry, Kind, one_line
from tasks.stores.manifest import Manifest
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.releases import VERDICT, alias_moves, release_manifest, release_part
from tasks.stores.runs import read_evidence
from tasks.stores.workspace import Workspace

_LOG = logging.getLogger("equipoise")


Judge: TypeAlias = Callable[[Workspace, int], GateResult]
"""Judges a version of a release by all gates, beside the current champion."""


@dataclass(frozen=True)
class MoveResult:
    """The move that was made, or None where there was nothing to do, and the champion that it left."""

    champion: int
    moved: Entry | None


def prepare(workspace: Workspace, *, release: str | int, judge: Judge) -> Case:
    """Judge a release beside the current champion.

    Parameters
    ----------
    release : its version, or an alias.
    judge : `tasks.pipeline.recheck`.

    Raises
    ------
    ContractError
        There is no such release, or a backfill made it.
    GateRefused
        It was never judged, its gates hold it, or it was made under other contracts.
    StoreError
        A byte is not what was registered, or somebody moved an alias by hand.
    """
    part = release_part(workspace, release)
    moves = alias_moves(workspace)
    champion = moves.settle().get(CHAMPION)
    _refuse_mismatch(moves)
    _LOG.info("promote: verifying every byte of %s", part)
    manifest = _promotable(workspace, part)
    _LOG.info("promote: judging %s beside %s", part, f"champion {champion}" if champion else "no champion")
    judged = judge(workspace, part.version)
    old = None if champion is None else release_manifest(workspace, champion)
    case = Case(
        release=part.version,
        champion=champion,
        verdict=judged.verdict,
        reasons=tuple(judged.reasons),
        warnings=tuple(judged.warnings),
        changed=changed_contracts(manifest.contracts, None if old is None else old.contracts),
        evidence=evidence_digest(manifest, old, judged.gates, rules=judged.rules),
        loosened=tuple(judged.loosened),
        as_of=judged.judged_as_of,
    )
    refuse_verdict(case)
    return case


def answer(workspace: Workspace, reply: Answer, *, release: int, run: str) -> None:
    """Write a reviewer's answer to the audit; the same answer once more adds nothing.

    Parameters
    ----------
    run : the Airflow run that asked.

    Raises
    ------
    ContractError
        They are no reviewer of the role, are one only since the release was made, or reject without a reason.
    StoreError
        The audit cannot be believed, or the registry is younger than it.
    """
    by, role = reply.by, reply.role
    users = workspace.contracts.surface.reviewers.get(role, ())
    if by not in users:
        raise ContractError(f"{by} is no reviewer of {role}; surface.yaml names {', '.join(users) or 'none'}")
    standing = _reviewers(workspace, release_part(workspace, release))[role]
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
        return None if any(_same_answer(entry, known) for known in entries) else entry

    alias_moves(workspace).add(once)


def time_out(workspace: Workspace, question: Question, *, waited: timedelta) -> None:
    """Write to the audit that nobody answered for a role; the same once more adds nothing.

    Parameters
    ----------
    waited : how long the role had for its answer.

    Raises
    ------
    ContractError
        There is no such release.
    StoreError
        The audit cannot be believed, or the registry is younger than it.
    """
    part = release_part(workspace, question.release)
    why = f"no answer within {describe_duration(waited)}"

    def once(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        entry = Entry(
            Kind.TIME_OUT, NOBODY, part.version, aliases.get(CHAMPION), why, question.evidence,
            role=question.role, run=question.run,
        )  # fmt: skip
        return None if any(_same_answer(entry, known) for known in entries) else entry

    alias_moves(workspace).add(once)


def run(
    workspace: Workspace,
    *,
    release: str | int,
    why: str,
    by: Mover,
    judge: Judge,
    support: Support = Support(),  # noqa: B008  # frozen
) -> MoveResult:
    """Let a release be the champion.

    Parameters
    ----------
    release : its version, or an alias.
    why : the reason, kept in the audit.
    by : who moves it; an Airflow run moves an alias at most once.
    judge : `tasks.pipeline.recheck`.
    support : the online experiment, or the waiver, where tasks or policies are not the champion's.

    Raises
    ------
    ContractError
        There is no such release, a reason or what supports a changed policy is missing.
    GateRefused
        A gate holds it, a role did not approve this evidence, or the champion changed meanwhile.
    StoreError
        A byte is not what was registered, or somebody moved an alias by hand.
    """
    if not why.strip():
        raise ContractError("A promotion needs a reason: say why")
    texts = {"why": why, **vars(support)} | ({} if by.run else {"by": by.name})
    for name, text in texts.items():
        one_line(name, text or "")
    part, moves = release_part(workspace, release), alias_moves(workspace)
    if done := _already(moves, part, by.run):
        return done
    case = prepare(workspace, release=part.version, judge=judge)
    require_support(case, support)
    if not by.run:
        refuse_loosened(case, workspace.surface)
    entry = Entry(
        Kind.PROMOTE, by.name, case.release, case.champion, why.strip(), case.evidence,
        experiment=support.experiment, waiver=support.waiver, run=by.run, sha256=part.sha256,
        loosened="; ".join(case.loosened) or None,
    )  # fmt: skip
    reviewers = _required_reviewers(workspace, part) if by.run else {}
    _LOG.info("promote: moving the champion from %s to %s", case.champion or "none", case.release)
    moved = moves.add(lambda entries, aliases: _decide(entry, entries, aliases.get(CHAMPION), reviewers))
    return MoveResult(moves.settle()[CHAMPION], moved)


def _decide(
    entry: Entry, entries: Sequence[Entry], champion: int | None, reviewers: Mapping[str, Sequence[str]]
) -> Entry | None:
    """Return the move, or None where it is made already; refuse it where it no longer rests on what is so."""
    if _has_moved(entries, entry.run) or champion == entry.release:
        return None
    if champion != entry.champion:
        raise GateRefused(
            f"The champion was {entry.champion} and is {champion} now: release {entry.release} was judged "
            "beside another. Start the promotion anew."
        )
    answers = answers_of(entries, run=entry.run, release=entry.release)
    require_answers(reviewers, answers, evidence=entry.evidence or "")
    return entry


def answers_of(entries: Sequence[Entry], *, run: str, release: int) -> list[Answer]:
    """Return the answers that an Airflow run was given about a release, oldest first."""
    return [
        Answer(entry.role or "", entry.by, entry.kind is Kind.APPROVE, entry.evidence or "", entry.why)
        for entry in entries
        if entry.run == run and entry.release == release and entry.kind in ANSWERS
    ]


def _refuse_mismatch(moves: AliasMoves) -> None:
    if mismatch := moves.mismatch():
        raise StoreError(f"{mismatch}.")


def _promotable(workspace: Workspace, part: Part) -> Manifest:
    """Return the manifest of a release that is whole, was judged and is no backfill's."""
    if VERDICT not in Registry(workspace.home).tags(part):
        raise GateRefused(f"{part} was never judged: its retrain did not end. Run it again to the end")
    if problems := verify_bytes(workspace, part).problems:
        raise StoreError(f"{part} is not whole: {problems[0]}")
    manifest = release_manifest(workspace, part.version)
    if manifest.backfilled:
        raise ContractError(f"{part} was made by a backfill: it shows the past and is never promoted")
    refuse_other_contracts(manifest, workspace.contracts.digests)
    return manifest


def _required_reviewers(workspace: Workspace, part: Part) -> dict[str, tuple[str, ...]]:
    """Return who may answer about a release for each role that the utility policy names."""
    standing = _reviewers(workspace, part)
    return {role: standing[role] for role in workspace.contracts.utility.approvals}


def _reviewers(workspace: Workspace, part: Part) -> dict[str, tuple[str, ...]]:
    """Return each role's reviewers of now who reviewed for it when the release was made."""
    run = Registry(workspace.home).run_id(part)
    before = read_evidence(workspace.home, run, ReleaseEvidence).rules or {}
    return long_standing_reviewers(Rules.model_validate(before), workspace.contracts.surface.rules)


def _already(moves: AliasMoves, part: Part, run: str) -> MoveResult | None:
    """Return the result where there is nothing to do: it is champion, or this run has made its move."""
    champion = moves.settle().get(CHAMPION)
    if champion is not None and _has_moved(moves.audit.entries(), run):
        return MoveResult(champion, None)
    if champion == part.version and moves.mismatch() is None:
        return MoveResult(champion, None)
    return None


def _has_moved(entries: Sequence[Entry], run: str) -> bool:
    return bool(run) and any(entry.moves and entry.run == run for entry in entries)


def _same_answer(one: Entry, other: Entry) -> bool:
    def key(entry: Entry) -> tuple[object, ...]:
        return entry.kind, entry.run, entry.role, entry.by, entry.release, entry.evidence

    return key(one) == key(other)
