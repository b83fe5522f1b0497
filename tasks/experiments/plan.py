"""The planning step: computes the days that decide each bound from past logs, and pins the experiment.

::

    newest matured days -> sums by user and day -> variance by days (D) = a / D + b -> days for a power of .80

The variance of the log effect is that of all traffic divided by the arms' shares. A plan is refused if a
critical guardrail is not decided by the end. An accepted plan pins the file by its digest and the arms'
releases by their versions; from the start on, another file of that name is refused.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np

from tasks.contracts import Contracts
from tasks.contracts.experiment import ExperimentSpec, load_experiment
from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.utility import Bounded
from tasks.errors import DataError
from tasks.evaluation.resampling import LEAST_POSITIVES
from tasks.evaluation.verdicts import Growth
from tasks.experiments.arm_effects import log_influence
from tasks.experiments.arms_log import UserDays, metric_maturity, read_past
from tasks.experiments.evidence import ExperimentPlan, PlannedMetric
from tasks.experiments.results import PLAN_STEP, find_plan, refuse_change
from tasks.labels import build
from tasks.labels.snapshot import Snapshot
from tasks.stores.runs import StepRun
from tasks.stores.steps import Done, Step
from tasks.stores.workspace import Workspace, format_instant, refuse_future

_PAST: Final = 28
"""Number of past days for a metric's variance."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class _Planning:
    """An experiment to plan, with the releases of its arms and the labels of the past."""

    workspace: Workspace
    spec: ExperimentSpec
    arms: dict[str, int]
    snapshot: Snapshot

    @property
    def contracts(self) -> Contracts:
        return self.workspace.contracts

    def past(self) -> tuple[date, date]:
        """Return the first and last day for the variances."""
        metrics = self.spec.parse_metrics(self.contracts).values()
        longest = max(metric_maturity(metric, self.contracts) for metric in metrics)
        last = min(self.spec.starts, self.snapshot.mature_by().date()) - _DAY
        wanted = last - longest - _PAST * _DAY
        days = [day for day in self.snapshot.dates() if wanted < day <= last]
        if not days:
            raise DataError(
                f"The log has no day before {last + _DAY} to plan '{self.spec.experiment}' from. Plan it "
                "when there are some"
            )
        return days[0], days[-1]


def run(workspace: Workspace, name: str, *, as_of: datetime) -> Done[ExperimentPlan]:
    """Plan an experiment as of an instant.

    Raises
    ------
    ContractError
        The file has problems, names a release that does not exist, or changed while it runs.
    DataError
        There are no past days to plan from.
    """
    refuse_future(as_of)
    spec = load_experiment(workspace.surfaces, name, workspace.contracts)
    arms = {arm: workspace.releases.version(one.release) for arm, one in spec.arms.items()}
    if (pinned := find_plan(workspace, name)) is not None:
        refuse_change(spec, pinned.evidence, as_of=as_of)
        if spec.digest == pinned.evidence.digest and as_of.date() >= spec.starts:
            arms = pinned.evidence.arms  # the plan's releases, even if an alias has moved since
    return PLAN.run(_Planning(workspace, spec, arms, build.build_snapshot(workspace, as_of=as_of)))


def _plan(work: _Planning, run: StepRun) -> ExperimentPlan:
    spec, past = work.spec, work.past()
    sums = read_past(work.snapshot, spec, work.contracts, days=past)
    metrics = tuple(_planned(work, sums, past[0]))
    length = (spec.ends - spec.starts).days
    late = [one for one in metrics if one.days_needed is None or one.days_needed > length]
    refused = [one for one in late if one.critical and not _is_latency(one)]
    run.metrics({f"days.{one.metric}": one.days_needed for one in metrics if one.days_needed is not None})
    return ExperimentPlan(
        experiment=spec.experiment,
        experiment_version=spec.version,
        digest=spec.digest,
        starts=spec.starts,
        ends=spec.ends,
        arms=work.arms,
        past=past,
        users_a_day=len(sums.users) / max(1, len(np.unique(sums.days))),
        metrics=metrics,
        accepted=not refused,
        reasons=tuple(_say_late(one, length) for one in late if not _is_latency(one)),
    )


