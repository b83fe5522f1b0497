"""Decides the next action for a release in its ramp: roll back, ask, wait or advance.

::

    roll back   a guardrail's increase exceeds its bound of utility.yaml, by an always-valid bound
    ask         the arms cannot be compared, or the stage has lasted for wait.most
    wait        the stage is younger than wait.least, or a guardrail may still be harmed
    advance     every guardrail's upper bound is below the stage's harm; finish: at the last stage

A guardrail of a beneficial outcome is harmed by a decrease, so its ratio is inverted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from scipy.special import ndtri

from tasks.contracts import Contracts
from tasks.contracts.durations import describe_duration
from tasks.contracts.gates import Ramp
from tasks.contracts.metrics import read_metric
from tasks.experiments.always_valid import LogRatio, planned_information
from tasks.experiments.ramp_log import RampLog, read_ramp_log
from tasks.reports.numbers import format_percent
from tasks.stores.audit import LiveRamp
from tasks.stores.workspace import Workspace

_INTERFERENCE: Final = 0.05
"""Probability that any guardrail's effect seems to depend on the share if none does."""


class RampState(StrEnum):
    """State of a ramp: none, ended, or the next action."""

    NONE = "none"
    ROLLED_BACK = "rolled_back"
    PROMOTED = "promoted"
    RAMPED = "ramped"
    """The last stage ended without harm: the release may be promoted to champion."""
    WAIT = "wait"
    ASK = "ask"
    ADVANCE = "advance"
    FINISH = "finish"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class GuardrailReading:
    """A guardrail of a ramp, measured so that an increase is harm.

    Parameters
    ----------
    change, upper : relative increase of harm, and its always-valid upper bound; None if unknown.
    bound : increase above which the release is rolled back.
    harm : increase that must be excluded before the next stage.
    treated_events, control_events : number of events of each arm so far.
    alarm, clear : whether the increase exceeds the bound, and whether harm is excluded.
    """

    metric: str
    change: float | None
    upper: float | None
    bound: float
    harm: float
    treated_events: int
    control_events: int
    alarm: bool
    clear: bool

    def __str__(self) -> str:
        """Format the reading for the audit."""
        if self.change is None:
            return f"{self.metric}: {self.treated_events} and {self.control_events} events, no ratio yet"
        most = "not known" if self.upper is None else f"{format_percent(self.upper, signed=True)} %"
        return (
            f"{self.metric}: harm {format_percent(self.change, signed=True)} %, at most {most} "
            f"(bound {format_percent(self.bound, signed=True)} %, stage "
            f"{format_percent(self.harm, signed=True)} %; "
            f"{self.treated_events:,} and {self.control_events:,} events)"
        )


@dataclass(frozen=True)
class RampDecision:
    """The next action, its reasons and guardrails, and notes that do not affect it."""

    state: RampState
    reasons: tuple[str, ...]
    guardrails: tuple[GuardrailReading, ...] = ()
    notes: tuple[str, ...] = ()


def read_ramp(workspace: Workspace, ramp: Ramp, live: LiveRamp, *, as_of: datetime) -> RampDecision:
    """Decide on a release that ramps from its log up to an instant."""
    newest = live.newest
    stage, waited = ramp.stage_at(newest.share or 0.0), max(timedelta(), as_of - (newest.at or as_of))
    known = [part.version for part in workspace.store.registry.versions(workspace.aliases.model)]
    tasks = list(dict.fromkeys(guardrail_tasks(ramp).values()))
    log = read_ramp_log(workspace, live, tasks=tasks, as_of=as_of, known=known)
    readings = read_guardrails(workspace.contracts, ramp, log, stage=stage)
    decision = decide_ramp(ramp, readings, stage=stage, waited=waited, problems=log.problems(waited=waited))
    return replace(decision, notes=find_interference(ramp, log))


def guardrail_tasks(ramp: Ramp) -> dict[str, str]:
    """Return the task of each guardrail of a ramp."""
    return {name: read_metric(name).subject or "" for name in ramp.guardrails}


def read_guardrails(contracts: Contracts, ramp: Ramp, log: RampLog, *, stage: int) -> list[GuardrailReading]:
    """Return the reading of each guardrail."""
    return [
        read_guardrail(
            name,
            log.ratio(task),
            costs=contracts.tasks.tasks[task].family.costs,
            bound=find_bound(contracts, name),
            ramp=ramp,
            stage=stage,
        )
        for name, task in guardrail_tasks(ramp).items()
    ]


