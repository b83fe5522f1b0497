"""Evaluate the readiness of a surface from its contracts, a release with its evidence, and the audit log.

::

    champion, else the newest release -> manifest, evidence of its gates
    audit log -> promotions whose contracts differ from the previous champion's

The items of the checklist, by source::

    contracts   tasks explicit, windows defined, utility weights separate, guardrails defined,
                hard constraints are filters, business balanced with user value, reranker for slates
    release     maturity handled, masks, loss weights versioned, predictions calibrated,
                composition versioned, segments monitored, delayed outcomes no negatives, component view
    audit log   policy changes tracked as experiments

An item on the contracts also checks the release, if there is one. Other items report what is missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.errors import ContractError, StoreError
from tasks.evaluation.evidence import ValidationEvidence
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.gates.policy import changed_contracts
from tasks.promotion.readiness.facts import (
    AuditTrail,
    GateReading,
    PolicyMove,
    ReadinessFacts,
    ReadinessLine,
    ReadRelease,
    State,
    conclusive_decisions,
)
from tasks.promotion.readiness.lines import readiness_lines
from tasks.replay.evidence import SimulationEvidence
from tasks.stores.aliases import CHAMPION, release_name
from tasks.stores.audit import Entry, Kind
from tasks.stores.manifest import Part
from tasks.stores.runs import D
from tasks.stores.workspace import Workspace

_LOOKED_AT: Final = 10
"""Number of earlier releases that are searched for a conclusive verdict on a guardrail."""


@dataclass(frozen=True)
class ReadinessResult:
    """Every item, the release it was evaluated on (champion or newest), and whether none is unmet."""

    surface: str
    release: int | None
    champion: bool
    ready: bool
    lines: tuple[ReadinessLine, ...]


def run(workspace: Workspace) -> ReadinessResult:
    """Evaluate the readiness of a surface."""
    facts = ReadinessFacts(workspace.contracts, _release(workspace), read_audit(workspace))
    lines = readiness_lines(facts)
    return ReadinessResult(
        surface=workspace.surface,
        release=facts.release.version if facts.release else None,
        champion=facts.release is not None and facts.release.champion,
        ready=all(line.state is not State.NOT_MET for line in lines),
        lines=lines,
    )


def read_audit(workspace: Workspace) -> AuditTrail:
    """Read which promotions changed tasks or policies; an invalid audit log becomes ``problem``, no error."""
    moves = workspace.aliases
    try:
        mismatch = moves.mismatch()
        if mismatch is not None:
            return AuditTrail(problem=str(mismatch))
        promotions = [entry for entry in moves.audit.entries() if entry.kind is Kind.PROMOTE]
    except StoreError as error:
        return AuditTrail(problem=str(error))
    return AuditTrail(len(promotions), tuple(_policy_moves(workspace, promotions)))


def _policy_moves(workspace: Workspace, promotions: Iterable[Entry]) -> Iterator[PolicyMove]:
    for entry in promotions:
        if entry.champion is None:
            continue
        try:
            after, before = (workspace.releases.manifest(one) for one in (entry.release, entry.champion))
        except (ContractError, StoreError):  # the release was deleted since: nothing to compare
            continue
        if changed := changed_contracts(after.contracts, before.contracts):
            yield PolicyMove(entry.number, entry.release, changed, entry.experiment, entry.waiver)


def _release(workspace: Workspace) -> ReadRelease | None:
    """Return the champion, else the newest release, with its evidence."""
    registry, name = workspace.store.registry, release_name(workspace.surface)
    champion = registry.aliases(name).get(CHAMPION)
    part = registry.part(name, champion) if champion else next(iter(registry.versions(name)), None)
    if part is None:
        return None
    reading = _read_gates(workspace, part)
    verdicts = () if reading is None else reading.verdicts
    return ReadRelease(
        version=part.version,
        champion=champion is not None,
        manifest=workspace.releases.manifest(part.version),
        run=registry.run_id(part),
        reading=reading,
        conclusive_before=conclusive_before(workspace, part.version, verdicts),
    )


def _read_gates(workspace: Workspace, part: Part) -> GateReading | None:
    run_id = workspace.store.runs.newest(workspace.surface, step="gate", release=part.version)
    if run_id is None:
        return None
    evidence = workspace.store.runs.read_evidence(run_id, GateEvidence)
    return GateReading(
        run=run_id,
        verdicts=evidence.gates,
        validation=_found(workspace, evidence.runs.validation, ValidationEvidence),
        simulation=_found(workspace, evidence.runs.simulation, SimulationEvidence),
        runs=evidence.runs,
    )


def conclusive_before(workspace: Workspace, release: int, verdicts: Sequence[Verdict]) -> frozenset[str]:
    """Return the guardrails that are inconclusive here and were conclusive for an earlier release.

    The newest releases before this one are examined, as far as their gate evidence can be read.
    """
    metrics = {rail.metric for rail in workspace.contracts.utility.guardrails}
    left = metrics - conclusive_decisions(verdicts)
    found: set[str] = set()
    parts = workspace.store.registry.versions(release_name(workspace.surface)) if left else ()
    for part in [part for part in parts if part.version < release][:_LOOKED_AT]:
        run = workspace.store.runs.newest(workspace.surface, step="gate", release=part.version)
        evaluated = _found(workspace, run or "", GateEvidence)
        found |= left & conclusive_decisions(() if evaluated is None else evaluated.gates)
        if found == left:
            break
    return frozenset(found)


def _found(workspace: Workspace, run_id: str, kind: type[D]) -> D | None:
    """Return the evidence of a run, or None if it is lost; the items that need it report that."""
    try:
        return workspace.store.runs.read_evidence(run_id, kind) if run_id else None
    except (ContractError, StoreError):
        return None
