"""The tuning step: weights of a release's policy searched on days of their own, and one policy proposed.

::

    days between training and test -> half of the users searches, trial by trial (MLflow)
                                   -> the other half confirms the front and what is proposed
    --restore                      -> the smallest change of weights that brings exceeded bounds back

What is proposed is written aside as the next version of ``utility.yaml``; it changes nothing by itself.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.utility import Constrained
from tasks.errors import ContractError
from tasks.evaluation.tuning_evidence import Objective, TuningEvidence, WeightProposal
from tasks.evaluation.verdicts import Verdict
from tasks.replay.entrants import Baseline, EntrantVersions
from tasks.replay.guardrails import MODEL_JUDGED
from tasks.replay.proposed_policy import read_policy
from tasks.replay.rehearse import Rehearsal, rehearse
from tasks.replay.tuning.goal import WeightGoal
from tasks.replay.tuning.page import tuning_page
from tasks.replay.tuning.proposal import proposed_text
from tasks.replay.tuning.space import WeightSpace
from tasks.replay.tuning.trials import MOST_TRIALS, count_policies, read_trials, write_trial
from tasks.replay.tuning.tuned import Chosen, Halves, Tuned, restore_weights, tune_weights
from tasks.replay.tuning.tuning_slice import TuningHalf, TuningSlice
from tasks.reports.numbers import format_change, format_estimate
from tasks.reports.words import vocabulary
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, write_report

REPORT: Final = "tuning.html"
PROPOSED: Final = "utility.yaml"
_FAR: Final = 100.0
"""How many times a weight may grow or shrink where a restoration finds no declared range."""


@dataclass(frozen=True)
class TuneResult:
    """What was found, where its report lies, and the policy that is proposed."""

    evidence: TuningEvidence
    run_id: str


@dataclass(frozen=True)
class TuneRequest:
    """What is asked: of which release, how many trials from which seed; or to restore its bounds.

    ``baseline``: a release, ``logged`` or a column; by default the champion, else what stands in for one.
    """

    release: int
    trials: int
    seed: int = 0
    baseline: str | None = None
    restore: bool = False


def run(workspace: Workspace, request: TuneRequest, *, parent_run: str | None = None) -> TuneResult:
    """Tune the weights of a release's policy, or restore its bounds.

    Raises
    ------
    ContractError
        The policy does not say what to tune for, or the number of trials is out of range.
    DataError
        No days are left to tune on, or the goal is not measurable on them.
    """
    constrained = _constrained(workspace.contracts, request)
    if not 1 <= request.trials <= MOST_TRIALS:
        raise ContractError(f"{request.trials} trials: ask for 1 to {MOST_TRIALS}")
    baseline = Baseline.of(workspace, request.baseline)
    done = TUNE.run(_Tuning(workspace, request, constrained, baseline), parent_run=parent_run)
    return TuneResult(done.evidence, done.run_id)


@dataclass(frozen=True)
class _Tuning:
    """A request, the ranges of weights that the policy declares, and the baseline."""

    workspace: Workspace
    request: TuneRequest
    constrained: Constrained | None
    baseline: Baseline

    @property
    def search(self) -> dict[str, Any]:
        """What decides a trial; a search of more trials continues a shorter one."""
        return {
            "release": self.request.release,
            "champion": self.baseline.release,
            "order": self.baseline.order,
            "seed": self.request.seed,
            "contracts": dict(self.workspace.contracts.digests),
        }

    @property
    def utility(self) -> UtilitySpec:
        """The surface's policy, whose weights are the current ones."""
        return self.workspace.contracts.utility

    @property
    def space(self) -> WeightSpace:
        """The weights that may be proposed."""
        if self.constrained is not None:
            return WeightSpace.of(self.utility, self.constrained.ranges)
        own = {term: each.weight for term, each in self.utility.weights.items()}
        return WeightSpace.of(self.utility, {t: (w / _FAR, w * _FAR) for t, w in own.items()})


def _tune(work: _Tuning, run: StepRun) -> TuningEvidence:
    """Search, confirm, and write what is found: evidence, a page, and what is proposed."""
    versions = EntrantVersions(work.request.release, work.baseline.release, work.baseline.order)
    days = TuningSlice.of(work.workspace, versions.load(work.workspace))
    columns = days.search.log.segments
    contracts = work.workspace.contracts
    goal = WeightGoal.of(contracts, work.constrained, columns)
    space, search = work.space, TUNE.digest(work.search)
    halves = Halves(*(half.rehearsed(goal, space) for half in (days.search, days.confirm)))
    if work.request.restore:
        tuned = restore_weights(halves, space)
    else:
        halves.search.meter.require_measurable(halves.search.slates(space.current))
        tuned = tune_weights(
            halves,
            space,
            trials=work.request.trials,
            seed=work.request.seed,
            before=read_trials(run, search),
            tell=lambda tried: write_trial(run, search, tried),
        )
    return _write(work, run, days, tuned)


