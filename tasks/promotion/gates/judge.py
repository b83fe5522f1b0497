"""The gates of a release: each turns evidence and a bound into verdicts.

::

    lineage      is it what was registered, made of what it may be made of? (lineage.py)
    policy       is what decides in force, under a version of its own? (policy.py)
    data         is there enough to judge by, and did the labels pass validation?
    model        does no task rank worse than the champion's (or than the floor of a first release), and
                 does each tell more than a constant without knowing the outcome? (references.py, gains.py)
    inputs       are the features still what the heads learned from? (reports.py)
    calibration  does a probability mean what it says, overall and by segment?
    constraints  does a slot hold what a hard constraint keeps out? (leaks.py; nobody may override it)
    decision     do the utility policy's guardrails hold where the decision was replayed?
    shadow       does the challenger score fresh traffic as replayed?
    latency      how long does it take to score a request, beside the champion?
    parity       does it give what it served, and serve what was replayed? (shadow_verdicts.py)
    freshness    is every part trained on recent enough rows?
    reports      do refits stay near what was tested, and do proxies point the right way? (reports.py)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final

from tasks.contracts.gates import Gates
from tasks.evaluation.evidence import ChampionComparison, HeadInputs, ValidationEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.gates.calibration import evaluate_ratios
from tasks.promotion.gates.gains import Gains, RecipePair, evaluate_gains
from tasks.promotion.gates.lineage import Lineage, evaluate_lineage
from tasks.promotion.gates.model import evaluate_models
from tasks.promotion.gates.policy import ReleasedPolicies, evaluate_policy
from tasks.promotion.gates.references import evaluate_references
from tasks.promotion.gates.reports import evaluate_inputs
from tasks.replay.evidence import ShadowComparison
from tasks.replay.leaks import GATE as CONSTRAINTS
from tasks.replay.shadow_verdicts import LATENCY, evaluate_shadow

LATER_VALIDATION: Final = "validation_of_later_labels"
"""Of the labels as of a promotion's own day: what has matured since the release was made."""
_SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Evidence:
    """Everything that the gates read; the steps judged ``guardrails``, ``reports`` and ``serving``.

    ``costs`` names the negative and safety tasks. ``comparisons`` and ``shadow`` are None where there is no
    champion. ``weighted`` are the tasks that the utility policy's order depends on. ``later_validation`` is
    that of the labels as of a promotion's own day. ``recipes`` are the heads' and the champion's;
    ``past_gains`` what earlier releases gained, by subject; ``inputs`` what the heads read, and
    ``served`` the same beside the newest traffic.
    """

    as_of: datetime
    runs: EvidenceRuns
    validation: ValidationEvidence
    tasks: Sequence[TaskFigures]
    costs: frozenset[str]
    guardrails: Sequence[Verdict]
    comparisons: Sequence[ChampionComparison] | None
    shadow: ShadowComparison | None
    reports: Sequence[Verdict] = ()
    later_validation: ValidationEvidence | None = None
    weighted: frozenset[str] = frozenset()
    lineage: Lineage | None = None
    policy: ReleasedPolicies | None = None
    serving: Sequence[Verdict] = ()
    recipes: Sequence[RecipePair] | None = None
    past_gains: Mapping[Subject, Sequence[float]] = field(default_factory=dict)
    inputs: Sequence[HeadInputs] = ()
    served: Sequence[HeadInputs] = ()


