"""The simulation step: a release and its baseline replayed on the test slice's logged candidate sets.

::

    candidates of the test slice -> release, baseline (champion | logged order | a column's order) -> slates
    slates -> metrics with intervals, by segment -> primary, guardrails, comparisons with the champion
    slots  -> items that break a hard constraint -> a block that cannot be overridden

The contribution of each utility term to the slots, and its spread among candidates of one request, are part
of the evidence.

::

    contribution   mean over slots of weight x prediction [x value column]
    spread         root mean square over candidates of (contribution - its request's mean): determines order

A relative error e in a task's predictions changes a slot's utility by e x contribution, and candidates of
one request relative to each other by e x spread.

Predictions of the release are compared with the champion's, task by task, on the same rows.

::

    order         AUC by request        of the joint probability, which ranks the candidates of a request
    probability   normalized entropy    of the conditional probability where the parent is positive, if both
                                        releases have it
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from tasks import columns as c
from tasks.arrays import Flags, Floats
from tasks.contracts import Contracts, canonical, digest
from tasks.contracts.load import read_policy
from tasks.contracts.tasks import join_outcomes
from tasks.contracts.utility import Term
from tasks.evaluation.binary import divide
from tasks.evaluation.compared_rows import compare_rows
from tasks.evaluation.evidence import ChampionComparison, TermShare, UtilityComposition
from tasks.evaluation.paired import PairedRows
from tasks.evaluation.subjects import RATCHET, Subject
from tasks.evaluation.verdicts import WORST_FIRST, Outcome, Verdict, stops
from tasks.progress import report
from tasks.release.view import release_policy
from tasks.replay.decided_slice import BASELINE, POLICY, DecidedSlice, decide_slice
from tasks.replay.entrants import EntrantVersions
from tasks.replay.evaluate import Findings, OfflineEvaluation, evaluate_offline
from tasks.replay.evidence import SimulationEvidence
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.logged_candidates import hash_labelled_candidates
from tasks.replay.measured_policies import Selection, count_luck, tag_policies
from tasks.replay.metrics import within_request
from tasks.replay.off_policy_check import check_off_policy, disagreements
from tasks.replay.page import note_examined, notes_of, other_slate, simulation_page, stood_in
from tasks.replay.slate_checks import evaluate_leaks
from tasks.replay.spark_stream import decide_slice_with_spark
from tasks.reports.numbers import format_counted
from tasks.reports.phrases import vocabulary
from tasks.stores.audit import champions
from tasks.stores.manifest import Manifest
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, write_report
from tasks.training.rows import mark_first_rows

REPORT = "simulation.html"
PROMOTIONS = 4
"""Number of promotions since the earlier champion that the primary is also compared with."""


@dataclass(frozen=True)
class SimulateResult:
    """Baseline, verdicts and figures of a replay, and the location of its report.

    ``policies``: machine-readable summary, the release's own policy first: the worst verdict, and by metric
    the value, the baseline's value and the relative change. ``measured``: figures of all rows as in the
    evidence; ``others``: figures of further policies by file.
    ``off_policy``: bounded figures with their off-policy estimates; no gate reads them.
    ``selection``: number of policies measured on these days, and the expected luck of the best of them.
    """

    release: int
    baseline: str
    report: str
    run_id: str
    guardrails: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    measured: list[dict[str, Any]]
    others: dict[str, list[dict[str, Any]]]
    off_policy: list[dict[str, Any]]
    selection: Selection

    @property
    def passed(self) -> bool:
        """Whether no hard constraint, primary or guardrail blocks."""
        return not any(stops(verdict["outcome"]) for verdict in self.guardrails)


@dataclass(frozen=True)
class _Simulation:
    """The release under test, its baseline, anchors, and further policies by file."""

    workspace: Workspace
    entrants: EntrantVersions

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of the release, or of the tested release that it is refitted from."""
        return self.workspace.releases.tested(self.entrants.release)


