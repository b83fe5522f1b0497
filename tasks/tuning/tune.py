"""The tuning step: searches weights of a release's policy on separate days, and proposes one policy.

::

    days between training and test -> half of the users searches, trial by trial (MLflow)
                                   -> the other half confirms the front and the proposal
    --restore                      -> the smallest change of weights that meets exceeded bounds

The proposal is written to a separate file as the next version of ``utility.yaml``; it takes no effect itself.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml
from mlflow.entities import Metric, Param

from tasks.contracts import UtilitySpec
from tasks.contracts.load import read_policy, read_yaml
from tasks.errors import ContractError
from tasks.evaluation.verdicts import Verdict
from tasks.replay import guardrails
from tasks.replay.entrants import EntrantVersions
from tasks.replay.evaluate import evaluate_offline
from tasks.reports.numbers import format_change, format_estimate
from tasks.reports.phrases import vocabulary
from tasks.stores.runs import INPUTS, PARENT, StepRun
from tasks.stores.steps import Done, Step
from tasks.stores.workspace import Workspace, write_report
from tasks.tuning.evidence import TuningEvidence, WeightProposal
from tasks.tuning.goal import WeightFigures, WeightGoal
from tasks.tuning.page import tuning_page
from tasks.tuning.search import (
    Chosen,
    WeightSearchResult,
    WeightSpace,
    WeightTrial,
    restore_weights,
    tune_weights,
)
from tasks.tuning.tuning_slice import TuningHalf, TuningSlice

_STEP: Final = "weights"
_OBJECTIVE, _EXCESS = "objective", "excess"
MOST_TRIALS: Final = 1000
"""Maximum number of runs that one MLflow search returns."""


def read_trials(run: StepRun, inputs: str) -> list[WeightTrial]:
    """Read the finished trials of a search, and make them children of this run; close interrupted runs."""
    experiment = run.client.get_run(run.run_id).info.experiment_id
    same = f"tags.step = '{_STEP}' and tags.`{INPUTS}` = '{inputs}'"
    for cut in run.client.search_runs([experiment], f"{same} and attributes.status = 'RUNNING'"):
        run.client.set_terminated(cut.info.run_id, "KILLED")
    found = run.client.search_runs(
        [experiment], f"{same} and attributes.status = 'FINISHED'", max_results=MOST_TRIALS
    )
    for one in found:
        run.client.set_tag(one.info.run_id, PARENT, run.run_id)
    return [_read_trial(one) for one in found]


def write_trial(run: StepRun, inputs: str, tried: WeightTrial) -> None:
    """Write a trial as a separate run."""
    now = int(time.time() * 1000)
    made = run.client.create_run(
        run.client.get_run(run.run_id).info.experiment_id,
        run_name=f"weights {tried.number}",
        tags={"step": _STEP, INPUTS: inputs, PARENT: run.run_id, "trial": str(tried.number)},
    )
    figures = {f"{_OBJECTIVE}.{i}": each for i, each in enumerate(tried.figures.objectives)}
    figures |= {f"{_EXCESS}.{i}": each for i, each in enumerate(tried.figures.excess)}
    metrics = [Metric(name, value, now, 0) for name, value in figures.items()]
    params = [Param(term, repr(weight)) for term, weight in tried.weights.items()]
    run.client.log_batch(made.info.run_id, metrics=metrics, params=params)
    run.client.set_terminated(made.info.run_id, "FINISHED")


def count_policies(run: StepRun, tuned_days: str) -> tuple[int, int]:
    """Count the policies that finished runs measured on the searching and confirming halves of these days."""
    experiment = run.client.get_run(run.run_id).info.experiment_id
    wanted = f"tags.step = 'tune' and tags.tuned_days = '{tuned_days}' and attributes.status = 'FINISHED'"
    found = run.client.search_runs([experiment], wanted, max_results=MOST_TRIALS)
    searched, confirmed = (
        sum(int(one.data.metrics.get(f"policies.{half}", 0)) for one in found)
        for half in ("searched", "confirmed")
    )
    return searched, confirmed


def _read_trial(one: Any) -> WeightTrial:
    metrics: Mapping[str, float] = one.data.metrics
    weights = {term: float(text) for term, text in one.data.params.items()}
    figures = WeightFigures(_numbered(metrics, _OBJECTIVE), _numbered(metrics, _EXCESS))
    return WeightTrial(int(one.data.tags["trial"]), dict(sorted(weights.items())), figures)


def _numbered(metrics: Mapping[str, float], name: str) -> tuple[float, ...]:
    values = [metrics.get(f"{name}.{i}", math.nan) for i in range(len(metrics))]
    return tuple(value for value in values if math.isfinite(value))


_BOM = "\ufeff"


def proposed_text(file: Path, weights: Mapping[str, float], *, version: int, why: Sequence[str]) -> str:
    """Return the file's content with another version and other weights.

    Parameters
    ----------
    file : the surface's own ``utility.yaml``.
    weights : by term; weights of contexts are unchanged.
    why : lines of a comment at the top.
    """
    plain = read_yaml(file)
    text = file.read_bytes().decode("utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = [(_node(root, "version"), str(version)), *_weights(_node(root, "weights"), weights)]
    for node, number in sorted(edits, key=lambda edit: -edit[0].start_mark.index):
        text = text[: node.start_mark.index] + number + text[node.end_mark.index :]
    roles = ", ".join(plain["approvals"])
    head = [*why, f"Nobody has approved it. To approve it are: {roles}."]
    end = "\r\n" if "\r\n" in text else "\n"
    comment = "".join(f"# {line}{end}" for line in head)
    return _BOM * text.startswith(_BOM) + comment + text.removeprefix(_BOM)


def _weights(node: yaml.Node, weights: Mapping[str, float]) -> Iterator[tuple[yaml.Node, str]]:
    """Yield the node and the new text of each number that changes."""
    for term, weight in weights.items():
        own = _node(node, term)
        number = _node(own, "weight") if isinstance(own, yaml.MappingNode) else own
        if float(number.value) != weight:
            yield number, _number(weight)


def _node(mapping: yaml.Node | None, name: str) -> yaml.Node:
    values: dict[str, yaml.Node] = {key.value: value for key, value in mapping.value} if mapping else {}
    return values[name]


def _number(value: float) -> str:
    """Format a number so that every YAML reader parses it as one: some read 1e-05 as a string.

    Examples
    --------
    >>> _number(36.44), _number(1e-05)
    ('36.44', '1.0e-05')
    """
    written = repr(float(value))
    return written if "." in written else written.replace("e", ".0e")


def write_proposal(
    workspace: Workspace, run: StepRun, weights: Mapping[str, float], *, kind: str, why: Sequence[str]
) -> tuple[UtilitySpec, str]:
    """Write the next version of the policy to a separate file and validate it; return both.

    ``kind``: part of the file's name. ``why``: lines of a comment in the file.
    """
    version = workspace.contracts.utility.version + 1
    source = workspace.surfaces / workspace.surface / "utility.yaml"
    text = proposed_text(source, weights, version=version, why=why)
    file = write_report(workspace, f"utility-v{version}-{kind}-{run.run_id[:8]}.yaml", text)
    policy = read_policy(file, workspace.contracts)
    run.text(PROPOSED, text)
    return policy, str(file)


REPORT: Final = "tuning.html"
PROPOSED: Final = "utility.yaml"
_FAR: Final = 100.0
"""Largest factor by which a restoration changes a weight without a declared range."""


@dataclass(frozen=True)
class TuneRequest:
    """Options of a tuning: the release, the number of trials and the seed; or to restore its bounds.

    ``baseline``: a release, ``logged`` or a column; by default the champion, else the surface's order.
    """

    release: int
    trials: int
    seed: int = 0
    baseline: str | None = None
    restore: bool = False


def run(workspace: Workspace, request: TuneRequest, *, parent_run: str | None = None) -> Done[TuningEvidence]:
    """Tune the weights of a release's policy, or restore its bounds.

    Raises
    ------
    ContractError
        The policy has no tuning goal, or the number of trials is out of range.
    DataError
        No days are left to tune on, or the goal is not measurable on them.
    """
    if workspace.contracts.utility.constrained is None and not request.restore:
        raise ContractError(
            f"utility.yaml of {workspace.contracts.name} has no `constrained`: set what to maximise, "
            "subject_to which bounds, and the ranges of the weights"
        )
    if not 1 <= request.trials <= MOST_TRIALS:
        raise ContractError(f"{request.trials} trials: ask for 1 to {MOST_TRIALS}")
    versions = EntrantVersions.of(workspace, request.release, request.baseline)
    return TUNE.run(_Tuning(workspace, request, versions), parent_run=parent_run)


@dataclass(frozen=True)
class _Tuning:
    """A request, and the release with its baseline."""

    workspace: Workspace
    request: TuneRequest
    versions: EntrantVersions

    @property
    def search(self) -> dict[str, Any]:
        """The inputs that determine a trial; a search with more trials continues a shorter one."""
        return {
            "release": self.request.release,
            "champion": self.versions.baseline,
            "order": self.versions.order,
            "seed": self.request.seed,
            "contracts": dict(self.workspace.contracts.digests),
        }

    @property
    def utility(self) -> UtilitySpec:
        """The surface's policy with the current weights."""
        return self.workspace.contracts.utility

    @property
    def space(self) -> WeightSpace:
        """The weights that may be proposed."""
        if self.utility.constrained is not None:
            return WeightSpace.of(self.utility, self.utility.constrained.ranges)
        own = {term: each.weight for term, each in self.utility.weights.items()}
        return WeightSpace.of(self.utility, {t: (w / _FAR, w * _FAR) for t, w in own.items()})