def _write(work: _Tuning, run: StepRun, days: TuningSlice, tuned: Tuned) -> TuningEvidence:
    """Write page and proposal, and return the evidence."""
    first, last = days.days
    named = f"{first}/{last}"
    seen = count_policies(run, named)
    run.tags({"tuned_days": named})
    run.metrics({"policies.searched": tuned.searched, "policies.confirmed": tuned.confirmed})
    chosen = tuned.chosen if tuned.ending == "proposed" else None
    proposal = None if chosen is None else _propose(work, run, days, chosen)
    report = f"tuning-release-{work.request.release}-{run.run_id[:8]}.html"
    evidence = TuningEvidence(
        ending=tuned.ending,
        release=work.request.release,
        baseline=days.search.baseline.name,
        days=days.days,
        requests=(days.search.log.request_count, days.confirm.log.request_count),
        objectives=tuned.objectives,
        current=work.space.current,
        searched_policies=(tuned.searched, seen[0] + tuned.searched),
        confirmed_policies=(tuned.confirmed, seen[1] + tuned.confirmed),
        feasible=tuned.feasible,
        exceeded=tuned.exceeded,
        front=tuned.front,
        hypervolume=tuned.hypervolume,
        knee=tuned.knee,
        proposal=proposal,
        report=str(work.workspace.reports / report),
        notes=(*tuned.notes, *_not_confirmed(tuned)),
    )
    words = vocabulary(work.workspace.contracts, champion=None)
    html = tuning_page(work.workspace.surface, evidence, tuned.trials, words)
    run.text(REPORT, html)
    write_report(work.workspace, report, html)
    return evidence


TUNE: Final = Step(
    name="tune",
    room="replay",
    document=TuningEvidence,
    inputs=lambda work: {**work.search, "trials": work.request.trials, "restore": work.request.restore},
    tags=lambda work: {"release": work.request.release},
    function=_tune,
)


def _not_confirmed(tuned: Tuned) -> list[str]:
    """Say what the best of the search gained where it was chosen, and why it is not proposed."""
    chosen = tuned.chosen
    if tuned.ending == "proposed" or chosen is None or chosen.gain is None or chosen.gain_searched is None:
        return []
    seemed = format_change(chosen.gain_searched)
    confirmed = chosen.gain.reason or format_estimate(chosen.gain.relative, relative=True)
    note = (
        f"trial {chosen.trial} is not proposed: its one-sided 95 % bound must be above 0. On the other users "
        f"{chosen.gain.subject} {confirmed}; where it was chosen {_heading(tuned.objectives[0])} {seemed}"
    )
    restore = "`equipoise tune --restore` brings exceeded bounds back whatever that gains"
    return [note, restore] if tuned.exceeded else [note]


def _heading(objective: Objective) -> str:
    return objective.metric + (f" ({MODEL_JUDGED})" if objective.model_judged else "")


def _propose(work: _Tuning, run: StepRun, days: TuningSlice, chosen: Chosen) -> WeightProposal:
    """Write the policy aside, hold it against the contracts, and judge it on the confirming half."""
    version = work.utility.version + 1
    first, last = days.days
    why = [
        f"Proposed by `equipoise tune`, run {run.run_id}.",
        f"Release {work.request.release} on candidates from {first} to {last}.",
        _gained(chosen),
    ]
    source = work.workspace.surfaces / work.workspace.surface / "utility.yaml"
    text = proposed_text(source, chosen.weights, version=version, why=why)
    name = f"utility-v{version}-proposed-{run.run_id[:8]}.yaml"
    file = write_report(work.workspace, name, text)
    policy = read_policy(file, work.workspace.contracts)
    run.text(PROPOSED, text)
    return WeightProposal(
        trial=chosen.trial,
        version=version,
        weights=dict(chosen.weights),
        moved=work.space.moved(chosen.weights),
        gain_searched=chosen.gain_searched,
        gain_metric=None if chosen.gain is None else chosen.gain.subject.name,
        gain=None if chosen.gain is None else chosen.gain.relative,
        gain_predicted=chosen.gain_predicted,
        verdicts=tuple(_verdicts(work, run, days.confirm, policy)),
        file=str(file),
    )


def _gained(chosen: Chosen) -> str:
    if chosen.gain is None:
        return "The smallest change of weights that was found to keep every bound."
    named, change = chosen.gain.subject, format_estimate(chosen.gain.relative, relative=True)
    return f"{named} {change} vs the current weights, by outcomes of users unseen by the search."


def _verdicts(work: _Tuning, run: StepRun, half: TuningHalf, policy: UtilitySpec) -> list[Verdict]:
    """Judge a policy on the half that chose nothing as ``simulate --policy`` does; anchors are the gate's.

    The release's own slates are the reference: beside an order, outcomes are worth what its policy says.
    """
    rails = tuple(rail for rail in policy.guardrails if rail.anchor is None)
    judged = policy.model_copy(update={"guardrails": rails})
    contracts = replace(work.workspace.contracts, utility=judged)
    rehearsal = Rehearsal(contracts, half.log, half.reference, half.baseline)
    return rehearse(rehearsal, {PROPOSED: half.slates(policy)}, run=run.run_id).judged[PROPOSED]


def _constrained(contracts: Contracts, request: TuneRequest) -> Constrained | None:
    constrained = contracts.utility.constrained
    if constrained is None and not request.restore:
        raise ContractError(
            f"utility.yaml of {contracts.name} has no `constrained`: say what to maximise, subject_to which "
            "bounds, and the ranges of the weights"
        )
    return constrained
