"""The gate step: all evidence of a release becomes Promote or Hold, in dossier, registry and MLflow."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tasks.calibration.pictures import gather_pictures
from tasks.contracts import digest
from tasks.errors import ContractError
from tasks.evaluation.evidence import (
    Comparison,
    Evidence,
    ShadowEvidence,
    TaskEvidence,
    ValidationEvidence,
    estimate_from_json,
    verdict_from_json,
)
from tasks.evaluation.figures import task_evidence
from tasks.promotion.decision import Hold, decide_release
from tasks.promotion.dossier import Dossier, SlotUtility
from tasks.promotion.gates import judge_release
from tasks.promotion.release_reports import report_sections, report_verdicts
from tasks.release.description import describe_verdict
from tasks.release.sensitivity import sensitivities, slot_ratios, whole_ratios
from tasks.stores.manifest import Manifest
from tasks.stores.registry import Registry
from tasks.stores.releases import VERDICT, release_manifest, release_part, resolve_tested_release
from tasks.stores.runs import StepKey, StepRun, read_evidence, step_run
from tasks.stores.workspace import Workspace, format_instant, write_report

DOSSIER: Final = "dossier"


@dataclass(frozen=True)
class GateResult:
    """The verdict on a release, ``promote`` or ``hold``, with every gate and where the dossier lies."""

    release: int
    verdict: str
    reasons: list[str]
    warnings: list[str]
    gates: list[dict[str, Any]]
    dossier: str
    run_id: str


@dataclass(frozen=True)
class _Runs:
    """The MLflow runs that hold the evidence."""

    validation: str
    release: str
    simulation: str
    shadow: str


def run(
    workspace: Workspace,
    *,
    as_of: datetime,
    release: int,
    validation_run: str,
    simulation_run: str,
    shadow_run: str,
    stands: bool = False,
    parent_run: str | None = None,
) -> GateResult:
    """Judge a release.

    Parameters
    ----------
    as_of : the instant that the release was made as of.
    release : its version.
    validation_run, simulation_run, shadow_run : MLflow runs of those steps.
    stands : the verdict of its own time stays the release's; this one is kept by the run alone.

    Raises
    ------
    ContractError
        The evidence is about another release or another label snapshot.
    """
    registry, part = Registry(workspace.home), release_part(workspace, release)
    runs = _Runs(validation_run, registry.run_id(part), simulation_run, shadow_run)
    manifest = release_manifest(workspace, release)
    evidence = {name: read_evidence(workspace.home, run_id) for name, run_id in vars(runs).items()}
    _refuse_foreign(evidence, release, manifest)
    inputs = digest({"release": release, **vars(runs), "contracts": dict(workspace.contracts.digests)})
    tags = {"release": release, "as_of": format_instant(as_of)}
    key = StepKey(workspace.home, workspace.surface, "gate", inputs)
    with step_run(key, parent_run=parent_run, tags=tags) as opened:
        dossier = _dossier(workspace, as_of, release, manifest, runs, evidence)
        path = _write(workspace, opened, dossier, beside=f"-{opened.run_id[:8]}" if stands else "")
        plain = dossier.to_json()
        if not stands:
            registry.set_tags(part, {VERDICT: dossier.verdict, "dossier": path})
            registry.describe(part, _description(evidence, plain))
        return GateResult(
            release=release,
            run_id=opened.run_id,
            dossier=path,
            **{name: plain[name] for name in ("verdict", "reasons", "warnings", "gates")},
        )


def _refuse_foreign(evidence: Mapping[str, Any], release: int, manifest: Manifest) -> None:
    """Refuse evidence that is not about this release: it would judge something else."""
    about = {
        "simulation": (evidence["simulation"].get("release"), release),
        "shadow": (evidence["shadow"].get("challenger"), release),
        "validation": (evidence["validation"].get("snapshot"), manifest.snapshot.id),
    }
    for step, (found, wanted) in about.items():
        if found != wanted:
            raise ContractError(
                f"The {step}'s evidence is about {found}; to judge release {release} it is to be of "
                f"{wanted}. Run that step for it, and give its run."
            )


def _dossier(
    workspace: Workspace,
    as_of: datetime,
    release: int,
    manifest: Manifest,
    runs: _Runs,
    evidence: Mapping[str, Any],
) -> Dossier:
    gathered = _gather(as_of, runs, evidence)
    gates = workspace.contracts.surface.gates
    verdicts = judge_release(gates, gathered)
    return Dossier(
        surface=workspace.surface,
        release=release,
        as_of=format_instant(as_of),
        decision=decide_release(verdicts, cannot_tell=gates.cannot_tell),
        verdicts=verdicts,
        tasks=gathered.tasks,
        manifest=manifest,
        notes=evidence["simulation"]["notes"],
        slots=slot_ratios(evidence["simulation"]["measured"]),
        utility=_slot_utility(evidence["simulation"], gathered.tasks),
        pictures=gather_pictures(
            workspace,
            release_manifest(workspace, resolve_tested_release(workspace, release)),
            release_run=runs.release,
        ),
        reports=report_sections(evidence["release"]),
    )


def _slot_utility(simulation: Mapping[str, Any], tasks: Sequence[TaskEvidence]) -> SlotUtility | None:
    """Hold the composition of the utility against the calibration of its heads."""
    made = simulation.get("composition")  # evidence of an older release may have none
    if made is None:
        return None
    terms = sensitivities(made, slot_ratios(simulation["measured"]), whole_ratios(tasks))
    utility, spread = (math.nan if made[name] is None else made[name] for name in ("utility", "spread"))
    return SlotUtility(utility, spread, terms)


def _description(evidence: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    return describe_verdict(
        evidence["release"]["description"],
        verdict=plain["verdict"],
        champion=evidence["simulation"]["champion"],
        reasons=plain["reasons"],
    )


def _gather(as_of: datetime, runs: _Runs, evidence: Mapping[str, Any]) -> Evidence:
    validation, simulation = evidence["validation"], evidence["simulation"]
    compared, shadow = simulation["comparisons"], evidence["shadow"]["comparison"]
    return Evidence(
        as_of=as_of,
        validation=ValidationEvidence(
            failed_severity=validation["severity"],
            failures=tuple(
                f"{found['suite']}: {found['expectation']} ({found['observed']})"
                for found in validation["expectations"]
                if not found["success"]
            ),
            run=runs.validation,
        ),
        tasks=[task_evidence(task, run=runs.release) for task in evidence["release"]["tasks"]],
        guardrails=[verdict_from_json(verdict) for verdict in simulation["guardrails"]],
        comparisons=None
        if compared is None
        else [
            Comparison(
                task=one["task"],
                auc_drop=estimate_from_json(one["auc_drop"]),
                normalized_entropy_rise=estimate_from_json(one["normalized_entropy_rise"]),
                run=runs.simulation,
            )
            for one in compared
        ],
        shadow=None
        if shadow is None
        else ShadowEvidence(
            overlap_at_k=estimate_from_json(shadow["overlap_at_k"]),
            score_shift=estimate_from_json(shadow["score_shift"]),
            run=runs.shadow,
        ),
        reports=report_verdicts(evidence["release"], run=runs.release),
    )


def _write(workspace: Workspace, run: StepRun, dossier: Dossier, *, beside: str) -> str:
    """Write the dossier as a page and as JSON beside it, and as artifacts of the run."""
    html, plain = dossier.to_html(), dossier.to_json()
    name = f"{DOSSIER}-release-{dossier.release}{beside}"
    write_report(workspace, f"{name}.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
    path = write_report(workspace, f"{name}.html", html)
    run.text(f"{DOSSIER}.html", html)
    run.evidence(plain)
    run.tags({VERDICT: dossier.verdict})
    if isinstance(dossier.decision, Hold):
        run.metrics({"reasons_to_hold": len(dossier.decision.reasons)})
    return str(path)