def _anchors(workspace: Workspace) -> dict[str, int]:
    """Return the releases that guardrails name, and the champion of four promotions ago, by reference."""
    named = {rail.anchor for rail in workspace.contracts.utility.guardrails if rail.anchor is not None}
    anchors = {anchor: workspace.releases.version(anchor) for anchor in sorted(named)}
    served = champions(workspace.audit.entries())
    return anchors | {RATCHET: served[-PROMOTIONS]} if len(served) >= PROMOTIONS else anchors


def run(
    workspace: Workspace,
    *,
    release: int,
    baseline: str | None = None,
    policies: Sequence[Path] = (),
    parent_run: str | None = None,
) -> SimulateResult:
    """Replay a release's decision on the candidates of its test slice.

    Parameters
    ----------
    release : version of the release under test.
    baseline : a release to compare with, ``logged`` for the logged order, or a column to order by; by
        default the champion, or without one the baseline of the surface's decision gate.
    policies : further utility policies to compare on the same predictions.
    parent_run : parent of the MLflow run.

    Raises
    ------
    ContractError
        The baseline is a version that does not exist.
    DataError
        The baseline is an alias or a column that does not exist.
    """
    extra = {str(path): read_policy(path, workspace.contracts) for path in policies}
    entrants = EntrantVersions.of(workspace, release, baseline)
    asked = _Simulation(workspace, replace(entrants, anchors=_anchors(workspace), others=extra))
    done = SIMULATE.run(asked, parent_run=parent_run)
    evidence = done.evidence.to_json()
    shown = ("release", "baseline", "report", "guardrails", "off_policy")
    return SimulateResult(
        run_id=done.run_id,
        policies=[
            _summarise(f"release {release}", evidence["measured"], evidence["guardrails"]),
            *(
                _summarise(name, rows, evidence["other_verdicts"].get(name, ()))
                for name, rows in evidence["others"].items()
            ),
        ],
        measured=_of_all_rows(evidence["measured"]),
        others={name: _of_all_rows(rows) for name, rows in evidence["others"].items()},
        selection=count_luck(workspace, done.run_id, done.evidence.others),
        **{name: evidence[name] for name in shown},
    )


def _of_all_rows(figures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in figures if not one["segment"]]