def find_interference(ramp: Ramp, log: RampLog) -> tuple[str, ...]:
    """Describe guardrails whose effect differs between the two newest stages, by z-tests of 5 % in all."""
    limit = float(ndtri(1 - _INTERFERENCE / 2 / len(ramp.guardrails)))
    found = {name: log.interference(task) for name, task in guardrail_tasks(ramp).items()}
    before, now = (f"{share:g}" for share in log.shares[-2:]) if len(log.shares) > 1 else ("", "")
    return tuple(
        f"the effect on {name} at {now} differs from that at {before} (z = {z:+.1f}): the arms may affect "
        "each other, as by shared items, creators or budgets"
        for name, z in found.items()
        if abs(z) > limit
    )


def read_guardrail(
    name: str, ratio: LogRatio, *, costs: bool, bound: float, ramp: Ramp, stage: int
) -> GuardrailReading:
    """Compare the ratio of a guardrail with its bound and the stage's harm.

    ``costs``: whether an increase is the harm; a decrease otherwise.
    """
    harm, planned = ramp.stages[stage].harm, planned_information(ramp.stages[-1].harm)
    harmful = ratio if costs else ratio.reversed()
    upper = harmful.upper(planned=planned_information(harm), alpha=ramp.alpha)
    return GuardrailReading(
        name,
        None if math.isnan(harmful.estimate) else math.expm1(harmful.estimate),
        upper if math.isfinite(upper) else None,
        bound,
        harm,
        ratio.treated_events,
        ratio.control_events,
        alarm=harmful.exceeds(bound, planned=planned, alpha=ramp.alpha / len(ramp.guardrails)),
        clear=upper < harm,
    )


def find_bound(contracts: Contracts, metric: str) -> float:
    """Return the increase of harm that utility.yaml allows for a rate; 0 if it has no bound on its change.

    For a beneficial outcome, a decrease of 20 % is an increase of harm of 25 %.
    """
    costs = contracts.tasks.tasks[read_metric(metric).subject or ""].family.costs
    for rail in contracts.utility.guardrails:
        rise, fall = rail.relative_increase_max, rail.relative_decrease_max
        if rail.metric == metric and costs and rise is not None:
            return rise
        if rail.metric == metric and not costs and fall is not None and fall < 1:
            return fall / (1 - fall)
    return 0.0


def decide_ramp(
    ramp: Ramp,
    readings: Sequence[GuardrailReading],
    *,
    stage: int,
    waited: timedelta,
    problems: Sequence[str] = (),
) -> RampDecision:
    """Decide the next action of a ramp.

    Parameters
    ----------
    readings : reading of each guardrail.
    stage : index of the current stage, from 0.
    waited : duration of the current stage.
    problems : reasons why the arms cannot be compared.

    Examples
    --------
    >>> ramp = Ramp(guardrails=("hide_7d_rate",))
    >>> ratio = LogRatio(estimate=0.0, error=0.1, treated_events=150, control_events=9000)
    >>> reading = read_guardrail("hide_7d_rate", ratio, costs=True, bound=0.15, ramp=ramp, stage=0)
    >>> [decide_ramp(ramp, [reading], stage=0, waited=timedelta(days=n)).state.value for n in (1, 2)]
    ['wait', 'advance']
    """
    alarms = [f"{one.metric} is harmed" for one in readings if one.alarm]
    unclear = [
        f"{one.metric} may be harmed by {format_percent(one.harm, signed=True)} %"
        for one in readings
        if not one.clear
    ]
    lasted = describe_duration(waited)
    if alarms:
        state, reasons = RampState.ROLL_BACK, alarms
    elif problems:
        state, reasons = RampState.ASK, [*problems]
    elif waited < ramp.wait.least:
        least = describe_duration(ramp.wait.least)
        state, reasons = RampState.WAIT, [f"the stage has lasted for {lasted} of at least {least}"]
    elif not unclear:
        last = stage == len(ramp.stages) - 1
        state, reasons = (RampState.FINISH if last else RampState.ADVANCE), ["no guardrail is harmed"]
    elif waited >= ramp.wait.most:
        state, reasons = RampState.ASK, [*unclear, f"the stage has lasted for {lasted}"]
    else:
        state, reasons = RampState.WAIT, unclear
    return RampDecision(state, tuple(reasons), tuple(readings))
