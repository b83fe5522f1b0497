"""The dossier of a release: the decision, its reasons and all evidence on one page and in one JSON document.

The first screen is for reviewers: verdict, reasons, next step, changes, limits and harmed segments. The
sections below it are for engineers; modules of `tasks.promotion.pages` prepare each section.

The labels by day are a calendar: one row per task, one strip per run of days in the same state.

::

    click     |############################|      mature
    purchase  |####################|.......|      immature: not all of the day's labels are known yet
    return    |########x###|...............|      failed: a check of the labels reports the day

The components of a release and the runs with the evidence are listed with their addresses in MLflow. All
verdicts are in one table, filtered by gate and outcome without a script: gates are numbered, and each row
carries its gate's number, so the style sheet contains no names.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final
from urllib.parse import quote

from tasks.evaluation.evidence import AMPLIFIED, LabelCalendar, TaskDays, ValidationEvidence
from tasks.evaluation.release_evidence import GateEvidence, ReleaseEvidence
from tasks.evaluation.verdicts import WORST_FIRST, Outcome, Verdict
from tasks.experiments.offline import MetricAgreement, Surrogate
from tasks.promotion.pages.calibration import ERRORS, draw_errors, draw_ratios, task_calibrations
from tasks.promotion.pages.changes import Change, Worths, describe_largest_change, list_largest_changes
from tasks.promotion.pages.first_screen import FirstScreen, first_screen, say_after_override
from tasks.promotion.pages.task_rows import (
    describe_overlaps,
    draw_heat_map,
    draw_proxy,
    draw_rises,
    list_head_models,
    list_segment_models,
    list_tasks,
    tabulate_features,
)
from tasks.promotion.readiness.facts import ReadinessLine
from tasks.release.sensitivity import error_bar
from tasks.replay.evidence import ShadowEvidence, SimulationEvidence
from tasks.reports import charts
from tasks.reports.numbers import format_count, spoken
from tasks.reports.phrases import Vocabulary, phrase_verdict, say_outcomes
from tasks.reports.render import render
from tasks.stores.manifest import Manifest


@dataclass(frozen=True)
class MlflowPages:
    """The addresses of MLflow pages; empty if the address of MLflow is unknown."""

    address: str = ""
    experiment: str = ""

    def version(self, name: str, version: int) -> str:
        """Return the address of a registered version.

        Examples
        --------
        >>> MlflowPages("http://mlflow", "1").version("feed.release", 3)
        'http://mlflow/#/models/feed.release/versions/3'
        """
        return f"{self.address}/#/models/{quote(name)}/versions/{version}" if self.address else ""

    def run(self, run_id: str) -> str:
        """Return the address of a run of this surface's experiment."""
        if not (self.address and self.experiment and run_id):
            return ""
        return f"{self.address}/#/experiments/{quote(self.experiment)}/runs/{quote(run_id)}"


def list_runs(verdicts: Sequence[Verdict]) -> dict[str, list[str]]:
    """Return the gates by each run that verdicts cite, in the order of the verdicts."""
    gates: dict[str, dict[str, None]] = {}
    for verdict in verdicts:
        if verdict.evidence:
            gates.setdefault(verdict.evidence, {})[verdict.gate] = None
    return {run: list(of) for run, of in gates.items()}


@dataclass(frozen=True)
class VerdictTable:
    """Notable and passed verdicts with their phrases, and the gates and outcomes that occur.

    ``gates`` has the number and the count of verdicts of each gate, ``outcomes`` the count of each outcome.
    """

    notable: Sequence[tuple[Verdict, str]]
    passed: Sequence[tuple[Verdict, str]]
    gates: Mapping[str, tuple[int, int]]
    outcomes: Sequence[tuple[str, int]]


