"""The simulation step: the test slice's logged candidate sets under the release and its baseline.

::

    candidates of the test slice -> release, baseline (champion | logged order | a column's order) -> slates
    slates -> metrics with intervals, by segment -> guardrail verdicts, comparisons with the champion
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tasks.contracts import Contracts, UtilitySpec, canonical, digest
from tasks.contracts.metrics import Metric, MetricKind, parse_metric
from tasks.contracts.utility import Guardrail
from tasks.evaluation.replay_evidence import Measured, SimulationEvidence, TermShare, UtilityComposition
from tasks.evaluation.resampling import Resampler
from tasks.evaluation.segments import ALL, segment_column
from tasks.evaluation.verdicts import Verdict
from tasks.release.view import load
from tasks.replay.champion_comparison import comparisons
from tasks.replay.findings import Findings
from tasks.replay.guardrails import judge_guardrail
from tasks.replay.log import Slates
from tasks.replay.metrics import NEW_ITEMS
from tasks.replay.notes import notes_of, stood_in
from tasks.replay.page import simulation_page
from tasks.replay.proposed_policy import read_policy
from tasks.replay.replay_policies import Replay
from tasks.replay.slates import Scored, TestSlice, release_policy
from tasks.replay.terms import composition
from tasks.stores.alias_moves import CHAMPION
from tasks.stores.manifest import Manifest
from tasks.stores.releases import find_release, resolve_release, resolve_tested_release
from tasks.stores.runs import StepKey, StepRun, finished_run, read_evidence, step_run
from tasks.stores.workspace import Workspace, write_report

REPORT = "simulation.html"
REPLICATES = 500
RECIPE = 2
"""Raised whenever the same release and candidates would make other evidence."""


@dataclass(frozen=True)
class SimulateResult:
    """Against what the release was rehearsed, what its guardrails say, and where the report lies."""

    release: int
    baseline: str
    report: str
    run_id: str
    guardrails: list[dict[str, Any]]
    headline: dict[str, Any]


def run(
    workspace: Workspace,
    *,
    release: int,
    baseline: str | None = None,
    policies: Sequence[Path] = (),
    parent_run: str | None = None,
) -> SimulateResult:
    """Rehearse a release's decision on the candidates of its test slice.

    Parameters
    ----------
    release : version of the release under test.
    baseline : a release to compare with; by default the champion, and where there is none what the
        surface's decision gate names.
    policies : further utility policies to compare on the same predictions.
    parent_run : the MLflow run that this one belongs under.
    """
    champion = resolve_release(workspace, baseline) if baseline else find_release(workspace, CHAMPION)
    extra = {str(path): read_policy(path, workspace.contracts) for path in policies}
    inputs = digest(
        {
            "recipe": RECIPE,
            "release": release,
            "baseline": champion,
            "anchors": _anchors(workspace),
            "contracts": dict(workspace.contracts.digests),
            "policies": {name: canonical(policy) for name, policy in extra.items()},
        }
    )
    key = StepKey(workspace.home, workspace.surface, "simulate", inputs)
    run_id = finished_run(key)
    if run_id is None:
        with step_run(key, parent_run=parent_run, tags={"release": release}) as opened:
            _simulate(workspace, opened, release, champion, extra)
            run_id = opened.run_id
    evidence = read_evidence(workspace.home, run_id, SimulationEvidence).to_json()
    shown = ("release", "baseline", "report", "guardrails", "headline")
    return SimulateResult(run_id=run_id, **{name: evidence[name] for name in shown})


def _simulate(
    workspace: Workspace,
    run: StepRun,
    release: int,
    champion: int | None,
    policies: Mapping[str, UtilitySpec],
) -> None:
    """Rehearse the decision and write what is found: a report for people, evidence for the gate."""
    under_test = load(workspace, resolve_tested_release(workspace, release))
    test = TestSlice.of(workspace, under_test.manifest)
    ours = test.slates_of(under_test, f"release {release}")
    old = None
    if champion is not None:
        old = test.slates_of(
            load(workspace, resolve_tested_release(workspace, champion)), f"champion {champion}"
        )
    theirs = test.first_baseline() if old is None else old.slates
    found = _replayed(workspace, test, ours, theirs, policies, run_id=run.run_id)
    notes = [*stood_in(workspace, release), *notes_of(test, found.measured)]
    html = _page(workspace, test, under_test.manifest, ours.slates.name, found, notes)
    run.text(REPORT, html)
    path = write_report(workspace, f"simulation-release-{release}-{run.run_id[:8]}.html", html)
    run.metrics({"expected_utility": found.expected_utility})
    run.evidence(
        SimulationEvidence(
            release=release,
            champion=champion,
            baseline=theirs.name,
            report=str(path),
            guardrails=tuple(found.verdicts),
            headline=found.headline,
            measured=tuple(found.measured),
            others={name: tuple(rows) for name, rows in found.others.items()},
            comparisons=None if old is None else tuple(comparisons(workspace.contracts, test, ours, old)),
            composition=_composition(workspace, test, under_test.manifest, ours),
            notes=tuple(notes),
        )
    )


def _composition(
    workspace: Workspace, test: TestSlice, manifest: Manifest, ours: Scored
) -> UtilityComposition | None:
    """Say what each term adds to a slot, with the weight that the release pins; None without a utility."""
    made = composition(test.log, ours.slates)
    if made is None:
        return None
    weights = release_policy(workspace, manifest).weights
    terms = tuple(
        TermShare(
            **vars(term),
            weight=weights[term.task].weight if term.task in weights else 0.0,
            times=weights[term.task].times if term.task in weights else None,
        )
        for term in made.terms
    )
    return UtilityComposition(utility=made.utility, spread=made.spread, terms=terms)


def _replayed(
    workspace: Workspace,
    test: TestSlice,
    ours: Scored,
    theirs: Slates,
    policies: Mapping[str, UtilitySpec],
    *,
    run_id: str,
) -> Findings:
    """Measure the release against its baseline, and each further policy against the release."""
    replay, metrics = _replay(workspace, test), _metrics(workspace.contracts, test)
    by = _segments(workspace.contracts)
    measured = {n: replay.measure(m, ours.slates, theirs, by.get(n, ())) for n, m in metrics.items()}
    others = {name: test.slates_under(policy, ours, name) for name, policy in policies.items()}
    return Findings(
        baseline=theirs.name,
        verdicts=list(_judged(workspace, test, replay, ours, measured, run_id)),
        measured=list(chain.from_iterable(measured.values())),
        others={
            name: [one for m in metrics.values() for one in replay.measure(m, slates, ours.slates, ())]
            for name, slates in others.items()
        },
    )


def _replay(workspace: Workspace, test: TestSlice) -> Replay:
    tasks = workspace.contracts.tasks.tasks
    return Replay(
        test.log,
        Resampler(test.log.user_count, seed=0, replicates=REPLICATES),
        frozenset(name for name, task in tasks.items() if task.level == "request"),
    )


def _page(
    workspace: Workspace,
    test: TestSlice,
    manifest: Manifest,
    name: str,
    found: Findings,
    notes: Sequence[str],
) -> str:
    first, last = manifest.test
    log = test.log
    size = f"{len(test.candidates):,} in {log.request_count:,} requests of {log.user_count:,} users"
    facts = [
        f"candidates from {first} to {last}: {size}",
        f"{name} against {found.baseline}, slates of {workspace.contracts.slate.length}",
        "A replay narrows what is worth testing; it does not prove what people would have done.",
    ]
    return simulation_page(
        f"{workspace.surface} {name}: decision rehearsed",
        facts,
        verdicts=found.verdicts,
        measured=found.measured,
        others=found.others,
        notes=notes,
    )


def _metrics(contracts: Contracts, test: TestSlice) -> dict[str, Metric]:
    """Return every metric of the report by name: the guardrails' and those that are always shown."""
    tasks = contracts.tasks.tasks
    ranked = [n for n, task in tasks.items() if task.kind == "binary" and task.level == "impression"]
    guarded = (
        parse_metric(rail.metric, tasks=tasks, columns=test.log.segments)
        for rail in contracts.utility.guardrails
    )
    metrics = [metric for metric in guarded if metric is not None]
    metrics += [Metric(MetricKind.RATE, task) for task in ranked]
    likely = [task for task in ranked if contracts.head_kind(task) == "binary"]
    metrics += [Metric(k, task) for task in likely for k in (MetricKind.PREDICTED, MetricKind.CALIBRATION)]
    metrics += [Metric(MetricKind.NDCG, task) for task in ranked]
    metrics += [Metric(MetricKind.EXPECTED_UTILITY), Metric(MetricKind.COVERAGE)]
    metrics += [Metric(MetricKind.COMPONENT_SHARE, task) for task in contracts.utility.weights]
    metrics += [Metric(MetricKind.NEW_ITEM_EXPOSURE)] if NEW_ITEMS in test.log.segments else []
    return {metric.name: metric for metric in metrics}


