"""The gate step: turn a release's evidence into promote or hold, and write dossier, registry and MLflow."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from tasks.contracts import Contracts, canonical
from tasks.contracts.gates import Rules
from tasks.errors import ContractError
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence, ReleaseEvidence
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.compose import compose_dossier, read_documents
from tasks.promotion.decision import Evidence, decide_release, evaluate_release
from tasks.promotion.gates.gains import RecipePair, evaluate_recipes, evaluate_same_day
from tasks.promotion.gates.loosened import name_loosened
from tasks.promotion.gates.policy import evaluate_front
from tasks.promotion.gates.references import weighted_tasks
from tasks.promotion.gates.reports import (
    evaluate_proxies,
    evaluate_refit,
    evaluate_reused,
    evaluate_trunks,
    evaluate_unmeasured,
    evaluate_unrepeated,
)
from tasks.promotion.pages.calibration import order_terms
from tasks.promotion.pages.dossier import Documents, Dossier
from tasks.promotion.provenance import (
    DOSSIER,
    read_front,
    read_lineage,
    read_past_gains,
    read_policies,
    read_recipes,
)
from tasks.release.description import describe_verdict, plain_markdown
from tasks.release.sensitivity import sensitivities, slot_ratios, whole_ratios
from tasks.release.view import ReleaseReader
from tasks.replay.shadow import read_times
from tasks.replay.shadow_verdicts import LATENCY, evaluate_serving
from tasks.reports.phrases import vocabulary
from tasks.stores.aliases import OVERRIDE
from tasks.stores.manifest import Manifest
from tasks.stores.registry import mark_overridden
from tasks.stores.releases import VERDICT
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, format_instant, write_report


@dataclass(frozen=True)
class GateResult:
    """The evidence of a gate run, the path of its dossier, and the dossier's next step."""

    evidence: GateEvidence
    run_id: str
    dossier: str
    next_step: str


@dataclass(frozen=True)
class StepRuns:
    """The MLflow runs with the evidence on a release, and options of its gate run.

    ``later_validation`` validates the labels as of the day of promotion; empty if that is the release's day.
    ``override`` is the reason to override the gates that hold the release; the dossier shows it.
    ``reader`` caches what a promotion has already read and verified; with None releases are read again.
    """

    validation: str
    simulation: str
    shadow: str
    later_validation: str = ""
    override: str = ""
    reader: ReleaseReader | None = None


@dataclass(frozen=True)
class _Gated:
    """A release with the inputs of its gates."""

    reader: ReleaseReader
    release: int
    runs: EvidenceRuns
    documents: Documents
    as_of: datetime
    override: str
    unchanged: bool

    @property
    def workspace(self) -> Workspace:
        """The surface's workspace."""
        return self.reader.workspace

    @cached_property
    def evidence(self) -> GateEvidence:
        """The verdicts on the release and the decision based on them."""
        return _decide(self)

    @cached_property
    def dossier(self) -> Dossier:
        """The dossier of the evidence."""
        return compose_dossier(self.reader, self.evidence, self.documents)

    def page(self, run_id: str) -> str:
        """Name the dossier's files; a later dossier with other content has the run's id in its name."""
        name = f"{DOSSIER}-release-{self.release}"
        first = self.workspace.reports / f"{name}.json"
        differs = first.exists() and first.read_bytes() != _as_json(self.evidence).encode()
        return f"{name}-{run_id[:8]}" if self.unchanged or differs else name


