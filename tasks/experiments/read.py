"""The reading step: checks the sample ratio, measures effects, and decides, as of an instant.

::

    file = the pinned one?  ->  labels as of the instant   ->  arms as declared?
        no: refused             unaffected by later data         no: a state that withholds effects
                                                                 yes: effects, segments, decision, page
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from tasks import columns as c
from tasks.arrays import Indices
from tasks.contracts.experiment import CONTROL, ExperimentSpec, load_experiment
from tasks.errors import ContractError
from tasks.evaluation.verdicts import Outcome
from tasks.experiments.always_valid import Stage, first_alarm, log_e_values
from tasks.experiments.arms_log import TRIGGERED, ArmLog, read_arms
from tasks.experiments.effects import Analysis, decide, read_metric, read_outcomes, read_segments
from tasks.experiments.evidence import (
    Decision,
    ExperimentPlan,
    ExperimentReadout,
    MetricReadout,
    ReadState,
    SampleRatio,
)
from tasks.experiments.page import readout_page
from tasks.experiments.results import READ_STEP, find_plan, refuse_change
from tasks.labels import build
from tasks.labels.snapshot import Snapshot
from tasks.reports.numbers import spoken
from tasks.reports.phrases import vocabulary
from tasks.stores.runs import StepRun
from tasks.stores.steps import Done, Step
from tasks.stores.workspace import Workspace, format_instant, refuse_future, write_report

REPORT: Final = "experiment.html"
_MOST_CROSSED: Final = 0.001
"""Maximum share of users in both arms for a valid assignment."""
_LEAST_EXPECTED: Final = 20
"""Minimum number of expected impressions of an arm on a day for it to be called silent if it has none."""


@dataclass(frozen=True)
class _Reading:
    """An experiment to read; it has no snapshot before its start."""

    workspace: Workspace
    spec: ExperimentSpec
    plan: Done[ExperimentPlan]
    as_of: datetime
    snapshot: Snapshot | None


def run(workspace: Workspace, name: str, *, as_of: datetime) -> Done[ExperimentReadout]:
    """Read an experiment as of an instant; repeated reads give the same result.

    Raises
    ------
    ContractError
        The experiment has no accepted plan, or its file changed while it runs.
    DataError
        The log has no columns of experiments and arms, or has an arm that is not in the file.
    """
    refuse_future(as_of)
    spec = load_experiment(workspace.surfaces, name, workspace.contracts)
    plan = find_plan(workspace, name)
    if plan is None or plan.evidence.digest != spec.digest:
        if plan is not None:
            refuse_change(spec, plan.evidence, as_of=as_of)
        raise ContractError(
            f"Experiment '{name}' has no accepted plan of version {spec.version}. Plan it: equipoise "
            f"experiment plan {workspace.surface} {name}"
        )
    snapshot = build.build_snapshot(workspace, as_of=as_of) if as_of > spec.instants[0] else None
    return READ.run(_Reading(workspace, spec, plan, as_of, snapshot))


def _read(work: _Reading) -> ExperimentReadout:
    spec, contracts = work.spec, work.workspace.contracts
    if work.snapshot is None:
        starts = f"it starts on {spec.starts}"
        return _blank(work, ReadState.NOT_STARTED, "continue", (starts,))
    log = read_arms(work.snapshot, spec, contracts, until=work.as_of.date())
    ratio = read_sample_ratio(log.counts, spec)
    state, reasons = find_state(log, ratio, spec)
    seen = _blank(work, state, "hold", reasons).model_copy(
        update={"sample_ratio": ratio, "left_out": int(log.crossed.sum())}
    )
    if state.withholds:
        return seen
    counts = log.triggered_counts
    triggered = None if counts is None else read_sample_ratio(counts, spec)
    uneven = triggered is not None and triggered.alarmed_on is not None
    analysis = Analysis(spec, contracts, log.without(TRIGGERED) if uneven else log, work.snapshot.mature_by())
    metrics = read_segments(analysis, [read_metric(analysis, name) for name in analysis.metrics])
    decision, reasons = decide(metrics)
    return seen.model_copy(
        update={
            "metrics": tuple(metrics),
            "outcomes": read_outcomes(analysis),
            "decision": decision,
            "reasons": reasons,
            "triggered": triggered,
            "notes": (*uneven_triggers(triggered), *_notes(log, work, metrics)),
            "state": _progress(spec, metrics, work.as_of),
        }
    )


def _progress(spec: ExperimentSpec, metrics: list[MetricReadout], as_of: datetime) -> ReadState:
    if all(one.final for one in metrics):
        return ReadState.FINISHED
    return ReadState.WAITING if as_of >= spec.instants[1] else ReadState.RUNNING


def _blank(
    work: _Reading, state: ReadState, decision: Decision, reasons: tuple[str, ...]
) -> ExperimentReadout:
    spec, plan = work.spec, work.plan
    return ExperimentReadout(
        experiment=spec.experiment,
        experiment_version=spec.version,
        digest=spec.digest,
        plan_run=plan.run_id,
        as_of=work.as_of,
        starts=spec.starts,
        ends=spec.ends,
        arms=plan.evidence.arms,
        state=state,
        decision=decision,
        reasons=reasons,
        sample_ratio=None,
        left_out=0,
        metrics=(),
        notes=(),
        report=str(work.workspace.reports / _report_name(work)),
    )


def _report_name(work: _Reading) -> str:
    return f"experiment-{work.spec.experiment}-{work.as_of:%Y%m%dT%H%M%S}.html"


def read_sample_ratio(counts: Indices, spec: ExperimentSpec) -> SampleRatio:
    """Return the arms' new users by day [days, arms] with the evidence against the declared shares."""
    arms = (CONTROL, spec.treatment)
    shares = np.array([spec.shares[arm] for arm in arms])
    log_e = log_e_values([Stage(counts.astype(float), shares)])
    alarm = first_alarm(log_e)
    days = tuple(spec.starts + timedelta(days=n) for n in range(len(counts)))
    return SampleRatio(
        users=dict(zip(arms, counts.sum(axis=0).tolist(), strict=True)),
        shares={arm: spec.shares[arm] for arm in arms},
        log_e_value=float(log_e[-1]) if len(log_e) else 0.0,
        alarmed_on=None if alarm is None else days[alarm],
        days=days,
        by_day=tuple(map(tuple, counts.tolist())),
    )


