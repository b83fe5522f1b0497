"""The dossier of a release: the decision, its reasons and all evidence on one page and in one JSON document.

The first screen is for who approves: may it serve, why, what to do, what changed, which bounds, who is
harmed. The sections below it are for who digs; `tasks.promotion.pages` prepares each.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tasks.evaluation.conflicts import ConflictEvidence
from tasks.evaluation.evidence import HeadInputs, ValidationEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.head_models import HeadModels
from tasks.evaluation.release_evidence import AMPLIFIED, EvidenceRuns, GateEvidence, ProxyEvidence
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import Estimate, Verdict
from tasks.experiments.offline import MetricAgreement
from tasks.experiments.surrogates import Surrogate
from tasks.promotion.decision import GateDecision
from tasks.promotion.pages.calendar import draw_calendar
from tasks.promotion.pages.calibration import (
    ERRORS,
    UtilitySensitivity,
    draw_ratios,
    task_calibrations,
)
from tasks.promotion.pages.changes import Change, Worths, describe_largest_change
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
from tasks.replay.evidence import ShadowEvidence
from tasks.replay.shadow_verdicts import LATENCY
from tasks.reports.charts import BASELINE_AT, BOUND_AT
from tasks.reports.render import render
from tasks.reports.words import Vocabulary, say_outcomes
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
"""The sections by their anchors, in the order of the page; that of readiness where it was looked at."""
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
class Dossier:
    """Everything that one decision rests on.

    ``tasks`` holds the figures of each on the test slice, ``slots`` by task the calibration ratio of the
    items in the release's slots, ``notes`` what is not measurable, ``pictures`` SVG or PNG by caption,
    ``rules`` the gates, base rates and reviewers of then, ``loosened`` what lets more
    through than when it was made. ``words`` are those of the surface, ``changes`` what is not
    the ``champion``'s, ``largest_changes`` the exposure shares that change, ``mlflow`` where people open
    MLflow, ``readiness`` the list of what a surface needs before people may rely on it,
    ``models`` of tasks that share a trunk what each predicts with, ``overrides`` who lifted which gates for
    it, and why, ``experiments`` how the effects of finished ones follow the changes that gates printed,
    ``surrogates`` how their slow outcomes follow the fast ones.
    """

    surface: str
    release: int
    as_of: str
    decision: GateDecision
    verdicts: Sequence[Verdict]
    tasks: Sequence[TaskFigures]
    manifest: Manifest
    runs: EvidenceRuns
    notes: Sequence[str] = ()
    slots: Mapping[str, Estimate] = field(default_factory=dict)
    utility: UtilitySensitivity | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    proxies: Sequence[ProxyEvidence] = ()
    conflicts: ConflictEvidence | None = None
    rules: Mapping[str, object] = field(default_factory=dict)
    evaluated_as_of: str | None = None
    loosened: Sequence[str] = ()
    champion: int | None = None
    words: Vocabulary = field(default_factory=Vocabulary)
    changes: Sequence[Change] = ()
    worths: Worths | None = None
    largest_changes: Sequence[Measured] = ()
    validation: ValidationEvidence | None = None
    shadow: ShadowEvidence | None = None
    mlflow: MlflowPages = field(default_factory=MlflowPages)
    readiness: Sequence[ReadinessLine] = ()
    overrides: Sequence[str] = ()
    provenance: Provenance | None = None
    inputs: Sequence[HeadInputs] = ()
    models: Mapping[str, HeadModels] = field(default_factory=dict)
    experiments: Sequence[MetricAgreement] = ()
    surrogates: Sequence[Surrogate] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to look at though it holds nothing; loosened gates come first."""
        return (
            *(f"loosened since the release was made: {bound}" for bound in self.loosened),
            *self.decision.warnings,
        )

    @property
    def verdict(self) -> Literal["promote", "hold"]:
        """``promote`` or ``hold``."""
        return self.decision.verdict

    def evidence(self) -> GateEvidence:
        """Return the dossier as a document, without pictures."""
        return GateEvidence(
            surface=self.surface,
            release=self.release,
            as_of=self.as_of,
            verdict=self.verdict,
            reasons=self.decision.reasons,
            warnings=self.warnings,
            notes=tuple(self.notes),
            gates=tuple(v for v in self.verdicts if v.gate != LATENCY),
            runs=self.runs,
            timings=tuple(v for v in self.verdicts if v.gate == LATENCY),
            calibration_in_slots=dict(self.slots),
            sensitivity=tuple(self.utility.terms) if self.utility else (),
            manifest=self.manifest.to_json(),
            rules=dict(self.rules),
            loosened=tuple(self.loosened),
            canary_permitted=self.decision.canary_permitted,
            evaluated_as_of=None if self.evaluated_as_of == self.as_of else self.evaluated_as_of,
        )

    def first(self) -> FirstScreen:
        """Return what an approver reads first."""
        subject = ReleaseHeader(self.surface, self.release, self.champion, self.verdict)
        screen = first_screen(subject, self.verdicts, self.changes, self.words)
        if self.overrides:
            return replace(screen, next_step=say_after_override(self.surface))
        return screen

    def to_html(self) -> str:
        """Write the dossier as one self-contained page."""
        return render(
            "dossier.html.j2",
            title=f"{self.surface} release {self.release}: {self.verdict}",
            about=f"{self.surface} release {self.release}",
            sections={id_: name for id_, name in _SECTIONS.items() if id_ != "readiness" or self.readiness},
            readiness=self.readiness,
            overrides=self.overrides,
            facts=self._facts(),
            provenance=[f"as of {self.as_of}", *(self.provenance.facts() if self.provenance else ())],
            version_page=self.provenance.page if self.provenance else "",
            release=self.release,
            first=self.first(),
            champion=self.champion,
            beside=self.words.baseline,
            baseline_at=BASELINE_AT,
            bound_at=BOUND_AT,
            reasons=self.decision.reasons,
            warnings=self.warnings,
            notes=self.notes,
            worths=self.worths,
            described={name: task.did for name, task in self.words.tasks.items()},
            constraints=self._constraints(),
            largest_changes=[describe_largest_change(one, self.words) for one in self.largest_changes],
            utility=self.utility,
            amplified=AMPLIFIED,
            experiments=self.experiments,
            task_rows=list_tasks(self.tasks, self.verdicts, self.words),
            measured=[name for name in self.words.tasks if name not in self.manifest.tasks],
            picture_size=SIZE,
            features=chart_features(self.inputs, self.shadow.inputs if self.shadow else ()),
            models=tabulate_head_models(self.models),
            ratios=draw_ratios(self.verdicts),
            calibrations=task_calibrations(self.tasks, self.slots, self.verdicts),
            calibration_errors=ERRORS,
            tasks=self.tasks,
            metrics=[m for m in _METRICS if any(task.figure(m) for task in self.tasks)],
            pictures={caption: _as_address(picture) for caption, picture in self.pictures.items()},
            proxies=[draw_proxy(proxy) for proxy in self.proxies],
            surrogates=self.surrogates,
            heat_map=draw_heat_map(self.conflicts),
            overlaps=list(describe_overlaps(self.conflicts)) if self.conflicts else [],
            calendar=draw_calendar(self.validation.calendar if self.validation else None),
            validation=self.validation,
            shadow=self.shadow,
            manifest=self.manifest,
            pins=list_pins(self.manifest, self.mlflow),
            runs=list_runs(self.verdicts, self.mlflow),
            table=tabulate_verdicts(self.verdicts, self.words, self.mlflow),
        )

    def _facts(self) -> list[str]:
        later = (
            [f"judged as of {self.evaluated_as_of}"] if self.evaluated_as_of not in {None, self.as_of} else []
        )
        made = f"as of {self.as_of}, label snapshot {self.manifest.snapshot.id}"
        return [made, *later, say_outcomes(self.verdicts)]

    def _constraints(self) -> dict[str, str]:
        """Return what each hard constraint of the release keeps off, by its name."""
        policies = self.worths.policies if self.worths else ()
        names = dict.fromkeys(name for policy in policies for name in policy.hard_constraints)
        return {name: self.words.constraints.get(name, "") for name in names}


def _as_address(picture: bytes) -> str:
    """Return the address of a picture that the page itself holds; as an image an SVG runs no script."""
    kind = "png" if picture.startswith(_PNG) else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