def run(
    workspace: Workspace,
    *,
    release: int,
    steps: StepRuns,
    as_of: datetime | None = None,
    unchanged: bool = False,
    parent_run: str | None = None,
) -> GateResult:
    """Evaluate the gates of a release.

    Parameters
    ----------
    release : version of the release.
    steps : runs with the evidence on the release.
    as_of : instant at which the ages of components are taken; default: the release's as-of.
    unchanged : keep the release's earlier verdict; the new verdict is stored only in the run.
    """
    reader = steps.reader or ReleaseReader(workspace)
    registry, part = reader.registry, reader.part(release)
    runs = EvidenceRuns(
        steps.validation, registry.run_id(part), steps.simulation, steps.shadow, steps.later_validation
    )
    manifest = reader.manifest(release)
    documents = read_documents(workspace, runs)
    _refuse_foreign(documents, release, manifest)
    work = _Gated(reader, release, runs, documents, as_of or manifest.as_of, steps.override, unchanged)
    done = GATE.run(work, parent_run=parent_run)
    evidence, path = done.evidence, str(workspace.reports / f"{work.page(done.run_id)}.html")
    if not unchanged:
        registry.set_tags(part, {VERDICT: evidence.verdict, "dossier": path})
        description = describe_verdict(
            documents.release.description,
            verdict=evidence.verdict,
            champion=documents.simulation.champion,
            reasons=evidence.reasons,
        )
        registry.describe(part, mark_overridden(description, registry.tags(part).get(OVERRIDE, "")))
    return GateResult(evidence, done.run_id, path, work.dossier.first().next_step)


def _refuse_foreign(documents: Documents, release: int, manifest: Manifest) -> None:
    """Raise ContractError if a step's evidence is about another release or snapshot."""
    about = {
        "simulation": (documents.simulation.release, release),
        "shadow": (documents.shadow.challenger, release),
        "validation": (documents.validation.snapshot, manifest.snapshot.id),
    }
    for step, (found, wanted) in about.items():
        if found != wanted:
            raise ContractError(
                f"The {step}'s evidence is about {found}; to evaluate release {release} it must be of "
                f"{wanted}. Run that step for it, and give its run."
            )


def _decide(work: _Gated) -> GateEvidence:
    workspace, documents, contracts = work.workspace, work.documents, work.workspace.contracts
    manifest, simulation = work.reader.manifest(work.release), documents.simulation
    gates, champion = contracts.surface.gates, simulation.champion
    verdicts = evaluate_release(gates, _gather(work))
    words = vocabulary(contracts, champion=champion)
    decision = decide_release(verdicts, inconclusive=gates.inconclusive, words=words)
    loosened = _loosened(contracts, manifest, documents.release)
    asked = [f"an override is requested: {work.override}"] if work.override else []
    slots, composition = slot_ratios(simulation.measured), simulation.composition
    terms = composition and sensitivities(composition, slots, whole_ratios(documents.release.tasks))
    as_of, evaluated_as_of = format_instant(manifest.as_of), format_instant(work.as_of)
    return GateEvidence(
        surface=workspace.surface,
        release=work.release,
        as_of=as_of,
        verdict=decision.verdict,
        reasons=decision.reasons,
        warnings=(
            *(f"loosened since the release was made: {bound}" for bound in loosened),
            *asked,
            *decision.warnings,
        ),
        notes=simulation.notes,
        gates=tuple(v for v in verdicts if v.gate != LATENCY),
        runs=work.runs,
        timings=tuple(v for v in verdicts if v.gate == LATENCY),
        calibration_in_slots=slots,
        sensitivity=order_terms(terms or ()),
        manifest=manifest.to_json(),
        rules=canonical(contracts.surface.rules),
        loosened=loosened,
        canary_permitted=decision.canary_permitted,
        evaluated_as_of=None if evaluated_as_of == as_of else evaluated_as_of,
    )


def _loosened(contracts: Contracts, manifest: Manifest, released: ReleaseEvidence) -> tuple[str, ...]:
    """Describe how the current rules are looser than the rules at the time the release was made."""
    if manifest.contracts.get("surface") == contracts.digests["surface"]:
        return ()
    return name_loosened(Rules.model_validate(released.rules), contracts.surface.rules)


