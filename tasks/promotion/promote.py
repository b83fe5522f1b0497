"""The promote step: a release that may be exposed becomes champion; the old one becomes previous.

::

    prepare   every byte verified, gates judged beside the champion of now -> a case, with its evidence digest
    answers   of reviewers, in the audit (answers.py)
    run       the case once more, the answers held against it -> one audit row, one move of the alias

What judges a release once more is handed in, since it is the end of a retrain: `tasks.pipeline.recheck`. The
command line calls ``run`` alone. Killed anywhere and run again, the same move is made once.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tasks.errors import ContractError, GateRefused, StoreError
from tasks.promotion.answers import Signing
from tasks.promotion.gate import GateResult
from tasks.promotion.rules import (
    Case,
    Mover,
    Support,
    changed_contracts,
    evidence_digest,
    refuse_other_contracts,
    refuse_verdict,
    require_support,
)
from tasks.release.view import verify_bytes
from tasks.stores.alias_moves import CHAMPION, AliasMoves
from tasks.stores.audit import Entry, Kind, one_line
from tasks.stores.manifest import Manifest
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.releases import VERDICT, alias_moves, release_manifest, release_part
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
    signing = Signing.of(workspace, part, case, by)
    entry = Entry(
        Kind.PROMOTE, by.name, case.release, case.champion, why.strip(), case.evidence,
        experiment=support.experiment, waiver=support.waiver, run=by.run, sha256=part.sha256,
        loosened="; ".join(case.loosened) or None,
    )  # fmt: skip
    _LOG.info("promote: moving the champion from %s to %s", case.champion or "none", case.release)
    moved = moves.add(lambda entries, aliases: _decide(entry, entries, aliases.get(CHAMPION), signing))
    return MoveResult(moves.settle()[CHAMPION], moved)


def _decide(entry: Entry, entries: Sequence[Entry], champion: int | None, signing: Signing) -> Entry | None:
    """Return the move, or None where it is made already; refuse it where it no longer rests on what is so."""
    if _has_moved(entries, entry.run) or champion == entry.release:
        return None
    if champion != entry.champion:
        raise GateRefused(
            f"The champion was {entry.champion} and is {champion} now: release {entry.release} was judged "
            "beside another. Start the promotion anew."
        )
    return signing.sign(entry, entries)


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
