"""The dossier of a release: the decision, its reasons and all evidence on one page and in one JSON document.

The first screen is for reviewers: verdict, reasons, next step, changes, limits and harmed segments. The
sections below it are for engineers; modules of `tasks.promotion.pages` prepare each section.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.evaluation.evidence import ValidationEvidence
from tasks.evaluation.release_evidence import AMPLIFIED, GateEvidence, ReleaseEvidence
from tasks.experiments.offline import MetricAgreement, Surrogate
from tasks.promotion.pages.calendar import draw_calendar
from tasks.promotion.pages.calibration import (
    ERRORS,
    draw_ratios,
    task_calibrations,
    utility_sensitivity,
)
from tasks.promotion.pages.changes import Change, Worths, describe_largest_change, list_largest_changes
from tasks.promotion.pages.first_screen import (
    FirstScreen,
    Provenance,
    ReleaseHeader,
    first_screen,
    say_after_override,
)
from tasks.promotion.pages.lineage import MlflowPages, list_pins, list_runs, tabulate_verdicts
from tasks.promotion.pages.task_pairs import describe_overlaps, draw_heat_map, draw_proxy
from tasks.promotion.pages.task_rows import SIZE, chart_features, list_tasks, tabulate_head_models
from tasks.promotion.readiness.facts import ReadinessLine
from tasks.replay.evidence import ShadowEvidence, SimulationEvidence
from tasks.reports.phrases import Vocabulary, say_outcomes
from tasks.reports.render import render
from tasks.stores.manifest import Manifest

_SECTIONS = {
    "first": "Verdict",
    "why": "Reasons",
    "decision": "Decision",
    "tasks": "Tasks",
    "calibration": "Calibration",
    "labels": "Labels",
    "shadow": "Shadow",
    "lineage": "Lineage",
    "readiness": "Readiness",
    "verdicts": "All checks",
}
"""The sections by anchor, in the order of the page; readiness is optional."""
_PNG = b"\x89PNG"
_METRICS = (
    "auc",
    "auc_by_request",
    "average_precision",
    "normalized_entropy",
    "ndcg",
    "naive_ndcg",
    "coverage",
)


@dataclass(frozen=True)
class Documents:
    """The evidence of each step that the gates read."""

    validation: ValidationEvidence
    release: ReleaseEvidence
    simulation: SimulationEvidence
    shadow: ShadowEvidence
    later_validation: ValidationEvidence | None = None


@dataclass(frozen=True)
class Dossier:
    """The inputs of a dossier: the gate's evidence, and the documents behind it.

    ``pictures`` are SVG or PNG by caption, ``words`` the surface's vocabulary, ``changes`` the differences
    from the champion, ``mlflow`` the addresses of MLflow, ``readiness`` the checklist, ``overrides`` the
    overrides with names and reasons, ``experiments`` the agreement of finished experiments with earlier
    gates, ``surrogates`` the agreement of their slow outcomes with fast ones.
    """

    evidence: GateEvidence
    documents: Documents
    manifest: Manifest
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    words: Vocabulary = field(default_factory=Vocabulary)
    changes: Sequence[Change] = ()
    worths: Worths | None = None
    mlflow: MlflowPages = field(default_factory=MlflowPages)
    readiness: Sequence[ReadinessLine] = ()
    overrides: Sequence[str] = ()
    provenance: Provenance | None = None
    experiments: Sequence[MetricAgreement] = ()
    surrogates: Sequence[Surrogate] = ()

    def first(self) -> FirstScreen:
        """Return the first screen, which reviewers read first."""
        of, champion = self.evidence, self.documents.simulation.champion
        subject = ReleaseHeader(of.surface, of.release, champion, of.verdict)
        screen = first_screen(subject, of.verdicts, self.changes, self.words)
        if self.overrides:
            return replace(screen, next_step=say_after_override(of.surface))
        return screen

    def to_html(self) -> str:
        """Render the dossier as one self-contained page."""
        of, made, simulation = self.evidence, self.documents.release, self.documents.simulation
        shadow, composition = self.documents.shadow, simulation.composition
        validation = self.documents.later_validation or self.documents.validation
        return render(
            "dossier.html.j2",
            title=f"{of.surface} release {of.release}: {of.verdict}",
            about=f"{of.surface} release {of.release}",
            sections={id_: name for id_, name in _SECTIONS.items() if id_ != "readiness" or self.readiness},
            readiness=self.readiness,
            overrides=self.overrides,
            facts=self._facts(),
            provenance=[f"as of {of.as_of}", *(self.provenance.facts() if self.provenance else ())],
            version_page=self.provenance.page if self.provenance else "",
            release=of.release,
            first=self.first(),
            champion=simulation.champion,
            beside=self.words.baseline,
            reasons=of.reasons,
            warnings=of.warnings,
            notes=of.notes,
            worths=self.worths,
            described={name: task.did for name, task in self.words.tasks.items()},
            constraints=self._constraints(),
            largest_changes=[
                describe_largest_change(one, self.words) for one in list_largest_changes(simulation.measured)
            ],
            utility=composition and utility_sensitivity(of.sensitivity, composition),
            amplified=AMPLIFIED,
            experiments=self.experiments,
            task_rows=list_tasks(made.tasks, of.verdicts, self.words),
            measured=[name for name in self.words.tasks if name not in self.manifest.tasks],
            picture_size=SIZE,
            features=chart_features(made.inputs, shadow.inputs),
            models=tabulate_head_models(made.models),
            ratios=draw_ratios(of.verdicts),
            calibrations=task_calibrations(made.tasks, of.calibration_in_slots, of.verdicts),
            calibration_errors=ERRORS,
            tasks=made.tasks,
            metrics=[m for m in _METRICS if any(task.figure(m) for task in made.tasks)],
            pictures={caption: _as_address(picture) for caption, picture in self.pictures.items()},
            proxies=[draw_proxy(proxy) for proxy in made.proxies],
            surrogates=self.surrogates,
            heat_map=draw_heat_map(made.conflicts),
            overlaps=list(describe_overlaps(made.conflicts)) if made.conflicts else [],
            calendar=draw_calendar(validation.calendar),
            validation=validation,
            shadow=shadow,
            manifest=self.manifest,
            pins=list_pins(self.manifest, self.mlflow),
            runs=list_runs(of.verdicts, self.mlflow),
            table=tabulate_verdicts(of.verdicts, self.words, self.mlflow),
        )

    def _facts(self) -> list[str]:
        of = self.evidence
        later = [f"evaluated as of {of.evaluated_as_of}"] if of.evaluated_as_of else []
        made = f"as of {of.as_of}, label snapshot {self.manifest.snapshot.id}"
        return [made, *later, say_outcomes(of.verdicts)]

    def _constraints(self) -> dict[str, str]:
        """Return the description of each hard constraint of the release, by name."""
        policies = self.worths.policies if self.worths else ()
        names = dict.fromkeys(name for policy in policies for name in policy.hard_constraints)
        return {name: self.words.constraints.get(name, "") for name in names}


def _as_address(picture: bytes) -> str:
    """Return a picture as a data address; in an ``img`` element an SVG runs no script."""
    kind = "png" if picture.startswith(_PNG) else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