def _tune(work: _Tuning, run: StepRun) -> TuningEvidence:
    """Search, confirm, and write the results: evidence, a page, and the proposal."""
    days = TuningSlice.of(work.workspace, work.versions.load(work.workspace))
    columns = days.search.decided.log.segments
    goal = WeightGoal.of(work.workspace.contracts, columns)
    space, search = work.space, TUNE.digest(work.search)
    halves = days.search.replayed(goal, space), days.confirm.replayed(goal, space)
    if work.request.restore:
        tuned = restore_weights(halves[0], space)
    else:
        halves[0].require_measurable(space.current)
        tuned = tune_weights(
            halves,
            space,
            trials=work.request.trials,
            seed=work.request.seed,
            before=read_trials(run, search),
            tell=lambda tried: write_trial(run, search, tried),
        )
    return _write(work, run, days, tuned)


def _write(work: _Tuning, run: StepRun, days: TuningSlice, tuned: WeightSearchResult) -> TuningEvidence:
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
        baseline=days.search.decided.baseline.name,
        days=days.days,
        requests=(days.search.decided.log.request_count, days.confirm.decided.log.request_count),
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
    room="tuning",
    document=TuningEvidence,
    inputs=lambda work: {**work.search, "trials": work.request.trials, "restore": work.request.restore},
    tags=lambda work: {"release": work.request.release},
    function=_tune,
)


