"""The promote step: a release becomes champion, and the old champion becomes previous.

If a surface declares a ramp, the release first serves a share of the users as the canary, by an alias update
of its own. ``moves/ramp.py`` takes it through the stages; after the last stage, the promotion to champion
evaluates the gates again and needs new approvals.

::

    prepare   verify every file once; evaluate the gates against the current champion -> a request with its
              evidence digest
    answers   reviewers' answers in the audit log (answers.py)
    run       prepare the request again, compare it with the approvals -> one audit row, one alias update

A surface evaluates one promotion at a time. A promotion that waits reads the champion afterwards, and
evaluates and writes nothing if nothing remains to do.

The function that evaluates a release again is a parameter, since it is the end of a retrain:
`tasks.pipeline.recheck`. If ``run`` is killed and called again, the update is made once.

In the approve step a reviewer answers on the command line, under their own account. The reviewer's name is
the operating system's name of the process owner; it cannot be typed or set in the environment. A surface must
permit this, since it trusts the accounts of the machine (``approvals_on_command_line``).
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from tasks import progress
from tasks.contracts import Family
from tasks.contracts.gates import Ramp, UserPool
from tasks.errors import ContractError, GateRefused, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.experiments.results import require_ship
from tasks.privacy import process_account
from tasks.promotion.gate import GateResult
from tasks.promotion.moves.answers import Review, Signing, answer, require_any_answers
from tasks.promotion.moves.rules import (
    Actor,
    Override,
    PromotionRequest,
    PromotionSupport,
    PromotionTerms,
    choose_share,
    lift_verdicts,
    refuse_other_contracts,
    refuse_verdict,
    require_reason,
    require_support,
)
from tasks.release.view import ReleaseReader
from tasks.stores.aliases import CANARIES, CHAMPION, ReleaseAliases
from tasks.stores.audit import Entry, Kind, LiveRamp, live_ramps, one_line
from tasks.stores.manifest import Manifest, Part
from tasks.stores.releases import VERDICT
from tasks.stores.workspace import Workspace

_LOG = logging.getLogger("equipoise")


class GateEvaluator(Protocol):
    """Evaluates all gates of a release against the current champion."""

    def __call__(
        self, workspace: Workspace, release: int, /, *, override: str, reader: ReleaseReader
    ) -> GateResult:
        """Evaluate with what ``reader`` has verified; the dossier shows the reason for an override."""


@dataclass(frozen=True)
class MoveResult:
    """The alias update, or None if there was nothing to do, and the resulting champion.

    ``canary``: the requested release, if it is in a ramp. ``ended``: canaries ended by a rollback.
    """

    champion: int
    moved: Entry | None
    canary: int | None = None
    ended: tuple[int, ...] = ()


def prepare(
    workspace: Workspace, *, release: str | int, evaluate_gate: GateEvaluator, support: PromotionSupport
) -> PromotionRequest:
    """Evaluate a release against the current champion.

    Parameters
    ----------
    release : version or alias.
    evaluate_gate : `tasks.pipeline.recheck`.
    support : support of the promotion.
    """
    with _alone(workspace):
        return _prepare(workspace, workspace.releases.part(release), evaluate_gate, support)


def _alone(workspace: Workspace) -> AbstractContextManager[None]:
    """Exclude other promotions of a surface, whose gates read the champion and write evidence."""
    surface = workspace.surface
    return workspace.store.alone(f"{surface}.promotion", doing=f"promoting a release of {surface}")


def _prepare(
    workspace: Workspace, part: Part, evaluate_gate: GateEvaluator, support: PromotionSupport
) -> PromotionRequest:
    moves = workspace.aliases
    aliases = moves.settle(strict=True)
    champion = aliases.get(CHAMPION)
    if champion == part.version:
        raise GateRefused(f"{part} is the champion already. Nothing is left to evaluate or to update")
    if support.experiment:
        require_ship(workspace, support.experiment, release=part.version)
    live = live_ramps(moves.audit.entries())
    terms = make_terms(workspace, part, support, aliases=aliases, live=live)
    if terms.share is not None:
        _free_pool(workspace.contracts.surface.ramp, live)
    progress.report("verify", done=0, of=2)
    _LOG.info("promote: comparing the files of %s with their digests", part)
    reader = ReleaseReader(workspace)
    manifest = _promotable(reader, part)
    compared = f"compared with champion {champion}" if champion else "without a champion"
    _LOG.info("promote: evaluating the gates of %s %s", part, compared)
    with progress.part("evaluate", done=1, of=2):
        gate = evaluate_gate(workspace, part.version, override=support.override or "", reader=reader).evidence
    terms = replace(terms, override=find_override(workspace, gate, why=support.override))
    old = None if champion is None else reader.manifest(champion)
    request = PromotionRequest.of(gate, champion, (manifest, old), terms)
    refuse_verdict(request)
    return request


def make_terms(
    workspace: Workspace,
    part: Part,
    support: PromotionSupport,
    *,
    aliases: Mapping[str, int],
    live: Mapping[int, LiveRamp],
) -> PromotionTerms:
    """Return the terms of a promotion with this support, without its override of the gates' verdicts."""
    ramp, ramped = workspace.contracts.surface.ramp, {version: one.ramped for version, one in live.items()}
    share = choose_share(ramp, stage=support.stage, release=part.version, aliases=aliases, live=ramped)
    return PromotionTerms(share, was_canary=share is None and part.version in live, support=support)


