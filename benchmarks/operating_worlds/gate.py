"""The whole gate on a world: every verdict on a release, and the decision that follows from them.

The functions are those of the steps: figures of the heads, comparisons with the champion, the replay of
the decision, the shadow on the newest of the test days, `evaluate_release`, `decide_release`. What no release
here differs in is left out: refits and proxies, and metrics that hold nothing. A slow task has no known
label in the slice, so its head is not measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import cached_property

import numpy as np

from benchmarks.operating_worlds.head_figures import HeadFigures
from benchmarks.operating_worlds.policies import Candidate, ranked
from benchmarks.operating_worlds.scored_slice import Predictions, ScoredSlice
from tasks import columns as c
from tasks.contracts import Contracts
from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.evidence import ChampionComparison, Measured, ValidationEvidence
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.subjects import RATCHET, Subject
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.decision import Evidence, GateDecision, decide_release, evaluate_release
from tasks.promotion.gates.policy import ReleasedPolicies
from tasks.promotion.gates.references import weighted_tasks
from tasks.ranking.examination import Examination
from tasks.ranking.utility import compute_utilities, worth_of_outcomes
from tasks.replay.entrants import baseline_order
from tasks.replay.evaluate import Findings, OfflineEvaluation, evaluate_offline, report_metrics
from tasks.replay.evidence import ShadowComparison
from tasks.replay.log import PolicySlates
from tasks.replay.shadow import compare
from tasks.replay.simulate import comparisons
from tasks.replay.slate_checks import count_leaks, evaluate_leaks
from tasks.replay.slates import Scored, TestSlice

_NO_RUN = EvidenceRuns("", "", "", "")
_PASSED = ValidationEvidence(snapshot="", success=True, severity=None, expectations=(), report="")
_MEASURED = frozenset({MetricKind.OBSERVED_UTILITY, MetricKind.RATE})


class _Judged(OfflineEvaluation):
    """A replay of what holds a release and of the rates: the report's other metrics are not measured."""

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name."""
        named = {rail.metric for rail in self.contracts.utility.guardrails}
        costs = self.contracts.tasks.costs
        return {
            name: metric
            for name, metric in report_metrics(self.contracts, self.log).items()
            if name in named
            or metric.kind in _MEASURED
            or (metric.kind is MetricKind.PREDICTED and metric.subject in costs)
        }


@dataclass(frozen=True)
class Judged:
    """What the gate says of a release, and every figure of its replay."""

    baseline: PolicySlates
    decision: GateDecision
    verdicts: tuple[Verdict, ...]
    measured: Sequence[Measured]


@dataclass(frozen=True)
class Gate:
    """The gate of a world, in front of which releases with the challenger's slices are put.

    Attributes
    ----------
    heads : figures of the heads on the candidates of the slice; gates may share them.
    examination : how much each place is looked at, as the gate knows it; None is undeclared.
    complete : whether all candidates are logged.
    past : what earlier retrains of the surface gained, by subject of the verdict.
    """

    heads: HeadFigures
    examination: Examination | None
    complete: bool = True
    past: Mapping[Subject, Sequence[float]] = field(default_factory=dict)

    @property
    def data(self) -> ScoredSlice:
        """The candidates of the slice, and what heads say of them."""
        return self.heads.data

    @property
    def contracts(self) -> Contracts:
        """The surface's contracts."""
        return self.data.contracts

    @cached_property
    def test(self) -> TestSlice:
        """The test slice as the simulation reads it."""
        return TestSlice(
            self.data.workspace,
            self.data.candidates,
            complete=self.complete,
            examination=self.examination,
        )

    @cached_property
    def champion(self) -> Scored:
        """The release of the earlier retrain, under the same policies."""
        return self.scored(ranked(self.data, "champion", self.data.champion))

    def judge(
        self,
        candidate: Candidate,
        *,
        first: bool,
        validation: ValidationEvidence | None = None,
        policy: ReleasedPolicies | None = None,
    ) -> Judged:
        """Judge a release against the champion, or as a first release against the logged order.

        Parameters
        ----------
        validation : of the labels that its heads learned from; None is labels that passed.
        policy : what decides in it; None leaves the gate of policies out.
        """
        ours, gates = self.scored(candidate), self.contracts.surface.gates
        baseline = baseline_order(self.test, ours) if first else self._champion_of(candidate)
        findings = self._evaluate(ours, baseline, stepped=candidate.champion is not None)
        verdicts = evaluate_release(
            gates,
            Evidence(
                as_of=self._as_of,
                runs=_NO_RUN,
                validation=validation or _PASSED,
                tasks=[self.heads.of(task, candidate) for task in self.data.known_tasks],
                costs=self.contracts.tasks.costs,
                guardrails=(*findings.verdicts, *self._leaks(candidate)),
                comparisons=None if first else self._comparisons(ours, candidate),
                shadow=None if first else self._shadow(ours),
                weighted=weighted_tasks(self.contracts.utility),
                past_gains=self.past,
                policy=policy,
            ),
        )
        decision = decide_release(verdicts, inconclusive=gates.inconclusive)
        return Judged(baseline, decision, verdicts, findings.measured)

    def scored(self, candidate: Candidate) -> Scored:
        """Return a release's slates, predictions and policy as the simulation reads them."""
        data, policy = self.data, candidate.policy
        slates = PolicySlates(
            name=candidate.name,
            slot=candidate.slot,
            predictions={
                task: candidate.predictions[c.probability(task)] for task in self.contracts.tasks.tasks
            },
            utility=candidate.utility,
            contributions=compute_utilities(data.candidates, candidate.predictions, policy).contributions,
            worth=worth_of_outcomes(data.candidates, candidate.predictions, policy),
        )
        frame = data.candidates[[*c.IMPRESSION_KEY]].assign(
            **candidate.predictions,
            **{
                c.UTILITY: candidate.utility,
                c.SLATE_POSITION: np.where(slates.slot > 0, slates.slot, np.nan),
            },
        )
        return Scored(slates, frame, candidate.predictions, policy)

    def _champion_of(self, candidate: Candidate) -> PolicySlates:
        """Return the slates of the world's champion, or of a release's own."""
        if candidate.champion is None:
            return self.champion.slates
        return replace(self.champion.slates, slot=candidate.champion)

    def _evaluate(self, ours: Scored, baseline: PolicySlates, *, stepped: bool) -> Findings:
        """Replay a release; of a fourth step the world's champion is that of four promotions ago."""
        anchors = {RATCHET: self.champion.slates} if stepped else {}
        evaluation = _Judged(self.contracts, self.test.log, ours.slates, baseline, anchors)
        return evaluate_offline(evaluation, {}, run="")

    def _comparisons(self, ours: Scored, candidate: Candidate) -> list[ChampionComparison]:
        altered = {name: ours.where_logged[name] for name in map(c.probability, candidate.altered)}
        compared = {**self._unaltered_comparisons, **self._compare(altered)}
        return [compared[task] for task in self.data.known_tasks if task in compared]

    @cached_property
    def _unaltered_comparisons(self) -> dict[str, ChampionComparison]:
        return self._compare(self.data.challenger)

    def _compare(self, challenger: Predictions) -> dict[str, ChampionComparison]:
        """Compare some heads with the champion's, by task."""
        found = comparisons(self.contracts, self.test.log, challenger, self.champion.where_logged)
        return {comparison.task: comparison for comparison in found}

    def _shadow(self, ours: Scored) -> ShadowComparison:
        """Compare the utilities on the newest day of the slice."""
        newest = (self.data.candidates[c.SHOWN_AT].dt.date == self.heads.days[1]).to_numpy()
        users = self.data.candidates.loc[newest, c.USER_ID]
        return compare(ours.frame[newest], self.champion.frame[newest], users)

    @property
    def _as_of(self) -> datetime:
        """The end of the slice; a retrain is later by the maturity of the labels."""
        return datetime.combine(self.heads.days[1], time(), UTC) + timedelta(days=1)

    def _leaks(self, candidate: Candidate) -> Iterator[Verdict]:
        """Judge what the slots hold that the policy's hard constraints keep out."""
        rows = self.data.candidates
        leaks = count_leaks(rows, candidate.slot, candidate.policy)
        return evaluate_leaks(leaks, candidates=len(rows), where="the test days", run="")