def evaluate_release(gates: Gates, evidence: Evidence) -> tuple[Verdict, ...]:
    """Judge a release by all its gates.

    Returns
    -------
    One verdict for each bound, in the order of the gates; nothing is left out in silence: what has no
    rule or no figure says so. What leaks through a hard constraint comes first, and what a clock measured
    last, as in the document that keeps it apart.
    """
    runs = evidence.runs
    verdicts = (
        *_origins(evidence),
        *_data(gates, evidence),
        *evaluate_models(
            gates.model, evidence.tasks, evidence.comparisons, run=runs.release, simulation=runs.simulation
        ),
        *evaluate_references(gates.model, evidence.tasks, evidence.weighted, run=runs.release),
        *_gains(evidence),
        *evaluate_inputs(evidence.inputs, evidence.weighted, where="features", run=runs.release),
        *evaluate_inputs(evidence.served, evidence.weighted, where="served_features", run=runs.shadow),
        *evidence.reports,
        *evaluate_ratios(gates.calibration, evidence.tasks, costs=evidence.costs, run=runs.release),
        *evidence.guardrails,
        *evaluate_shadow(gates.shadow, evidence.shadow, run=runs.shadow),
        *evidence.serving,
        *_freshness(gates, evidence),
    )
    return tuple(sorted(verdicts, key=lambda verdict: (verdict.gate != CONSTRAINTS, verdict.gate == LATENCY)))


def _gains(evidence: Evidence) -> Iterator[Verdict]:
    gains = Gains(
        counted=evidence.weighted | evidence.costs,
        recipes={pair.candidate.task: pair for pair in evidence.recipes or ()},
        past=evidence.past_gains,
        inputs={one.task: one for one in evidence.inputs},
        run=evidence.runs.release,
    )
    yield from evaluate_gains(evidence.tasks, evidence.comparisons, gains, run=evidence.runs.simulation)


def _origins(evidence: Evidence) -> Iterator[Verdict]:
    """Judge what the release was made of and what decides in it, where that was read."""
    run = evidence.runs.release
    if evidence.lineage is not None:
        yield from evaluate_lineage(evidence.lineage, run=run)
    if evidence.policy is not None:
        yield from evaluate_policy(evidence.policy, run=run)


def _data(gates: Gates, evidence: Evidence) -> Iterator[Verdict]:
    severity, runs = gates.data.severity, evidence.runs
    yield _validation("validation", evidence.validation, least=severity, run=runs.validation)
    if later := evidence.later_validation:
        yield _validation(LATER_VALIDATION, later, least=severity, run=runs.later_validation)
    for task in evidence.tasks:
        bounds = [("rows", task.rows, gates.data.rows)]
        if task.kind in {"binary", "ranking"}:
            bounds.append(("positives", task.positives, gates.data.positives))
        for what, found, least in bounds:
            enough = found >= least
            yield Verdict(
                gate="data",
                subject=Subject(what, task=task.task),
                segment=ALL,
                outcome=Outcome.PASS if enough else Outcome.INCONCLUSIVE,
                threshold=Threshold(low=least),
                observed=_count(found),
                reason="" if enough else f"{found:,} {what} in the test slice; {least:,} are asked for",
                evidence=runs.release,
            )


def _validation(metric: str, found: ValidationEvidence, *, least: str, run: str) -> Verdict:
    severity = found.severity
    if severity is None:
        outcome = Outcome.PASS
    elif _SEVERITIES.index(severity) >= _SEVERITIES.index(least):
        outcome = Outcome.BLOCK
    else:
        outcome = Outcome.WARN
    return Verdict(
        gate="data",
        subject=Subject(metric),
        segment=ALL,
        outcome=outcome,
        threshold=Threshold(words=f"no {least} failure"),
        observed=None,
        reason="; ".join(found.failures),
        evidence=run,
    )


def _freshness(gates: Gates, evidence: Evidence) -> Iterator[Verdict]:
    for task in evidence.tasks:
        bound = gates.freshness.parts.get(task.task, gates.freshness.newest_training_row)
        end = datetime.combine(task.newest_training_row + timedelta(days=1), time(), tzinfo=UTC)
        age = evidence.as_of - end
        days, most = age / timedelta(days=1), bound / timedelta(days=1)
        yield Verdict(
            gate="freshness",
            subject=Subject("newest_training_row", task=task.task),
            segment=ALL,
            outcome=Outcome.PASS if age <= bound else Outcome.BLOCK,
            threshold=Threshold(high=most, unit="days"),
            observed=Estimate(days, days, days, 1),
            reason="" if age <= bound else f"the newest training row is {days:.0f} days old",
            evidence=evidence.runs.release,
        )


def _count(found: int) -> Estimate:
    return Estimate(float(found), float(found), float(found), found)