def _is_latency(planned: PlannedMetric) -> bool:
    return planned.metric == MetricKind.LATENCY.value


def _say_late(planned: PlannedMetric, length: int) -> str:
    named = f"{planned.metric}{' (critical)' if planned.critical else ''}"
    if planned.days_needed is None:
        return f"{named} is not decided at this traffic: {planned.reason}"
    return f"{named} needs {planned.days_needed} days, and the experiment has {length}"


def _planned(work: _Planning, sums: UserDays, first: date) -> Iterator[PlannedMetric]:
    spec, metrics = work.spec, work.spec.parse_metrics(work.contracts)
    spread = sum(1 / share for share in spec.shares.values())
    smallest = -spec.primary.relative_decrease_max or spec.smallest_effect
    yield _decided(work, metrics[spec.primary.metric], sums, first, smallest, spread=spread)
    for rail in spec.guardrails:
        metric = metrics[rail.metric]
        planned = [_decided(work, metric, sums, first, bound, spread=spread) for bound in _changes(rail)]
        levels = (level for level in (rail.max, rail.min) if level is not None)
        planned += [_plan_level(work, metric, sums, first, level) for level in levels]
        yield from (one.model_copy(update={"critical": rail.critical}) for one in planned)


def _changes(rail: Bounded) -> Iterator[float]:
    """Yield the changes that a guardrail allows; a bound of 0 cannot be decided in any number of days."""
    for bound, sign in (
        (rail.relative_increase_max, 1),
        (rail.relative_increase_min, 1),
        (rail.relative_decrease_max, -1),
    ):
        if bound is not None:
            yield sign * bound


def _plan_level(work: _Planning, metric: Metric, sums: UserDays, first: date, level: float) -> PlannedMetric:
    """Return the days that decide a bound on the treatment's level."""
    if metric.kind is MetricKind.LATENCY:
        reason = "requests of the treatment alone decide it"
        return PlannedMetric(metric=metric.name, critical=False, bound=level, days_needed=None, reason=reason)
    above, below = sums.sums[metric.name]
    now = float(above.sum() / below.sum()) if below.sum() else math.nan
    spread = 1 / work.spec.shares[work.spec.treatment]
    return _decided(work, metric, sums, first, level / now - 1 if now > 0 else math.nan, spread=spread)


def _decided(
    work: _Planning, metric: Metric, sums: UserDays, first: date, bound: float, *, spread: float
) -> PlannedMetric:
    """Return the days that decide a bound on a change; ``spread``: its variance over that of all traffic."""
    planned = PlannedMetric(metric=metric.name, critical=False, bound=bound, days_needed=None)
    last = (work.snapshot.mature_by() - metric_maturity(metric, work.contracts)).date() - _DAY
    newest = min((last - first).days, int(sums.days.max(initial=0)))
    kept = (sums.days > newest - _PAST) & (sums.days <= newest)
    above, below = (part[kept] for part in sums.sums[metric.name])
    if np.count_nonzero(above) < LEAST_POSITIVES or not above.sum() > 0 or not math.isfinite(bound):
        return planned.model_copy(update={"reason": "too few events in the past"})
    growth = Growth.of(log_influence(above, below), sums.users[kept], sums.days[kept])
    if growth is None:
        return planned.model_copy(update={"reason": "fewer than two matured days in the past"})
    arms = replace(growth, by_day=spread * growth.by_day, shared=spread * growth.shared)
    days = arms.days_needed(bound) if bound > -1 and bound else math.inf
    if not math.isfinite(days):
        return planned.model_copy(update={"reason": "returning users share more than the bound allows"})
    return planned.model_copy(update={"days_needed": max(1, math.ceil(days))})


PLAN: Final = Step(
    name=PLAN_STEP,
    room="experiments",
    document=ExperimentPlan,
    inputs=lambda work: {
        "experiment": work.spec.digest,
        "arms": work.arms,
        "snapshot": work.snapshot.id,
        "contracts": dict(work.contracts.digests),
    },
    tags=lambda work: {"as_of": format_instant(work.snapshot.as_of), "snapshot": work.snapshot.id},
    task=lambda work: work.spec.experiment,
    function=_plan,
    reuses=False,
)