def run(
    workspace: Workspace,
    *,
    release: str | int,
    by: Actor,
    evaluate_gate: GateEvaluator,
    support: PromotionSupport,
) -> MoveResult:
    """Promote a release to champion, or to canary first if the surface declares a ramp.

    Parameters
    ----------
    release : version or alias.
    by : the actor; an Airflow run updates an alias at most once.
    evaluate_gate : `tasks.pipeline.recheck`.
    support : reason; experiment or waiver, if tasks or policies differ from the champion's; an override.
    """
    require_reason(support)
    texts = vars(support) | ({} if by.run else {"by": by.name})
    for name, text in texts.items():
        one_line(name, text or "")
    with _alone(workspace):
        part, moves = workspace.releases.part(release), workspace.aliases
        if done := _already(moves, part, by.run, support.stage):
            return done
        moves.settle(strict=True)
        require_any_answers(workspace, part, by, support, moves.audit.entries())
        request = _prepare(workspace, part, evaluate_gate, support)
        require_support(request)
        return _move(workspace, part, request, by)


def _move(workspace: Workspace, part: Part, request: PromotionRequest, by: Actor) -> MoveResult:
    moves, support = workspace.aliases, request.terms.support
    signing = Signing.of(workspace, part, by, request.terms, loosened=request.gate.loosened, request=request)
    share, override = request.terms.share, request.terms.override
    entry = Entry(
        Kind.PROMOTE if share is None else Kind.CANARY,
        by.name, request.release, request.champion, support.why.strip(), request.evidence,
        experiment=support.experiment, waiver=support.waiver, run=by.run, sha256=part.sha256,
        loosened="; ".join(request.gate.loosened) or None,
        override=None if override is None else str(override), share=share,
    )  # fmt: skip
    if share is None:
        _LOG.info("promote: moving the champion from %s to %s", request.champion or "none", request.release)
    else:
        _LOG.info("promote: moving the canary to %s, with a share of %g", request.release, share)
    ramp = workspace.contracts.surface.ramp
    moved = moves.add(lambda entries, aliases: _decide(entry, entries, aliases, signing, ramp))
    return _result(moves, part, moved)


def _decide(
    entry: Entry, entries: Sequence[Entry], aliases: Mapping[str, int], signing: Signing, ramp: Ramp | None
) -> Entry | None:
    """Return the alias update, or None if it was made already; raise GateRefused if its basis has changed."""
    champion, live = aliases.get(CHAMPION), live_ramps(entries)
    is_there = entry.release in live and entry.kind is Kind.CANARY
    if _has_moved(entries, entry.run) or champion == entry.release or is_there:
        return None
    if champion != entry.champion:
        raise GateRefused(
            f"The champion was {entry.champion} and is {champion} now: release {entry.release} was evaluated "
            "against another. Start the promotion again."
        )
    if entry.kind is Kind.CANARY:
        entry = replace(entry, pool=_free_pool(ramp, live))
    return signing.sign(entry, entries)


def _free_pool(ramp: Ramp | None, live: Mapping[int, LiveRamp]) -> str | None:
    """Return a free pool of users as an audit row stores it; raise GateRefused if there is none."""
    pool = UserPool() if ramp is None else ramp.free_pool([one.pool for one in live.values()])
    if pool is not None:
        return None if pool.whole else str(pool)
    raise GateRefused(
        f"Release {' and '.join(map(str, live))} is in its ramp, and no pool of users is free (ramp.pools of "
        "surface.yaml). Wait for its end, end it with `equipoise rollback`, or declare disjoint pools: "
        "ramp: {pools: [0.5, 0.5]}"
    )