def find_state(log: ArmLog, ratio: SampleRatio, spec: ExperimentSpec) -> tuple[ReadState, tuple[str, ...]]:
    """Return the state: why effects are withheld, with an explanation, or that the experiment runs."""
    arms, users = (CONTROL, spec.treatment), len(log.treated)
    crossed = int(log.crossed.sum())
    if users and crossed > _MOST_CROSSED * users:
        return ReadState.BOTH_ARMS, (
            f"{crossed:,} of {users:,} users were seen in both arms. Check how users are assigned",
        )
    if len(log.impressions) and not log.impressions.any():
        return ReadState.SILENT_ARM, (f"no arm has logged anything since {spec.starts}",)
    if len(log.impressions):
        newest = log.impressions[-1]
        for arm, seen in zip(arms, newest.tolist(), strict=True):
            if not seen and spec.shares[arm] * newest.sum() >= _LEAST_EXPECTED:
                last = np.flatnonzero(log.impressions[:, arms.index(arm)])
                since = spec.starts + timedelta(days=int(last[-1]) + 1 if len(last) else 0)
                return ReadState.SILENT_ARM, (f"arm {arm} has logged nothing since {since}",)
    if ratio.alarmed_on is not None:
        counts = ", ".join(f"{arm} {ratio.users[arm]:,} users ({ratio.shares[arm]:g})" for arm in arms)
        reason = (
            f"the arms do not have the declared shares since {ratio.alarmed_on}: {counts}. Find what loses "
            "or repeats users before any effect is read"
        )
        return ReadState.SAMPLE_RATIO, (reason,)
    return ReadState.RUNNING, ()


def uneven_triggers(ratio: SampleRatio | None) -> Iterator[str]:
    """Yield a note if the arms have different shares of triggered users, who are then not comparable."""
    if ratio is not None and ratio.alarmed_on is not None:
        counts = ", ".join(f"{arm} {users:,}" for arm, users in ratio.users.items())
        yield (
            f"triggered users do not have the declared shares since {ratio.alarmed_on} ({counts}). No effect "
            f"on them is shown: check that both arms log '{c.TRIGGERED}' by the same rule"
        )


def _notes(log: ArmLog, work: _Reading, metrics: list[MetricReadout]) -> list[str]:
    spec, notes = work.spec, list(other_releases(log, work.plan.evidence.arms, work.spec))
    notes += [
        f"{one.metric} is {spoken(one.outcome)}, which holds critical guardrails alone"
        for one in metrics
        if one.final and not one.critical and one.outcome in {Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING}
    ]
    notes += [
        f"{one.metric}: the effect changes with days, day 8 and later decide"
        for one in metrics
        if one.from_day > 1
    ]
    if spec.cuped is not None and not any(float(x.sum()) for _, x in log.before.values()):
        notes.append("no pre-period: these users have no impression in the days before the start")
    if log.crossed.any():
        notes.append(f"{int(log.crossed.sum()):,} users in both arms are left out")
    return notes


def other_releases(log: ArmLog, arms: Mapping[str, int], spec: ExperimentSpec) -> Iterator[str]:
    """Yield a note on arms that another release than the pinned one served, unless they follow an alias."""
    for arm, release in arms.items():
        if spec.arms[arm].follows:
            continue
        rows = {one: n for (of, one), n in log.served.items() if of == arm}
        if others := sum(rows.values()) - rows.get(release, 0):
            share = f"{others / sum(rows.values()):.1%}"
            yield f"{arm}: {share} of its impressions were served by another release than {release}"


def _write(work: _Reading, run: StepRun) -> ExperimentReadout:
    """Read the experiment, log the figures, write the page, and return the evidence."""
    seen = _read(work)
    changes = {one.metric: one.change for one in seen.metrics if one.change is not None}
    figures = {name: change.value for name, change in changes.items()}
    figures |= {f"{name}.low": change.low for name, change in changes.items()}
    run.metrics(figures | {f"{name}.high": change.high for name, change in changes.items()})
    if seen.sample_ratio is not None:
        run.metrics({"sample_ratio.log_e_value": seen.sample_ratio.log_e_value})
    run.tags({"decision": seen.decision, "state": seen.state.value})
    champion = seen.arms[CONTROL]
    html = readout_page(work.workspace.surface, seen, vocabulary(work.workspace.contracts, champion=champion))
    run.text(REPORT, html)
    write_report(work.workspace, _report_name(work), html)
    return seen


READ: Final = Step(
    name=READ_STEP,
    room="experiments",
    document=ExperimentReadout,
    inputs=lambda work: {
        "plan": work.plan.run_id,
        "experiment": work.spec.digest,
        "as_of": format_instant(work.as_of),
        "snapshot": None if work.snapshot is None else work.snapshot.id,
        "contracts": dict(work.workspace.contracts.digests),
    },
    tags=lambda work: {"as_of": format_instant(work.as_of)},
    task=lambda work: work.spec.experiment,
    function=_write,
)
