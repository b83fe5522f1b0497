"""What the plan and the read-outs of an experiment hold, as documents.

::

    ExperimentPlan       days needed by metric, and whether they fit; pins the file and the arms' releases
    ExperimentReadout    sample ratio, effects, segments and the decision as of an instant
    WeightLearning       weights of the utility's terms, learned from the read-outs of a surface

A read-out with a `ReadState` that withholds effects has none: what is wrong with the arms comes first.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from tasks.evaluation.documents import Document, MaybeFloat, Section
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.experiments.arm_effects import ArmEffect, Novelty


class ReadState(StrEnum):
    """How an experiment stands as of an instant."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    WAITING = "waiting for labels"
    FINISHED = "finished"
    SAMPLE_RATIO = "sample ratio alarm"
    BOTH_ARMS = "users in both arms"
    SILENT_ARM = "an arm stopped logging"

    @property
    def withholds(self) -> bool:
        """Whether no effect is shown."""
        return self in {self.NOT_STARTED, self.SAMPLE_RATIO, self.BOTH_ARMS, self.SILENT_ARM}


Decision = Literal["continue", "ship", "hold", "stop"]


class PlannedMetric(Section):
    """The days that decide a bound with a power of .80; None where none do, for the reason given."""

    metric: str
    critical: bool
    bound: MaybeFloat
    days_needed: int | None
    reason: str = ""


class ExperimentPlan(Document):
    """A plan from the log's past; ``accepted`` where every critical guardrail is decided by the end.

    Attributes
    ----------
    arms : the release of each arm, an alias resolved.
    past : first and last day of the log that it is planned from.
    users_a_day : mean number of users on a day.
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
    """The relative effect of everything up to a day, with the always-valid interval."""

    day: date
    change: Estimate


class MetricReadout(Section):
    """One metric: its effect, how its bounds are met, and what that rests on.

    Attributes
    ----------
    final : whether every impression has matured, so that the planned analysis decides; before that intervals
        are always-valid.
    mature_on : the day from which it is final.
    change : the relative effect with that interval; None where nothing has matured.
    from_day : first day since exposure that counts; 8 where the effect fades or grows (novelty).
    detectable : smallest change that is detected with a power of .80.
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
        """The worst outcome of its bounds."""
        order = (Outcome.BLOCK, Outcome.METRIC_MISSING, Outcome.INCONCLUSIVE, Outcome.PASS)
        found = {verdict.outcome for verdict in self.verdicts}
        return next((one for one in order if one in found), Outcome.NO_RULE)

    @property
    def harmed(self) -> tuple[Verdict, ...]:
        """The segments that it harms."""
        return tuple(one for one in self.segments if one.outcome is Outcome.BLOCK)


class OutcomeChanges(Section):
    """Treatment - control of outcomes per impression, with the covariance of their errors by user.

    ``outcomes``: the rate of each task by its metric; a term of the utility with a value column is also there
    by its task, where each outcome counts by that column. Only those that are mature and have enough events.
    """

    outcomes: tuple[str, ...]
    changes: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


NO_OUTCOMES: Final = OutcomeChanges(outcomes=(), changes=(), covariance=())


class ExperimentReadout(Document):
    """An experiment as of an instant: its state, its effects, and the decision with its reasons.

    ``left_out``: users who were seen in both arms and count in neither. ``plan_run``: the run that pinned the
    file and the releases. ``triggered``: the users for whom the arms differ; None where the log does not say.
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
    """A term of the utility: its weight now, what was learned, and the proposed weight.

    ``learned`` from experiments is a weight in units of the long outcome, that from perturbation the gradient
    of the long outcome of a request by the weight's logarithm. It and ``proposed`` are None where nothing was
    learned. From experiments, proposed weights have the size of the weights now: it changes no order.
    """

    task: str
    current: float
    learned: Estimate | None
    proposed: float | None


class LearningRow(Section):
    """A finished experiment with the run of its read-out; with a reason where it is left out."""

    experiment: str
    version: int | None = None
    run_id: str | None = None
    reason: str = ""


class WeightLearning(Document):
    """Weights that were learned from finished experiments or logged perturbation, or why they were not.

    Attributes
    ----------
    long : the metric of the long outcome.
    experiments : those of the surface, each version with its newest read-out; none where users' perturbed
        weights are the ``source``.
    signal : F_min of `learn_weights`; NaN of perturbation.
    refused : reasons; empty where weights are proposed.
    policy_version, file : of the proposed policy.
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