def _promotable(reader: ReleaseReader, part: Part) -> Manifest:
    """Return the manifest of a release that is complete, evaluated and not from a backfill."""
    if VERDICT not in reader.registry.tags(part):
        raise GateRefused(f"{part} was never evaluated: its retrain did not end. Run it again to the end")
    if problems := reader.verified(part.version).problems:
        raise StoreError(f"{part} is not whole: {problems[0]}")
    manifest = reader.manifest(part.version)
    if manifest.backfilled:
        raise ContractError(f"{part} was made by a backfill: it shows the past and is never promoted")
    refuse_other_contracts(manifest, reader.workspace.contracts.digests)
    return manifest


def _already(moves: ReleaseAliases, part: Part, run: str, stage: str | None) -> MoveResult | None:
    """Return the result if nothing remains to do: the release is there, or this run made its update.

    A canary becomes champion only if that stage is requested, so a repeated command has the same meaning.
    """
    aliases = moves.settle()
    entries = moves.audit.entries()
    if CHAMPION in aliases and _has_moved(entries, run):
        return _result(moves, part, None)
    is_canary = part.version in live_ramps(entries) and stage != CHAMPION
    if (aliases.get(CHAMPION) == part.version or is_canary) and moves.mismatch() is None:
        return _result(moves, part, None)
    return None


def _result(moves: ReleaseAliases, part: Part, moved: Entry | None) -> MoveResult:
    aliases = moves.settle()
    ramps = part.version in {aliases.get(alias) for alias in CANARIES}
    return MoveResult(aliases[CHAMPION], moved, part.version if ramps else None)


def _has_moved(entries: Sequence[Entry], run: str) -> bool:
    return bool(run) and any(entry.sets_alias and entry.run == run for entry in entries)


def find_override(workspace: Workspace, gate: GateEvidence, *, why: str | None) -> Override | None:
    """Return the override of the gates' verdicts, or None if none is requested."""
    if why is None:
        return None
    contracts = workspace.contracts
    return lift_verdicts(
        gate.verdicts,
        rule=contracts.surface.override,
        why=why,
        safety=(name for name, task in contracts.tasks.tasks.items() if task.family is Family.SAFETY),
        inconclusive=contracts.surface.gates.inconclusive,
    )


@dataclass(frozen=True)
class ApproveResult:
    """A reviewer's answer to an evidence digest, and the warnings of the gates."""

    release: int
    champion: int | None
    role: str
    by: str
    approves: bool
    evidence: str
    as_of: str
    warnings: list[str]


def approve(
    workspace: Workspace,
    review: Review,
    *,
    release: str | int,
    support: PromotionSupport,
    evaluate_gate: GateEvaluator,
) -> ApproveResult:
    """Evaluate a release against the current champion, and record a reviewer's answer to this evidence.

    Parameters
    ----------
    review : the reviewer's answer (`account_name`), with a prefix of the evidence digest they read.
    release : version or alias.
    support : support of the promotion with its reason: an approval is valid for no other support.
    evaluate_gate : `tasks.pipeline.recheck`.
    """
    if workspace.contracts.surface.promotion.approvals_on_command_line is False:
        raise ContractError(
            f"{workspace.surface} takes no approvals on the command line (surface.yaml, promotion."
            f"approvals_on_command_line): review it in the DAG {workspace.surface}__promote"
        )
    if not review.why.strip():
        raise ContractError("A review needs a reason (--why)")
    why = one_line("why", review.why)
    request = prepare(workspace, release=release, evaluate_gate=evaluate_gate, support=support)
    if not request.evidence.startswith(review.evidence):
        raise GateRefused(
            f"The evidence for release {request.release} is {request.evidence[:12]} now, not "
            f"{review.evidence[:12]}: review it again"
        )
    answer(workspace, replace(review, evidence=request.evidence, why=why), release=request.release, run="")
    return ApproveResult(
        request.release,
        request.champion,
        review.role,
        review.by,
        review.approves,
        request.evidence,
        request.as_of,
        list(request.gate.warnings),
    )


def account_name() -> str:
    """Return the account name of this process."""
    name = process_account()
    if name is None:
        raise ContractError("This account has no name on this machine, so it cannot be a reviewer's")
    return name
