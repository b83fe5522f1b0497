"""Compose the dossier of a release from the stores, and write its page again; nothing is evaluated here.

::

    evidence of each step + verdicts + contracts in force + the champion's manifest and policy  ->  Dossier

A page is written again from the release's newest gate run. The page of a single segment is for a reader who
may not see other segments. It contains only that segment's verdicts; figures over all segments are in the
dossier alone.
"""

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tasks.calibration.pictures import gather_pictures
from tasks.errors import ContractError, StoreError, unknown
from tasks.evaluation.evidence import ValidationEvidence
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence, ReleaseEvidence
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Verdict
from tasks.experiments.offline import compare_experiments, find_surrogates
from tasks.promotion.pages.changes import count_worths, list_changes
from tasks.promotion.pages.dossier import Documents, Dossier, MlflowPages
from tasks.promotion.provenance import read_gates
from tasks.promotion.readiness.checklist import conclusive_before, read_audit
from tasks.promotion.readiness.facts import GateReading, ReadinessFacts, ReadinessLine, ReadRelease
from tasks.promotion.readiness.lines import readiness_lines
from tasks.release.view import ReleaseReader, release_policy
from tasks.replay.evidence import ShadowEvidence, SimulationEvidence
from tasks.reports.charts import draw_rails
from tasks.reports.phrases import Vocabulary, phrase_verdict, say_outcomes, vocabulary
from tasks.reports.render import render
from tasks.settings import Settings
from tasks.stores.aliases import CHAMPION
from tasks.stores.workspace import Workspace, write_report


def read_documents(workspace: Workspace, runs: EvidenceRuns) -> Documents:
    """Read the evidence documents of these runs."""
    read = workspace.store.runs.read_evidence
    return Documents(
        read(runs.validation, ValidationEvidence),
        read(runs.release, ReleaseEvidence),
        read(runs.simulation, SimulationEvidence),
        read(runs.shadow, ShadowEvidence),
        read(runs.later_validation, ValidationEvidence) if runs.later_validation else None,
    )


def compose_dossier(reader: ReleaseReader, evidence: GateEvidence, documents: Documents) -> Dossier:
    """Compose the dossier of a release after its gates.

    Parameters
    ----------
    reader : cache of the releases that the operation has read.
    evidence, documents : the result of the gates, and their inputs.
    """
    workspace, release = reader.workspace, evidence.release
    manifest, champion = reader.manifest(release), documents.simulation.champion
    old = None if champion is None else reader.manifest(champion)
    utility = release_policy(workspace, manifest)
    old_utility = None if old is None else release_policy(workspace, old)
    mlflow = mlflow_pages(workspace)
    return Dossier(
        evidence,
        documents,
        manifest,
        pictures=gather_pictures(workspace, reader.tested(release), release_run=evidence.runs.release),
        words=vocabulary(workspace.contracts, champion=champion),
        changes=list_changes(manifest, old, utility, old_utility),
        worths=count_worths(utility, workspace.contracts.slate),
        mlflow=mlflow,
        readiness=_readiness(reader, evidence, documents),
        overrides=list_overrides(workspace, release),
        provenance=_provenance(reader, release),
        version_page=mlflow.version(reader.part(release).name, release),
        experiments=compare_experiments(workspace),
        surrogates=find_surrogates(workspace),
    )


def recompose(workspace: Workspace, evidence: GateEvidence) -> Dossier:
    """Compose the dossier of a release again from its stored gate evidence."""
    documents = read_documents(workspace, evidence.runs)
    return compose_dossier(ReleaseReader(workspace), evidence, documents)


def _provenance(reader: ReleaseReader, release: int) -> tuple[str, str]:
    """Return when a release was made and who requested it, and the team that owns the surface."""
    part, registry = reader.part(release), reader.registry
    requester = registry.runs.requester(registry.run_id(part))
    by = f" by {requester}" if requester else ""
    owner = reader.workspace.contracts.surface.owner
    return f"made {registry.made_at(part):%Y-%m-%d %H:%M} UTC{by}", f"owner {owner}"