def tabulate_verdicts(verdicts: Sequence[Verdict], words: Vocabulary) -> VerdictTable:
    """Tabulate all verdicts, the worst first; verdicts that pass or have no limit are separate."""
    counts = Counter(verdict.gate for verdict in verdicts)
    ordered = sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.outcome))
    quiet = {Outcome.PASS, Outcome.NO_RULE}
    return VerdictTable(
        notable=[(v, phrase_verdict(v, words)) for v in ordered if v.outcome not in quiet],
        passed=[(v, phrase_verdict(v, words)) for v in ordered if v.outcome in quiet],
        gates={gate: (n, count) for n, (gate, count) in enumerate(counts.items())},
        outcomes=[(o.value, n) for o in WORST_FIRST if (n := sum(v.outcome is o for v in verdicts))],
    )


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
    overrides with names and reasons, ``provenance`` the facts below the heading, ``version_page`` the address
    of the release in MLflow (empty if unknown), ``experiments`` the agreement of finished experiments with
    earlier gates, ``surrogates`` the agreement of their slow outcomes with fast ones.
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
    provenance: Sequence[str] = ()
    version_page: str = ""
    experiments: Sequence[MetricAgreement] = ()
    surrogates: Sequence[Surrogate] = ()

    def first(self) -> FirstScreen:
        """Return the first screen, which reviewers read first."""
        of, champion = self.evidence, self.documents.simulation.champion
        screen = first_screen(of, champion, self.changes, self.words)
        if self.overrides:
            return replace(screen, next_step=say_after_override(of.surface))
        return screen

    def to_html(self) -> str:
        """Render the dossier as one self-contained page."""
        of, simulation = self.evidence, self.documents.simulation
        shadow = self.documents.shadow
        validation = self.documents.later_validation or self.documents.validation
        policies = self.worths.policies if self.worths else ()
        names = dict.fromkeys(name for policy in policies for name in policy.hard_constraints)
        later = [f"evaluated as of {of.evaluated_as_of}"] if of.evaluated_as_of else []
        made = f"as of {of.as_of}, label snapshot {self.manifest.snapshot.id}"
        return render(
            "dossier.html.j2",
            title=f"{of.surface} release {of.release}: {of.verdict}",
            about=f"{of.surface} release {of.release}",
            sections={id_: name for id_, name in _SECTIONS.items() if id_ != "readiness" or self.readiness},
            readiness=self.readiness,
            overrides=self.overrides,
            facts=[made, *later, say_outcomes(of.verdicts)],
            provenance=[f"as of {of.as_of}", *self.provenance],
            version_page=self.version_page,
            release=of.release,
            first=self.first(),
            champion=simulation.champion,
            beside=self.words.baseline,
            reasons=of.reasons,
            warnings=of.warnings,
            notes=of.notes,
            worths=self.worths,
            described={name: task.did for name, task in self.words.tasks.items()},
            constraints={name: self.words.constraints.get(name, "") for name in names},
            largest_changes=[
                describe_largest_change(one, self.words) for one in list_largest_changes(simulation.measured)
            ],
            composition=simulation.composition,
            terms=of.sensitivity,
            error_bar=error_bar(of.sensitivity),
            error_chart=draw_errors(of.sensitivity),
            amplified=AMPLIFIED,
            **self._tasks(),
            calendar=draw_calendar(validation.calendar),
            label_states=STATES,
            validation=validation,
            shadow=shadow,
            manifest=self.manifest,
            runs=list_runs(of.verdicts),
            mlflow=self.mlflow,
            table=tabulate_verdicts(of.verdicts, self.words),
        )

    def _tasks(self) -> dict[str, object]:
        """Return the values of the sections on tasks and calibration."""
        of, made = self.evidence, self.documents.release
        return {
            "experiments": self.experiments,
            "task_rows": list_tasks(made.tasks, of.verdicts, self.words),
            "measured": [name for name in self.words.tasks if name not in self.manifest.tasks],
            "heads": [head.task for head in made.inputs],
            "features": tabulate_features(made.inputs, self.documents.shadow.inputs),
            "models": list_head_models(made.models),
            "segment_models": list_segment_models(made.models),
            "rises": draw_rises(made.models),
            "ratios": draw_ratios(of.verdicts),
            "calibrations": task_calibrations(made.tasks, of.calibration_in_slots, of.verdicts),
            "calibration_errors": ERRORS,
            "tasks": made.tasks,
            "metrics": [m for m in _METRICS if any(task.figure(m) for task in made.tasks)],
            "pictures": {caption: _as_address(picture) for caption, picture in self.pictures.items()},
            "proxies": [(proxy, draw_proxy(proxy)) for proxy in made.proxies],
            "surrogates": self.surrogates,
            "heat_map": draw_heat_map(made.conflicts),
            "overlaps": list(describe_overlaps(made.conflicts)) if made.conflicts else [],
        }


def _as_address(picture: bytes) -> str:
    """Return a picture as a data address; in an ``img`` element an SVG runs no script."""
    kind = "png" if picture.startswith(_PNG) else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


_WIDTH, _HEIGHT = 700, 16
MATURE, IMMATURE, FAILED, LEFT_OUT = "mature", "immature", "failed", "left_out"
STATES: Final = (MATURE, IMMATURE, FAILED, LEFT_OUT)


def draw_calendar(calendar: LabelCalendar | None) -> list[tuple[TaskDays, charts.Drawing]]:
    """Draw each task's days as strips of the same state; empty if the validation stored no calendar."""
    if calendar is None or not calendar.days:
        return []
    return [(task, _draw_strips(calendar, task)) for task in calendar.tasks]


def _draw_strips(calendar: LabelCalendar, task: TaskDays) -> charts.Drawing:
    """Draw consecutive days in the same state as one strip, with its days and label counts."""
    drawing, step = charts.Drawing(task.task, "", _WIDTH, _HEIGHT), _WIDTH / len(calendar.days)
    states = [_state(task, n, failed=day in set(task.failed)) for n, day in enumerate(calendar.days)]
    for state, group in groupby(range(len(states)), key=states.__getitem__):
        places = list(group)
        first, last = places[0], places[-1]
        observed, positive = (sum(counts[first : last + 1]) for counts in (task.observed, task.positive))
        days = f"{calendar.days[first]}" + (f" to {calendar.days[last]}" if last > first else "")
        counted = f"{format_count(observed)} labels, {format_count(positive)} not 0"
        words, width = f"{days}: {spoken(state)}, {counted}", round(len(places) * step, 1)
        left = round(first * step, 1)
        drawing.add("rect", words, tone=f"day {state}", x=left, y=0, width=width, height=_HEIGHT)
    return drawing


def _state(task: TaskDays, place: int, *, failed: bool) -> str:
    if failed:
        return FAILED
    if task.immature[place]:
        return IMMATURE
    return MATURE if task.observed[place] else LEFT_OUT
