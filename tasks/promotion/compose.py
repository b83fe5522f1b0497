"""The compose step: what the stores hold of a release becomes its dossier; nothing is judged here.

::

    evidence of each step + verdicts + contracts in force, the champion's manifest and policy  ->  Dossier
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.calibration.pictures import gather_pictures
from tasks.contracts import UtilitySpec
from tasks.errors import StoreError
from tasks.evaluation.evidence import ValidationEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence, ReleaseEvidence
from tasks.evaluation.verdicts import Verdict
from tasks.experiments.offline import compare_experiments
from tasks.experiments.surrogates import find_surrogates
from tasks.promotion.decision import GateDecision
from tasks.promotion.pages.calibration import UtilitySensitivity, utility_sensitivity
from tasks.promotion.pages.changes import Weighing, count_worths, list_changes, list_largest_changes
from tasks.promotion.pages.dossier import Dossier
from tasks.promotion.pages.first_screen import Provenance
from tasks.promotion.pages.lineage import MlflowPages
from tasks.promotion.readiness.checklist import conclusive_before, read_audit, readiness_lines
from tasks.promotion.readiness.facts import GateReading, ReadinessFacts, ReadinessLine, ReadRelease
from tasks.release.sensitivity import sensitivities, slot_ratios, whole_ratios
from tasks.release.view import ReleaseReader
from tasks.replay.evidence import ShadowEvidence, SimulationEvidence
from tasks.reports.words import vocabulary
from tasks.settings import Settings
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import Manifest, Role
from tasks.stores.policies import POLICY_FILE
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace, format_instant


@dataclass(frozen=True)
class Documents:
    """The evidence of each step."""

    validation: ValidationEvidence
    release: ReleaseEvidence
    simulation: SimulationEvidence
    shadow: ShadowEvidence
    later_validation: ValidationEvidence | None

    @classmethod
    def read(cls, home: Path, runs: EvidenceRuns) -> "Documents":
        """Read the documents of these runs."""
        return cls(
            Store.open(home).runs.read_evidence(runs.validation, ValidationEvidence),
            Store.open(home).runs.read_evidence(runs.release, ReleaseEvidence),
            Store.open(home).runs.read_evidence(runs.simulation, SimulationEvidence),
            Store.open(home).runs.read_evidence(runs.shadow, ShadowEvidence),
            Store.open(home).runs.read_evidence(runs.later_validation, ValidationEvidence)
            if runs.later_validation
            else None,
        )


@dataclass(frozen=True)
class GateRecord:
    """What the gates said of a release, and by which rules; ``as_of``: when its parts' age was taken."""

    verdicts: Sequence[Verdict]
    decision: GateDecision
    as_of: datetime | str
    rules: dict[str, object]
    loosened: tuple[str, ...]


def compose_dossier(
    reader: ReleaseReader, release: int, runs: EvidenceRuns, documents: Documents, record: GateRecord
) -> Dossier:
    """Compose the dossier of a release.

    Parameters
    ----------
    reader : what the operation has read of releases.
    release : its version.
    runs, documents : what it was judged by.
    record : what came of it.
    """
    workspace, manifest, simulation = reader.workspace, reader.manifest(release), documents.simulation
    tasks = documents.release.tasks
    champion = simulation.champion
    old = None if champion is None else reader.manifest(champion)
    as_of = record.as_of if isinstance(record.as_of, str) else format_instant(record.as_of)
    utility = pinned_utility(workspace, manifest)
    old_utility = None if old is None else pinned_utility(workspace, old)
    return Dossier(
        surface=workspace.surface,
        release=release,
        as_of=format_instant(manifest.as_of),
        evaluated_as_of=as_of,
        decision=record.decision,
        verdicts=record.verdicts,
        tasks=tasks,
        manifest=manifest,
        runs=runs,
        notes=simulation.notes,
        slots=slot_ratios(simulation.measured),
        utility=_slot_utility(simulation, tasks),
        pictures=gather_pictures(workspace, reader.tested(release), release_run=runs.release),
        proxies=documents.release.proxies,
        conflicts=documents.release.conflicts,
        rules=record.rules,
        loosened=record.loosened,
        champion=champion,
        words=vocabulary(workspace.contracts, champion=champion),
        changes=list_changes(manifest, old, Weighing(utility, old_utility)),
        worths=count_worths(utility, workspace.contracts.slate),
        largest_changes=list_largest_changes(simulation.measured),
        validation=documents.later_validation or documents.validation,
        shadow=documents.shadow,
        mlflow=mlflow_pages(workspace),
        readiness=_readiness(reader, release, runs, documents, record),
        overrides=list_overrides(workspace, release),
        provenance=_provenance(reader, release),
        inputs=documents.release.inputs,
        models=documents.release.models,
        experiments=compare_experiments(workspace),
        surrogates=find_surrogates(workspace),
    )