def mlflow_pages(workspace: Workspace) -> MlflowPages:
    """Return the address of MLflow and the id of the surface's experiment."""
    address = Settings().mlflow_address
    if not address:
        return MlflowPages()
    return MlflowPages(address, workspace.store.runs.experiment_id(workspace.surface))


def _readiness(
    reader: ReleaseReader, evidence: GateEvidence, documents: Documents
) -> tuple[ReadinessLine, ...]:
    """Evaluate the surface's readiness with this release and its new verdicts."""
    workspace, release, verdicts, runs = reader.workspace, evidence.release, evidence.verdicts, evidence.runs
    read_release = ReadRelease(
        version=release,
        champion=workspace.releases.find(CHAMPION) == release,
        manifest=reader.manifest(release),
        run=runs.release,
        reading=GateReading("", verdicts, documents.validation, documents.simulation, runs),
        conclusive_before=conclusive_before(workspace, release, verdicts),
    )
    return readiness_lines(ReadinessFacts(workspace.contracts, read_release, read_audit(workspace)))


def list_overrides(workspace: Workspace, release: int) -> tuple[str, ...]:
    """Describe who overrode gates that held the release, and why, by the audit log.

    Empty if the audit log cannot be read: readiness reports that, and it stops every promotion.
    """
    try:
        entries = workspace.audit.entries()
    except StoreError:
        return ()
    lifted = (entry for entry in entries if entry.release == release and entry.override)
    return tuple(f"By {entry.by}: {entry.override}" for entry in lifted)


@dataclass(frozen=True)
class ShownDossier:
    """A release's verdict and the path of its page; ``opened``: whether a browser opened the page."""

    release: int
    verdict: str
    dossier: str
    opened: bool


def write_page(
    workspace: Workspace, *, release: str | int, browse: bool, segment: Segment | None = None
) -> ShownDossier:
    """Write the dossier of a release, or the page of one segment, from its newest gate run."""
    part = workspace.releases.part(release)
    gate_evidence = read_gates(workspace, part.version)
    if gate_evidence is None:
        raise ContractError(
            f"No gate has evaluated {part}: it has no dossier. Retrain, or promote it, and it is evaluated."
        )
    if segment is None:
        tagged = workspace.store.registry.tags(part).get("dossier")
        name = Path(tagged).name if tagged else f"dossier-release-{part.version}.html"
        page = recompose(workspace, gate_evidence).to_html()
    else:
        name = f"release-{part.version}-{quote(segment.column, safe='')}-{quote(segment.value, safe='')}.html"
        simulation = workspace.store.runs.read_evidence(gate_evidence.runs.simulation, SimulationEvidence)
        words = vocabulary(workspace.contracts, champion=simulation.champion)
        title = f"{workspace.surface} release {part.version}"
        page = write_segment_page(title, segment, gate_evidence.verdicts, words)
    path = write_report(workspace, name, page)
    opened = browse and webbrowser.open(Path(path).resolve().as_uri())
    return ShownDossier(part.version, gate_evidence.verdict, str(path), opened)


def write_segment_page(title: str, segment: Segment, verdicts: Sequence[Verdict], words: Vocabulary) -> str:
    """Write the page of one segment: a chart of its limits, and every verdict."""
    found = [verdict for verdict in verdicts if verdict.segment == segment]
    if not found:
        known = {str(verdict.segment) for verdict in verdicts if verdict.segment != ALL}
        raise ContractError(unknown("segment", str(segment), known, where="the verdicts"))
    as_whole = [replace(verdict, segment=ALL) for verdict in found]
    return render(
        "segment.html.j2",
        title=f"{title}: {segment.column} {segment.value}",
        facts=[say_outcomes(found)],
        rails=draw_rails(as_whole, words),
        beside=words.baseline,
        sentences=[phrase_verdict(verdict, words) for verdict in as_whole],
    )
