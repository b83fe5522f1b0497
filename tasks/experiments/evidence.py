"""Documents of an experiment's plan and read-outs, and of learned weights.

::

    ExperimentPlan       days needed by metric, and whether they fit; pins the file and the arms' releases
    ExperimentReadout    sample ratio, effects, segments and the decision as of an instant
    WeightLearning       weights of the utility's terms, learned from a surface's read-outs

A read-out whose `ReadState` withholds effects has none, because problems of the arms must be solved first.
"""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from tasks.arrays import Floats
from tasks.evaluation.documents import Document, MaybeFloat, Section
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.experiments.arm_effects import ArmEffect, Novelty


class ReadState(StrEnum):
    """State of an experiment as of an instant."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    WAITING = "waiting for labels"
    FINISHED = "finished"
    SAMPLE_RATIO = "sample ratio alarm"
    BOTH_ARMS = "users in both arms"
    SILENT_ARM = "an arm stopped logging"

    @property
    def withholds(self) -> bool:
        """Whether effects are withheld."""
        return self in {self.NOT_STARTED, self.SAMPLE_RATIO, self.BOTH_ARMS, self.SILENT_ARM}


Decision = Literal["continue", "ship", "hold", "stop"]


class PlannedMetric(Section):
    """Days that decide a bound with a power of .80; None if no number suffices, with the reason."""

    metric: str
    critical: bool
    bound: MaybeFloat
    days_needed: int | None
    reason: str = ""


class ExperimentPlan(Document):
    """A plan from past logs; ``accepted`` if every critical guardrail is decided by the end.

    Attributes
    ----------
    arms : release of each arm, with aliases resolved.
    past : first and last day of the logs that the plan uses.
    users_a_day : mean number of users per day.
    """

    document: Literal["experiment_plan"] = "experiment_plan"
    version: Literal[1] = 1
    experiment: str
    experiment_version: int
    digest: str
    starts: date
    ends: date
    arms: dict[str, int]
    past: tuple[date, date]
    users_a_day: MaybeFloat
    metrics: tuple[PlannedMetric, ...]
    accepted: bool
    reasons: tuple[str, ...]


class SampleRatio(Section):
    """Users of each arm by their first exposure, with the evidence against the declared shares.

    ``by_day``: new users of each day, in the order of ``users``. ``alarmed_on``: the first day of the alarm.
    """

    users: dict[str, int]
    shares: dict[str, float]
    log_e_value: MaybeFloat
    alarmed_on: date | None
    days: tuple[date, ...]
    by_day: tuple[tuple[int, ...], ...]


class CumulativeEffect(Section):
    """Cumulative relative effect up to a day, with the always-valid interval."""

    day: date
    change: Estimate


class MetricReadout(Section):
    """One metric: its effect, the verdicts on its bounds, and its data.

    Attributes
    ----------
    final : whether every impression is mature and the planned analysis decides; before, intervals are
        always-valid.
    mature_on : the day from which the read-out is final.
    change : the relative effect with its interval; None if nothing has matured.
    from_day : first day since exposure that counts; 8 if the effect changes with time (novelty).
    detectable : smallest change that is detectable with a power of .80.
    """

    metric: str
    critical: bool
    primary: bool
    final: bool
    mature_on: date
    effect: ArmEffect | None
    change: Estimate | None
    verdicts: tuple[Verdict, ...]
    segments: tuple[Verdict, ...] = ()
    novelty: Novelty | None = None
    from_day: Annotated[int, Field(ge=1)] = 1
    detectable: MaybeFloat
    cumulative: tuple[CumulativeEffect, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Worst outcome of its bounds."""
        order = (Outcome.BLOCK, Outcome.METRIC_MISSING, Outcome.INCONCLUSIVE, Outcome.PASS)
        found = {verdict.outcome for verdict in self.verdicts}
        return next((one for one in order if one in found), Outcome.NO_RULE)

    @property
    def harmed(self) -> tuple[Verdict, ...]:
        """Segments that are harmed."""
        return tuple(one for one in self.segments if one.outcome is Outcome.BLOCK)


class OutcomeChanges(Section):
    """Treatment - control of outcomes per impression, with the user-clustered covariance of their errors.

    ``outcomes``: the rate of each task by the metric's name; utility terms with a value column also by the
    task's name, where each outcome is multiplied by that column. Only mature outcomes with enough events.
    """

    outcomes: tuple[str, ...]
    changes: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def select(self, names: Sequence[str]) -> tuple[Floats, Floats]:
        """Return the changes of some outcomes [n], and the covariance of their errors [n, n]."""
        at = [self.outcomes.index(name) for name in names]
        return np.array(self.changes)[at], np.array(self.covariance)[np.ix_(at, at)]


NO_OUTCOMES: Final = OutcomeChanges(outcomes=(), changes=(), covariance=())


class ExperimentReadout(Document):
    """An experiment as of an instant: its state, its effects, and the decision with its reasons.

    ``left_out``: number of users in both arms, who are excluded. ``plan_run``: the run that pinned the file
    and the releases. ``triggered``: users for whom the arms differ; None if not logged.
    """

    document: Literal["experiment_readout"] = "experiment_readout"
    version: Literal[1] = 1
    experiment: str
    experiment_version: int
    digest: str
    plan_run: str
    as_of: datetime
    starts: date
    ends: date
    arms: dict[str, int]
    state: ReadState
    decision: Decision
    reasons: tuple[str, ...]
    sample_ratio: SampleRatio | None
    triggered: SampleRatio | None = None
    left_out: int
    metrics: tuple[MetricReadout, ...]
    outcomes: OutcomeChanges = NO_OUTCOMES
    notes: tuple[str, ...]
    report: str


class LearnedTerm(Section):
    """A term of the utility: its current, learned and proposed weight.

    ``learned`` from experiments is a weight in units of the long outcome; from perturbation it is the
    gradient of a request's long outcome by the weight's logarithm. It and ``proposed`` are None if nothing
    was learned. Weights proposed from experiments are scaled to the size of the current weights.
    """

    task: str
    current: float
    learned: Estimate | None
    proposed: float | None


class LearningRow(Section):
    """A finished experiment with the run of its read-out; with a reason if it is left out."""

    experiment: str
    version: int | None = None
    run_id: str | None = None
    reason: str = ""


class WeightLearning(Document):
    """Weights learned from finished experiments or logged perturbation, or the reasons for refusal.

    Attributes
    ----------
    long : the metric of the long outcome.
    experiments : the surface's experiments, each version with its newest read-out; none for perturbation.
    signal : F_min of `learn_weights`; NaN for perturbation.
    refused : reasons for refusal; empty if weights are proposed.
    policy_version, file : version and file of the proposed policy.
    """

    document: Literal["weight_learning"] = "weight_learning"
    version: Literal[1] = 1
    as_of: datetime
    long: str
    source: Literal["experiments", "perturbation"] = "experiments"
    experiments: tuple[LearningRow, ...]
    signal: MaybeFloat
    terms: tuple[LearnedTerm, ...]
    refused: tuple[str, ...]
    policy_version: int | None
    file: str | None