def recompose(workspace: Workspace, release: int, evidence: GateEvidence) -> Dossier:
    """Compose the dossier of a release that was judged before, from what its gate kept."""
    reader = ReleaseReader(workspace)
    runs = evidence.runs
    decision = GateDecision(evidence.reasons, evidence.warnings, evidence.canary_permitted)
    record = GateRecord(
        evidence.verdicts,
        decision,
        evidence.evaluated_as_of or evidence.as_of,
        evidence.rules,
        (),  # the warnings say already what was loosened
    )
    return compose_dossier(reader, release, runs, Documents.read(workspace.home, runs), record)


def _provenance(reader: ReleaseReader, release: int) -> Provenance:
    part, registry = reader.part(release), reader.registry
    by = registry.runs.requester(registry.run_id(part))
    workspace = reader.workspace
    page = mlflow_pages(workspace).version(part.name, release)
    return Provenance(registry.made_at(part), by, workspace.contracts.surface.owner, page)


def pinned_utility(workspace: Workspace, manifest: Manifest) -> UtilitySpec:
    """Read the utility policy that a release pins."""
    files = workspace.store.registry.files(manifest.part(Role.UTILITY_POLICY))
    return UtilitySpec.model_validate_json(files[POLICY_FILE])


def mlflow_pages(workspace: Workspace) -> MlflowPages:
    """Return where people open MLflow, and the surface's experiment there."""
    address = Settings().mlflow_address
    if not address:
        return MlflowPages()
    return MlflowPages(address, workspace.store.runs.experiment_id(workspace.surface))


def _readiness(
    reader: ReleaseReader, release: int, runs: EvidenceRuns, documents: Documents, record: GateRecord
) -> tuple[ReadinessLine, ...]:
    """Read the readiness of the surface by this release, as its gates just found it."""
    workspace = reader.workspace
    read_release = ReadRelease(
        version=release,
        champion=workspace.releases.find(CHAMPION) == release,
        manifest=reader.manifest(release),
        run=runs.release,
        reading=GateReading("", tuple(record.verdicts), documents.validation, documents.simulation, runs),
        conclusive_before=conclusive_before(workspace, release, record.verdicts),
    )
    return readiness_lines(ReadinessFacts(workspace.contracts, read_release, read_audit(workspace)))


def list_overrides(workspace: Workspace, release: int) -> tuple[str, ...]:
    """Say by whom gates that held the release were overridden, and why, as the audit has it.

    Nothing is said of an audit that cannot be read: readiness says so, and nothing is promoted by it.
    """
    try:
        entries = workspace.audit.entries()
    except StoreError:
        return ()
    lifted = (entry for entry in entries if entry.release == release and entry.override)
    return tuple(f"By {entry.by}: {entry.override}" for entry in lifted)


def _slot_utility(simulation: SimulationEvidence, tasks: Sequence[TaskFigures]) -> UtilitySensitivity | None:
    """Hold the composition of the utility against the calibration of its heads."""
    made = simulation.composition
    if made is None:
        return None
    terms = sensitivities(made, slot_ratios(simulation.measured), whole_ratios(tasks))
    return utility_sensitivity(terms, utility=made.utility, spread=made.spread)
