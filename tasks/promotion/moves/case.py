"""The case of a promotion: made once, shown to each reviewer, and who agreed to it.

::

    make        refuse early what the move would refuse  -> release, champion, evidence digest
    show        the page of that very case, from the registry and the dossier; of another it shows nothing
    approvers   who approved, by the audit

What a reviewer reads comes from the stores alone: Airflow's users can write what its steps hand on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tasks.contracts import digest
from tasks.errors import ContractError, GateRefused, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.promotion.compose import pinned_utility
from tasks.promotion.moves import promote
from tasks.promotion.moves.answers import answers_of
from tasks.promotion.moves.case_page import write_case
from tasks.promotion.moves.promote import GateEvaluator
from tasks.promotion.moves.rules import (
    PromotionRequest,
    PromotionSupport,
    PromotionTerms,
    changed_contracts,
    choose_share,
    evidence_digest,
    require_support,
)
from tasks.promotion.pages.changes import Weighing, list_changes
from tasks.promotion.pages.first_screen import FirstScreen, ReleaseHeader, first_screen
from tasks.reports.words import Vocabulary, vocabulary
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import has_ramped
from tasks.stores.manifest import Manifest
from tasks.stores.releases import release_manifest, release_part
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class RequestedPromotion:
    """What a promotion is about, and as of when; ``run_id`` is the gate's run, which keeps the dossier.

    ``share`` of the traffic where it is to be the canary, ``override`` in words where there is one.
    """

    release: int
    champion: int | None
    evidence: str
    run_id: str
    as_of: str
    share: float | None = None
    override: str = ""


def make(
    workspace: Workspace, *, release: str | int, why: str, support: PromotionSupport, judge: GateEvaluator
) -> RequestedPromotion:
    """Judge a release beside the current champion, and refuse what its promotion would be refused for."""
    if not why.strip():
        raise ContractError("A promotion needs a reason: say why")
    support = replace(support, why=why)
    case = promote.prepare(workspace, release=release, judge=judge, support=support)
    require_support(case, support)
    run_id = _gate_run(workspace, case.release)
    override = "" if case.terms.override is None else str(case.terms.override)
    return RequestedPromotion(
        case.release, case.champion, case.evidence, run_id, case.as_of, case.terms.share, override
    )


def show(
    workspace: Workspace,
    *,
    release: int,
    evidence: str,
    why: str,
    support: PromotionSupport,
    links: Mapping[str, str],
) -> str:
    """Write the page of a case.

    Parameters
    ----------
    evidence : digest of the case; what the stores hold now must have the same.
    why, support : as they were given for the promotion.
    links : addresses by their words.
    """
    part = release_part(workspace, release)
    aliases = workspace.store.registry.aliases(part.name)
    champion = aliases.get(CHAMPION)
    terms = _terms(workspace, release, aliases, replace(support, why=why))
    manifest = release_manifest(workspace, release)
    old = None if champion is None else release_manifest(workspace, champion)
    dossier = _dossier(workspace, release)
    gates, rules = [verdict.to_json() for verdict in dossier.gates], digest(dossier.rules)
    if evidence_digest(manifest, old, gates, rules=rules, terms=terms) != evidence:
        raise GateRefused(
            f"What speaks for {part} has changed since its case was made. Start the promotion anew, so that "
            "it is seen"
        )
    case = PromotionRequest(
        release=release,
        champion=champion,
        verdict=dossier.verdict,
        reasons=dossier.reasons,
        warnings=dossier.warnings,
        changed=changed_contracts(manifest.contracts, None if old is None else old.contracts),
        evidence=evidence,
        loosened=dossier.loosened,
        terms=terms,
        canary_permitted=dossier.canary_permitted,
    )
    words = vocabulary(workspace.contracts, champion=champion)
    first = _first_screen(workspace, case, dossier, (manifest, old), words)
    return write_case(case, dossier.verdicts, first, why=why, support=support, links=links)


def _terms(
    workspace: Workspace, release: int, aliases: Mapping[str, int], support: PromotionSupport
) -> PromotionTerms:
    """Return the terms of a promotion that is asked for with this support."""
    ramp, ramped = workspace.contracts.surface.ramp, has_ramped(workspace.audit.entries())
    share = choose_share(ramp, stage=support.stage, release=release, aliases=aliases, ramped=ramped)
    override = promote.find_override(workspace, _gate_run(workspace, release), why=support.override)
    return PromotionTerms(share, override, support=support)


def approvers(workspace: Workspace, *, release: int, run: str) -> str:
    """Name who approved a release in an Airflow run, as in ``ana, sam``."""
    answers = answers_of(workspace.audit.entries(), run=run, release=release)
    newest = {answer.role: answer for answer in answers}
    return ", ".join(sorted({answer.by for answer in newest.values() if answer.approves}))


def _dossier(workspace: Workspace, release: int) -> GateEvidence:
    """Read what the gate wrote of a release the last time."""
    return workspace.store.runs.read_evidence(_gate_run(workspace, release), GateEvidence)


def _gate_run(workspace: Workspace, release: int) -> str:
    run = workspace.store.runs.newest(workspace.surface, step="gate", release=release)
    if run is None:
        raise StoreError(f"MLflow holds no finished run of the gate on release {release}: judge it again")
    return run


def _first_screen(
    workspace: Workspace,
    case: PromotionRequest,
    dossier: GateEvidence,
    manifests: tuple[Manifest, Manifest | None],
    words: Vocabulary,
) -> FirstScreen:
    """Make the first screen of the dossier from what the stores hold, not from what was written of it."""
    manifest, old = manifests
    weighing = Weighing(
        pinned_utility(workspace, manifest), None if old is None else pinned_utility(workspace, old)
    )
    subject = ReleaseHeader(workspace.surface, case.release, case.champion, dossier.verdict)
    return first_screen(subject, dossier.verdicts, list_changes(manifest, old, weighing), words)
