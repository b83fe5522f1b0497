"""What becomes of a release in its ramp: stop it, ask a person, wait, or go on to the next stage.

::

    roll back   a guardrail's rise is above its bound of utility.yaml, by a bound for all looks at once
    ask         the arms cannot be compared, or the stage has lasted for wait.most
    wait        the stage is younger than wait.least, or a guardrail may still be harmed
    advance     every guardrail's upper bound is below the stage's harm; finish: at the last stage

A guardrail of an outcome that is worth having is harmed where it falls, so its ratio is reversed.
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
"""Chance that any guardrail's effect seems to depend on the share although none does."""


class RampState(StrEnum):
    """The state of a ramp: none, ended, or the next action."""

    NONE = "none"
    ROLLED_BACK = "rolled_back"
    PROMOTED = "promoted"
    RAMPED = "ramped"
    """The last stage ended well: people may promote the release as champion."""
    WAIT = "wait"
    ASK = "ask"
    ADVANCE = "advance"
    FINISH = "finish"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class GuardrailReading:
    """A guardrail of a ramp as its log shows it, harm up.

    Parameters
    ----------
    change, upper : the relative rise of the harm, and its upper bound at every look; None where not known.
    bound : the rise above which it stops the release.
    harm : the rise that must be excluded before the next stage.
    treated_events, control_events : of both arms so far.
    alarm, clear : whether the rise is above the bound, and whether harm is excluded.
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
        """Write it as the audit keeps it."""
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
    """The next action, its reasons, the guardrails that they rest on, and notes that decide nothing."""

    state: RampState
    reasons: tuple[str, ...]
    guardrails: tuple[GuardrailReading, ...] = ()
    notes: tuple[str, ...] = ()


def read_ramp(workspace: Workspace, ramp: Ramp, live: LiveRamp, *, as_of: datetime) -> RampDecision:
    """Decide on a release that ramps by what its log shows up to an instant."""
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
    """Return what the log shows of each guardrail."""
    return [
        read_guardrail(
            name,
            log.ratio(task) if contracts.tasks.tasks[task].family.costs else log.ratio(task).reversed(),
            bound=find_bound(contracts, name),
            ramp=ramp,
            stage=stage,
        )
        for name, task in guardrail_tasks(ramp).items()
    ]


def find_interference(ramp: Ramp, log: RampLog) -> tuple[str, ...]:
    """Say which guardrail's effect differs between the two newest stages, by z-tests of 5 % together."""
    limit = float(ndtri(1 - _INTERFERENCE / 2 / len(ramp.guardrails)))
    found = {name: log.interference(task) for name, task in guardrail_tasks(ramp).items()}
    before, now = (f"{share:g}" for share in log.shares[-2:]) if len(log.shares) > 1 else ("", "")
    return tuple(
        f"the effect on {name} at {now} differs from that at {before} (z = {z:+.1f}): the arms may affect "
        "each other, as by shared items, creators or budgets"
        for name, z in found.items()
        if abs(z) > limit
    )


def read_guardrail(name: str, ratio: LogRatio, *, bound: float, ramp: Ramp, stage: int) -> GuardrailReading:
    """Hold the ratio of a guardrail, harm up, against its bound and the stage's harm."""
    harm, planned = ramp.stages[stage].harm, planned_information(ramp.stages[-1].harm)
    upper = ratio.upper(planned=planned_information(harm), alpha=ramp.alpha)
    return GuardrailReading(
        name,
        None if math.isnan(ratio.estimate) else math.expm1(ratio.estimate),
        upper if math.isfinite(upper) else None,
        bound,
        harm,
        ratio.treated_events,
        ratio.control_events,
        alarm=ratio.exceeds(bound, planned=planned, alpha=ramp.alpha / len(ramp.guardrails)),
        clear=upper < harm,
    )


def find_bound(contracts: Contracts, metric: str) -> float:
    """Return the rise of harm that utility.yaml allows a rate; 0 where it bounds no change of it.

    Of an outcome that is worth having, a fall of 20 % is a rise of harm of 25 %.
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
    readings : a reading of each guardrail.
    stage : the place of the present stage, from 0.
    waited : how long it has lasted.
    problems : why the arms cannot be compared.

    Examples
    --------
    >>> ramp = Ramp(guardrails=("hide_7d_rate",))
    >>> ratio = LogRatio(estimate=0.0, error=0.1, treated_events=150, control_events=9000)
    >>> reading = read_guardrail("hide_7d_rate", ratio, bound=0.15, ramp=ramp, stage=0)
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