def _segments(contracts: Contracts) -> dict[str, tuple[str, ...]]:
    """Return the segments by which each guardrail's metric is measured."""
    by: dict[str, tuple[str, ...]] = {}
    for rail in contracts.utility.guardrails:
        by[rail.metric] = tuple(dict.fromkeys((*by.get(rail.metric, ()), *rail.by)))
    return by


def _judged(
    workspace: Workspace,
    test: TestSlice,
    replay: Replay,
    ours: Scored,
    measured: Mapping[str, Sequence[Measured]],
    run_id: str,
) -> Iterator[Verdict]:
    """Judge every guardrail: on its own segments, against its anchor where it names one."""
    for rail in workspace.contracts.utility.guardrails:
        found = measured[rail.metric]
        if rail.anchor is not None:
            metric = _metrics(workspace.contracts, test)[rail.metric]
            anchored = load(workspace, resolve_tested_release(workspace, rail.anchor))
            anchor = test.slates_of(anchored, f"anchor {rail.anchor}")
            found = replay.measure(metric, ours.slates, anchor.slates, rail.by)
        yield from judge_guardrail(rail, [one for one in found if _asked(rail, one)], run=run_id)


def _asked(rail: Guardrail, measured: Measured) -> bool:
    return measured.segment == ALL or segment_column(measured.segment) in rail.by


def _anchors(workspace: Workspace) -> dict[str, int]:
    named = {rail.anchor for rail in workspace.contracts.utility.guardrails if rail.anchor is not None}
    return {anchor: resolve_release(workspace, anchor) for anchor in sorted(named)}
