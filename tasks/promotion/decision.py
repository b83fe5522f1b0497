"""Evaluate the gates of a release, and turn their verdicts into one decision: promote, or hold with reasons.

Each gate turns evidence and a limit into verdicts.

::

    lineage      Are all files as registered, and trained on permitted labels and days? (lineage.py)
    policy       Are the policies those in force, with a new version for new content? (policy.py)
    data         Are there enough rows and positives, and did the labels pass validation?
    model        Does each task rank as well as the champion's (or above the floor of a first release), and
                 better than a constant, without knowing the outcome? (references.py, gains.py)
    inputs       Are the features distributed as in training? (reports.py)
    calibration  Are the probabilities calibrated, overall and by segment?
    constraints  Does a slate violate a hard constraint? (slate_checks.py; cannot be overridden)
    decision     Do the utility policy's guardrails hold in the replay?
    shadow       Does the challenger score fresh traffic as in the replay?
    latency      How long does scoring a request take, compared with the champion?
    parity       Are scores reproducible, and served slates equal to replayed ones? (shadow_verdicts.py)
    freshness    Was every component trained on recent enough rows?
    reports      Are refits close to the tested models, and do proxies agree with outcomes? (reports.py)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal

from tasks.contracts.gates import Gates
from tasks.evaluation.evidence import ChampionComparison, HeadInputs, ValidationEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, stops
from tasks.promotion.gates.gains import Gains, RecipePair, evaluate_gains
from tasks.promotion.gates.lineage import Lineage, evaluate_lineage
from tasks.promotion.gates.model import evaluate_models, evaluate_ratios
from tasks.promotion.gates.policy import ReleasedPolicies, evaluate_policy
from tasks.promotion.gates.references import evaluate_references
from tasks.promotion.gates.reports import evaluate_inputs
from tasks.replay.evidence import ShadowComparison
from tasks.replay.shadow_verdicts import LATENCY, evaluate_shadow
from tasks.replay.slate_checks import GATE as CONSTRAINTS
from tasks.reports.phrases import NO_WORDS, Vocabulary, phrase_verdict


@dataclass(frozen=True)
class GateDecision:
    """The decision on a release, with a phrase for each verdict that holds it or warns.

    ``canary_permitted``: the release may enter a ramp as the canary, because every verdict that holds it is
    inconclusive and the surface permits this (``gates.decision.shown_only: canary``).
    """

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    canary_permitted: bool = False

    @property
    def verdict(self) -> Literal["promote", "hold"]:
        """``hold`` if there is at least one reason, else ``promote``."""
        return "hold" if self.reasons else "promote"


def decide_release(
    verdicts: Sequence[Verdict], *, inconclusive: Literal["hold", "warn"], words: Vocabulary = NO_WORDS
) -> GateDecision:
    """Decide on a release.

    A release is promoted if no verdict holds it and at least one is a pass or a warning. Blocks and missing
    metrics hold. An inconclusive verdict holds or warns by its own rule (the primary metric holds, a
    guardrail has its own rule), else by the surface's ``inconclusive``. Violations of hard constraints are
    listed first, then harmed segments.

    Examples
    --------
    >>> decide_release([], inconclusive="warn")
    GateDecision(reasons=('no gate was evaluated',), warnings=(), canary_permitted=False)
    """
    if not verdicts:
        return GateDecision(("no gate was evaluated",))
    ordered = sorted(verdicts, key=lambda verdict: (verdict.gate != CONSTRAINTS, not verdict.harms_segment))
    holding = find_holding(ordered, inconclusive=inconclusive)
    uncertain = [v for v in ordered if v.outcome in {Outcome.WARN, Outcome.INCONCLUSIVE}]
    warnings = tuple(explain_verdict(v, words) for v in uncertain if not holds_release(v, inconclusive))
    reasons = tuple(explain_verdict(verdict, words) for verdict in holding)
    if not reasons and not any(v.outcome in {Outcome.PASS, Outcome.WARN} for v in verdicts):
        reasons = ("every verdict is inconclusive or has no limit: none is a pass",)
    return GateDecision(
        reasons, warnings, canary_permitted=bool(holding) and all(map(permits_canary, holding))
    )


def permits_canary(verdict: Verdict) -> bool:
    """Whether a verdict is inconclusive and holds a release only from becoming champion without a ramp."""
    return verdict.outcome is Outcome.INCONCLUSIVE and verdict.holds == "champion"


def find_holding(verdicts: Sequence[Verdict], *, inconclusive: Literal["hold", "warn"]) -> list[Verdict]:
    """Return the verdicts that hold a release, in their original order."""
    return [verdict for verdict in verdicts if holds_release(verdict, inconclusive)]


def holds_release(verdict: Verdict, inconclusive: Literal["hold", "warn"]) -> bool:
    """Whether a single verdict holds a release.

    Examples
    --------
    >>> from tasks.evaluation.subjects import ALL, Subject, Threshold
    >>> rows = Subject("rows", task="click")
    >>> holds_release(Verdict("data", rows, ALL, Outcome.INCONCLUSIVE, Threshold(low=9), None), "warn")
    False
    """
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return inconclusive == "hold" if verdict.holds is None else bool(verdict.holds)
    return stops(verdict.outcome)


def explain_verdict(verdict: Verdict, words: Vocabulary = NO_WORDS) -> str:
    """Return the name of the verdict's gate and the verdict's phrase.

    Examples
    --------
    >>> from tasks.evaluation.subjects import ALL, Subject, Threshold
    >>> from tasks.evaluation.verdicts import Estimate
    >>> seen = Estimate(1.21, 1.15, 1.28, 900)
    >>> ratio = Subject("calibration_ratio", task="click")
    >>> explain_verdict(Verdict("calibration", ratio, ALL, Outcome.BLOCK, Threshold(0.9, 1.1), seen))
    'calibration: calibration of click 1.21 (95 % CI 1.15 to 1.28; 0.9 to 1.1): block'
    """
    return f"{verdict.gate}: {phrase_verdict(verdict, words)}"


LATER_VALIDATION: Final = "validation_of_later_labels"
"""Metric of the validation of the labels as of the day of promotion, with later matured outcomes."""
_SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Evidence:
    """The inputs of the gates; ``guardrails``, ``reports`` and ``serving`` are already verdicts.

    ``costs`` names the negative and safety tasks. ``comparisons`` and ``shadow`` are None without a champion.
    ``weighted`` are the tasks that the utility policy's order depends on. ``later_validation`` validates the
    labels as of the day of promotion. ``recipes`` pairs the heads' recipes with the champion's.
    ``past_gains`` are gains of earlier releases by subject. ``inputs`` compares the features of heads with
    their training data, and ``served`` compares them with the newest traffic.
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
    """Evaluate all gates of a release.

    Returns
    -------
    One verdict for each limit, in the order of the gates. Metrics without a limit and missing metrics have
    verdicts too. Violated hard constraints come first and measured times last.
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
        recipes={pair.task: pair for pair in evidence.recipes or ()},
        past=evidence.past_gains,
        inputs={one.task: one for one in evidence.inputs},
        run=evidence.runs.release,
    )
    yield from evaluate_gains(evidence.tasks, evidence.comparisons, gains, run=evidence.runs.simulation)


def _origins(evidence: Evidence) -> Iterator[Verdict]:
    """Evaluate lineage and policies, if they were read."""
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
                observed=Estimate(float(found), float(found), float(found), found),
                reason="" if enough else f"{found:,} {what} in the test slice; {least:,} are required",
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