def _gather(work: _Gated) -> Evidence:
    """Read the inputs of the gates."""
    workspace, documents, contracts = work.workspace, work.documents, work.workspace.contracts
    reader, released, champion = work.reader, documents.release, documents.simulation.champion
    recipes = read_recipes(reader, work.release, champion=champion)
    times = read_times(workspace, work.runs.shadow)
    return Evidence(
        as_of=work.as_of,
        runs=work.runs,
        validation=documents.validation,
        later_validation=documents.later_validation,
        tasks=released.tasks,
        costs=contracts.tasks.costs,
        guardrails=documents.simulation.guardrails,
        comparisons=documents.simulation.comparisons,
        shadow=documents.shadow.comparison,
        reports=(*_evaluate_reports(released, run=work.runs.release), *_compare_with_champion(work, recipes)),
        weighted=weighted_tasks(contracts.utility),
        inputs=released.inputs,
        served=documents.shadow.inputs,
        recipes=recipes,
        past_gains=read_past_gains(workspace, work.release),
        serving=evaluate_serving(
            contracts.surface.gates.shadow, documents.shadow, times, run=work.runs.shadow
        ),
        lineage=read_lineage(reader, work.release),
        policy=read_policies(reader, reader.manifest(work.release), released, champion=champion),
    )


def _evaluate_reports(released: ReleaseEvidence, *, run: str) -> tuple[Verdict, ...]:
    """Evaluate what the release step reports in addition to its tasks' metrics."""
    return (
        *evaluate_reused(released.kept, run=run),
        *evaluate_unrepeated(released.unrepeated, run=run),
        *evaluate_unmeasured(released.unmeasured, run=run),
        *evaluate_refit(released.refit, run=run),
        *evaluate_trunks(released.models, run=run),
        *evaluate_proxies(released.proxies, run=run),
    )


def _compare_with_champion(work: _Gated, recipes: Sequence[RecipePair] | None) -> tuple[Verdict, ...]:
    """Compare recipes with the champion's on the same days, and the weights with a tuned front."""
    workspace = work.workspace
    tuning, tuning_run = read_front(workspace, work.release, champion=work.documents.simulation.champion)
    return (
        evaluate_same_day(recipes, run=work.runs.release),
        *evaluate_recipes(workspace.contracts.surface.gates.model, recipes),
        evaluate_front(
            workspace.contracts.utility, tuning, tuning_run=tuning_run, simulation=work.runs.simulation
        ),
    )


def _inputs(work: _Gated) -> dict[str, Any]:
    return {
        "release": work.release,
        "as_of": format_instant(work.as_of),
        "runs": dict(vars(work.runs)),
        "override": work.override,
        "contracts": dict(work.workspace.contracts.digests),
    }


def _tags(work: _Gated) -> dict[str, object]:
    made = work.reader.manifest(work.release).as_of
    return {"release": work.release, "as_of": format_instant(made)}


def _evaluate(work: _Gated, run: StepRun) -> GateEvidence:
    """Write the dossier as HTML and JSON, to the reports folder and as artifacts of the run."""
    workspace, evidence, name = work.workspace, work.evidence, work.page(run.run_id)
    html = work.dossier.to_html()
    write_report(workspace, f"{name}.json", _as_json(evidence))
    write_report(workspace, f"{name}.html", html)
    run.text(f"{DOSSIER}.html", html)
    run.tags({VERDICT: evidence.verdict})
    reasons, counts = evidence.reasons, Counter(verdict.outcome for verdict in evidence.verdicts)
    run.metrics({"reasons_to_hold": len(reasons)} | {f"verdicts_{of}": counts[of] for of in Outcome})
    run.describe(
        "\n".join([f"**{evidence.verdict.title()}.** {work.dossier.first().sentence}", "", *_listed(reasons)])
    )
    return evidence


def _listed(reasons: Sequence[str]) -> Iterator[str]:
    """Yield the reasons as a markdown list, then a pointer to the dossier."""
    yield from (f"- {plain_markdown(reason)}" for reason in reasons)
    yield from ("", f"The artifact `{DOSSIER}.html` is the dossier.")


def _as_json(evidence: GateEvidence) -> str:
    return json.dumps(evidence.to_json(), indent=1, allow_nan=False) + "\n"


GATE: Final = Step(
    name="gate",
    room="promotion",
    document=GateEvidence,
    inputs=_inputs,
    tags=_tags,
    function=_evaluate,
    reuses=False,
)
"""The gates read more than these inputs, such as gains of earlier promotions, so no run is reused."""