def _not_confirmed(tuned: WeightSearchResult) -> list[str]:
    """Return the searched gain of the best trial, and why it is not proposed."""
    chosen = tuned.chosen
    if tuned.ending == "proposed" or chosen is None or chosen.gain is None or chosen.gain_searched is None:
        return []
    seemed, first = format_change(chosen.gain_searched), tuned.objectives[0]
    named = f"{first.metric} ({guardrails.MODEL_JUDGED})" if first.model_judged else first.metric
    confirmed = chosen.gain.reason or format_estimate(chosen.gain.relative, relative=True)
    note = (
        f"trial {chosen.trial} is not proposed: its one-sided 95 % bound must be above 0. On the other users "
        f"{chosen.gain.subject} {confirmed}; where it was chosen {named} {seemed}"
    )
    restore = "`equipoise tune --restore` brings exceeded bounds back whatever that gains"
    return [note, restore] if tuned.exceeded else [note]


def _propose(work: _Tuning, run: StepRun, days: TuningSlice, chosen: Chosen) -> WeightProposal:
    """Write the policy to a separate file, check it, and evaluate it on the confirming half."""
    first, last = days.days
    why = [
        f"Proposed by `equipoise tune`, run {run.run_id}.",
        f"Release {work.request.release} on candidates from {first} to {last}.",
        _gained(chosen),
    ]
    policy, file = write_proposal(work.workspace, run, chosen.weights, kind="proposed", why=why)
    return WeightProposal(
        trial=chosen.trial,
        version=policy.version,
        weights=dict(chosen.weights),
        moved=work.space.moved(chosen.weights),
        gain_searched=chosen.gain_searched,
        gain_metric=None if chosen.gain is None else chosen.gain.subject.name,
        gain=None if chosen.gain is None else chosen.gain.relative,
        gain_predicted=chosen.gain_predicted,
        verdicts=tuple(_verdicts(work, run, days.confirm, policy)),
        file=file,
    )


def _gained(chosen: Chosen) -> str:
    if chosen.gain is None:
        return "The smallest change of weights that was found to keep every bound."
    named, change = chosen.gain.subject, format_estimate(chosen.gain.relative, relative=True)
    return f"{named} {change} vs the current weights, by outcomes of users unseen by the search."


def _verdicts(work: _Tuning, run: StepRun, half: TuningHalf, policy: UtilitySpec) -> list[Verdict]:
    """Evaluate a policy on the confirming half like ``simulate --policy``, without guardrails on anchors.

    The release's own slates are the reference: with an order as baseline, its policy values the outcomes.
    """
    rails = tuple(rail for rail in policy.guardrails if rail.anchor is None)
    other_verdicts = policy.model_copy(update={"guardrails": rails})
    contracts = replace(work.workspace.contracts, utility=other_verdicts)
    found = evaluate_offline(half.evaluation(contracts), {PROPOSED: half.slates(policy)}, run=run.run_id)
    return found.other_verdicts[PROPOSED]