def _summarise(
    name: str, figures: Sequence[dict[str, Any]], verdicts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return a policy's figures of all rows by metric; the first figure of a metric is the policy's own."""
    metrics: dict[str, dict[str, Any]] = {}
    for one in _of_all_rows(figures):
        value, baseline, change = (one[part] or {} for part in ("policy", "baseline", "relative"))
        metrics.setdefault(
            Subject(**one["subject"]).name,
            {
                **{end: value.get(end) for end in ("value", "low", "high", "n")},
                "baseline": baseline.get("value"),
                "change": change.get("value"),
                "change_low": change.get("low"),
                "change_high": change.get("high"),
                "labelled_share": one["labelled_share"],
                "reason": one["reason"],
            },
        )
    worst = min((Outcome(one["outcome"]) for one in verdicts), key=WORST_FIRST.index, default=Outcome.NO_RULE)
    return {"name": name, "verdict": worst.value, "metrics": metrics, "verdicts": list(verdicts)}


def _inputs(asked: _Simulation) -> dict[str, Any]:
    workspace, manifest, entrants = asked.workspace, asked.manifest, asked.entrants
    gates, versions = workspace.contracts.surface.gates, (entrants.release, entrants.baseline)
    return {
        "release": entrants.release,
        "baseline": entrants.baseline,
        "order": entrants.order,
        "anchors": dict(entrants.anchors),
        "releases": workspace.releases.digests((*versions, *entrants.anchors.values())),
        "log": hash_labelled_candidates(workspace, snapshot=manifest.snapshot.id, days=manifest.test),
        "contracts": workspace.contracts.measured_digests,
        "gates": {
            "decision": canonical(gates.decision),
            "inconclusive": gates.inconclusive,
            "error_rate_max": gates.shadow.error_rate_max,
        },
        "policies": {name: canonical(policy) for name, policy in entrants.others.items()},
    }


def _simulate(asked: _Simulation, run: StepRun) -> SimulationEvidence:
    """Replay the decisions; write a report and return the evidence for the gate."""
    workspace, manifest = asked.workspace, asked.manifest
    entrants, release, champion = asked.entrants, asked.entrants.release, asked.entrants.baseline
    report("decide", done=0, of=4)
    if workspace.contracts.surface.engine.name == "spark":  # the slice is identical to the bit
        test = decide_slice_with_spark(workspace, manifest, entrants)
    else:
        test = decide_slice(workspace, manifest, entrants.load(workspace))
    others = (digest(canonical(policy)) for policy in entrants.others.values())
    tried = [manifest.contracts["utility"], *others]
    tag_policies(run, "/".join(map(str, manifest.test)), release, tried)
    candidate, reference = test.policy, test.baseline
    evaluation = OfflineEvaluation(workspace.contracts, test.log, candidate, reference, test.anchors)
    report("measure", done=1, of=4)
    found = evaluate_offline(evaluation, test.others, run=run.run_id)
    report("off-policy estimates", done=3, of=4)
    checks = check_off_policy(evaluation)
    verdicts = [*_evaluate_leaks(test, run.run_id), *found.verdicts]
    found = replace(found, verdicts=verdicts, checks=checks)
    notes = (*disagreements(checks), *_notes(asked, test, found))
    title = f"{workspace.surface} {candidate.name}: decision replayed"
    facts = _facts(test, manifest, found)
    words = vocabulary(workspace.contracts, champion=champion)
    html = simulation_page(title, words, found=found, facts=facts, rules=test.rules, notes=notes)
    run.text(REPORT, html)
    path = write_report(workspace, f"simulation-release-{release}-{run.run_id[:8]}.html", html)
    run.metrics({"expected_utility": found.expected_utility})
    of_champion = test.predicted.get(BASELINE, {})
    compared = comparisons(workspace.contracts, test.log, test.predicted[POLICY], of_champion)
    return SimulationEvidence(
        release=release,
        champion=champion,
        baseline=reference.name,
        report=str(path),
        guardrails=tuple(found.verdicts),
        measured=tuple(found.measured),
        others={name: tuple(rows) for name, rows in found.others.items()},
        other_verdicts={name: tuple(verdicts) for name, verdicts in found.other_verdicts.items()},
        comparisons=None if champion is None else tuple(compared),
        composition=composition(test.log, candidate, release_policy(workspace, manifest).base_terms),
        notes=notes,
        slate_rules=test.rules,
        off_policy=checks,
    )


SIMULATE: Final = Step(
    name="simulate",
    room="replay",
    document=SimulationEvidence,
    inputs=_inputs,
    tags=lambda asked: {"release": asked.entrants.release},
    function=_simulate,
)


def _notes(asked: _Simulation, test: DecidedSlice, found: Findings) -> Iterator[str]:
    """Yield what is particular about the replayed policies, and what the data cannot measure."""
    workspace, policy, reference = asked.workspace, test.policy, test.baseline
    yield from stood_in(workspace, asked.entrants.release)
    yield from note_examined(test.log, policy, reference)
    for one in test.others.values():
        yield from note_examined(test.log, one, policy)
    pinned, in_force = asked.manifest.contracts["slate"], workspace.contracts.digests["slate"]
    yield from other_slate(pinned, in_force, asked.entrants.others)
    yield from notes_of(test, found, against_log=reference.follows_log)


def _evaluate_leaks(test: DecidedSlice, run: str) -> Iterator[Verdict]:
    """Evaluate constraint leaks of the release under test, and warn of leaks of other releases."""
    size, under_test = len(test.log.requests), test.policy.name
    for name, leaks in test.leaks.items():
        beside = "" if name == under_test else name
        yield from evaluate_leaks(leaks, candidates=size, where="the test days", run=run, beside=beside)


def _facts(test: DecidedSlice, manifest: Manifest, found: Findings) -> list[str]:
    first, last = manifest.test
    log = test.log
    requests, users = format_counted(log.request_count, "request"), format_counted(log.user_count, "user")
    return [
        f"candidates from {first} to {last}: {len(log.requests):,} in {requests} of {users}",
        f"{test.policy.name} against {found.baseline}, slates of {test.contracts.slate.length}",
        "A replay narrows what is worth testing; it does not prove what people would have done.",
    ]


def composition(
    log: CandidateLog, slates: PolicySlates, declared: Mapping[str, Term]
) -> UtilityComposition | None:
    """Decompose a policy's utility; None if it has no utility.

    Parameters
    ----------
    log : n candidates.
    slates : the policy's slots, utility and contributions, each of shape (n,).
    declared : the terms of the utility by name, outside any context.
    """
    if slates.utility is None:
        return None
    scored = np.isfinite(slates.utility)
    placed = scored & (slates.slot > 0)
    terms = []
    for name, term in sorted(declared.items()):
        contribution = np.nan_to_num(slates.contributions[name])
        heads = [slates.predictions[task] for task in term.tasks if task in slates.predictions]
        prediction = np.max(heads, axis=0) if heads else np.full(len(placed), np.nan)
        terms.append(
            TermShare.of(
                name,
                term,
                prediction=_mean(prediction, placed),
                contribution=_mean(contribution, placed),
                spread=_spread(log, contribution, scored),
            )
        )
    return UtilityComposition(
        utility=_mean(slates.total, placed), spread=_spread(log, slates.total, scored), terms=tuple(terms)
    )


def _mean(values: Floats, rows: Flags) -> float:
    return float(divide(np.sum(values, where=rows), np.count_nonzero(rows)))


def _spread(log: CandidateLog, values: Floats, rows: Flags) -> float:
    moved = within_request(log, np.where(rows, values, 0.0), rows)
    return float(np.sqrt(divide((moved**2).sum(), np.count_nonzero(rows))))


def comparisons(
    contracts: Contracts, log: CandidateLog, ours: Mapping[str, Floats], champion: Mapping[str, Floats]
) -> Iterator[ChampionComparison]:
    """Compare each probability with the champion's on the rows with a known outcome, paired.

    The order within requests is measured by the joint probability, which ranks. The normalized entropy of a
    conditional probability is measured on the rows with a positive parent. If a release has no conditional
    probability, because it learned the joint event, the joint probabilities are compared on the chain's
    outcome.

    Parameters
    ----------
    log : n candidates of the test slice.
    ours, champion : predictions of both releases by column, [n], at the positions where items were shown.
    """
    for name, task in contracts.tasks.tasks.items():
        given, joint = (
            column if column in ours and column in champion else None
            for column in (c.given(name), c.probability(name))
        )
        if task.kind != "binary" or joint is None:
            continue
        chain, once = contracts.tasks.chain(name), task.level == "request"
        links = chain if given is None else [name]
        calibrated = _pair_rows(log, champion, ours, given or joint, links, once=once)
        if calibrated is not None:
            ranked = None if once else _pair_rows(log, champion, ours, joint, chain, once=once)
            yield compare_rows(name, calibrated, ranked=ranked, calibrated=calibrated)


def _pair_rows(
    log: CandidateLog,
    champion: Mapping[str, Floats],
    ours: Mapping[str, Floats],
    column: str,
    links: Sequence[str],
    *,
    once: bool,
) -> PairedRows | None:
    """Return the rows where the joint outcome of ``links`` is known; None without any.

    ``once``: only the first known row of each request.
    """
    label = join_outcomes(log.labels, links)
    if once:
        label = np.where(mark_first_rows(log.requests, np.isfinite(label)), label, np.nan)
    known = np.isfinite(label)
    if not known.any():
        return None
    old, new = (side[column][known] for side in (champion, ours))
    segments = {name: np.asarray(values[known]) for name, values in log.segments.items()}
    return PairedRows(label[known], old, new, log.users[known], log.requests[known], segments)
