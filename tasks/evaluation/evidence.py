"""Sections of documents that several steps write or read; each step's document is in its own room.

::

    validate    ValidationEvidence     -> gate                         here
    train       TrainingEvidence       -> refit, release, next retrain training/evidence.py
    same_day    SameDayEvidence        -> gate                         training/same_day.py
    examination ExaminationEvidence    -> release                      training/evidence.py
    calibrate   CalibrationEvidence    -> refit, release               calibration/choice.py
    release     ReleaseEvidence        -> gate, explanation            evaluation/release_evidence.py
    simulate    SimulationEvidence     -> gate                         replay/evidence.py
    shadow      ShadowEvidence         -> gate                         replay/evidence.py
    gate        GateEvidence           -> promotion                    evaluation/release_evidence.py
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from tasks.contracts.training import HeadKind, ModelChoice
from tasks.contracts.utility import Term
from tasks.evaluation.documents import CLOSED, Document, MaybeFloat, Section
from tasks.evaluation.figures import Figure
from tasks.evaluation.subjects import ALL, STATED, Segment, Subject
from tasks.evaluation.verdicts import Estimate, Growth

ChangeKind = Literal["scale", "constant", "nulls", "empty", "unseen", "distribution"]
ComparedDays = Literal["calibrate", "test", "newest", "served"]
AMPLIFIED: Final = 0.1
"""Smallest share of the utility's spread from which a term is reported."""


Days = tuple[date, date]
"""First and last day."""


class InputChange(Section):
    """A figure of a feature, or of a column of the policy, that exceeds its bound on days after training.

    ::

        scale          medians of the values other than 0 differ by a factor   more than 5 times past weeks'
        constant       one value in all rows, as in no past week
        nulls          the share of nulls differs                              20 points above past weeks'
        empty          in a category: the share of nulls and zeros differs     50 points above past weeks'
        unseen         share of rows with a category new since training        20 points above past weeks'
        distribution   Jensen-Shannon divergence                               .05 bits above past weeks'

    The release step compares the training days of a head with its calibration, test and newest days; the
    shadow compares them with the served features (`tasks.release.inputs`). Without a change of all rows,
    scale and empty are compared by ``category`` of requests.
    """

    feature: str
    days: ComparedDays
    kind: ChangeKind
    observed: MaybeFloat
    bound: MaybeFloat
    category: Segment = ALL

    @property
    def rows(self) -> str:
        """The compared rows, such as ``test days, region=east``."""
        return f"{self.days} days" + ("" if self.category == ALL else f", {self.category}")


class HeadInputs(Section):
    """The features of a head, and the columns by which the utility policy weighs its predictions.

    ``gains``: by feature, its share of the gain of all splits, 0 if no split uses it. ``weighing``: columns
    that decide what a prediction is worth. ``changes``: figures beyond a bound; ``reason``: why nothing was
    compared.
    """

    task: str
    gains: dict[str, float]
    weighing: tuple[str, ...] = ()
    changes: tuple[InputChange, ...] = ()
    reason: str = ""


class TaskDays(Section):
    """A task's labels, with one number per day of the calendar.

    ``observed``: with a value, of which ``positive`` are above 0; ``immature``: not known yet; ``left_out``:
    excluded or not applicable. ``failed``: the days listed by a failed check of the labels.
    """

    task: str
    observed: tuple[int, ...]
    positive: tuple[int, ...]
    immature: tuple[int, ...]
    left_out: tuple[int, ...]
    failed: tuple[date, ...] = ()


class LabelCalendar(Section):
    """The newest days of a snapshot, oldest first."""

    days: tuple[date, ...]
    tasks: tuple[TaskDays, ...]

    @model_validator(mode="after")
    def _counts_every_day(self) -> Self:
        for task in self.tasks:
            for counts in (task.observed, task.positive, task.immature, task.left_out):
                if len(counts) != len(self.days):
                    raise ValueError(f"'{task.task}' has {len(counts)} counts for {len(self.days)} days")
        return self


@dataclass(frozen=True)
class Finding:
    """The result of one expectation."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    suite: str
    expectation: str
    subject: str
    severity: str
    success: bool
    observed: str
    why: str


class ValidationEvidence(Document):
    """Results of the validation suites on a label snapshot; ``severity`` is the worst failed one.

    ``calendar``: the labels by day.
    """

    document: Literal["validation"] = "validation"
    version: Literal[1] = 1
    snapshot: str
    success: bool
    severity: str | None
    expectations: tuple[Finding, ...]
    report: str
    calendar: LabelCalendar | None = Field(default=None, repr=False)

    @property
    def failures(self) -> tuple[str, ...]:
        """The failed expectations, in words."""
        failed = [finding for finding in self.expectations if not finding.success]
        return tuple(f"{one.suite}: {one.expectation} ({one.observed})" for one in failed)


class TaskEvidence(Document):
    """Inputs of a component of a task; a refit ``repeats`` the model of this version and sha256."""

    surface: str
    task: str
    as_of: str
    snapshot: str
    contracts: dict[str, str]
    slices: dict[str, Days]
    repeats: tuple[int, str] | None = None
    kind: HeadKind


class PinnedModel(Section):
    """The model that a calibrator was fitted to."""

    name: str
    version: int
    sha256: str


HeadModel = Literal["trees", "trunk", "blend"]
"""The kind of model that a head predicts with."""


class HeadChoice(Section):
    """The model that held-out users favour, with the reason.

    ``held_out``: error of each model relative to a constant. ``rises``: paired differences in it, negative if
    the model is better: of ``trunk`` and ``blend`` against the trees, and of ``trunk over blend``.
    """

    model: HeadModel
    reason: str
    held_out: dict[HeadModel, MaybeFloat]
    rises: dict[str, Estimate]


class HeadModels(Section):
    """The models of a task of a shared trunk, and the one that its map was fitted to.

    ``asked``: the choice in surface.yaml. ``choice``: the choice by held-out users, None for a refit, which
    uses the tested model's. ``figures``: normalized entropy (for a value, the relative squared error) of each
    model on the test days, one row each, and the paired rise against the trees; the subject's
    ``feature`` names the model.
    """

    asked: ModelChoice
    model: HeadModel
    trunk: PinnedModel
    choice: HeadChoice | None
    figures: tuple[Figure, ...] = ()

    def estimate(self, model: HeadModel, *, rise: bool = False, segment: Segment = ALL) -> Estimate | None:
        """Return the error of a model on the test days, or its rise against the trees; None if missing."""
        found = (
            row.estimate
            for row in self.figures
            if row.subject.feature == model and bool(row.subject.baseline) == rise and row.segment == segment
        )
        return next(found, None)


@dataclass(frozen=True)
class DayChange:
    """The relative change on one day."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    day: date
    change: MaybeFloat


@dataclass(frozen=True)
class Measured:
    """A metric of the policy and its baseline in one segment, by one reference model.

    ``relative`` is policy / baseline - 1. ``reason``: why a figure is missing or cannot be compared;
    ``reference_model``: the model whose predictions are used (the same for metrics of outcomes).
    ``events``: the smaller number of positive outcomes in the slots of both policies; None if none are
    counted. ``pooled``: the sparse values that the segment pools. ``labelled_share``: the share of the
    policy's exposure on items with a known outcome of the task; on the whole only. ``growth``: how the
    variance of the change falls with test days, by user and by item; for the release under test on the whole
    only. ``heads``: number of releases whose heads the reference model joins.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    subject: Annotated[Subject, STATED]
    segment: Annotated[Segment, STATED]
    reference_model: str
    policy: Estimate | None
    baseline: Estimate | None
    relative: Estimate | None
    reason: str = ""
    events: int | None = None
    by_day: tuple[DayChange, ...] = ()
    pooled: tuple[str, ...] = ()
    labelled_share: float | None = None
    growth: tuple[Growth, ...] = ()
    heads: int = 1


class SegmentComparison(Section):
    """Losses of a task against the champion in one segment; see `ChampionComparison`."""

    segment: Annotated[Segment, STATED]
    auc_by_request_drop: Estimate | None
    normalized_entropy_rise: Estimate | None
    relative_squared_error_rise: Estimate | None = None
    relative_pinball_loss_rise: Estimate | None = None


class ChampionComparison(Section):
    """Losses of a task against the champion on the same rows.

    ``auc_drop`` is the drop of the pooled AUC. ``auc_by_request_drop`` is None for a request-level task,
    which has one row per request.
    A value or a quantile has its own error and no order of outcomes; a ranking head has only the order.
    """

    task: str
    auc_drop: Estimate | None
    normalized_entropy_rise: Estimate | None
    auc_by_request_drop: Estimate | None = None
    relative_squared_error_rise: Estimate | None = None
    relative_pinball_loss_rise: Estimate | None = None
    segments: tuple[SegmentComparison, ...] = ()


class TermShare(Section):
    """A term of the utility in the slots: its contribution, and its spread among candidates.

    ``heads``: the tasks whose predictions it multiplies; empty for a column term.
    """

    task: str
    heads: tuple[str, ...]
    prediction: MaybeFloat
    contribution: MaybeFloat
    spread: MaybeFloat
    weight: float
    times: str | None

    @classmethod
    def of(cls, name: str, term: Term, **means: float) -> Self:
        """Return a declared term with its prediction, contribution and spread."""
        return cls(task=name, heads=term.tasks, weight=term.weight, times=term.value_column, **means)


@dataclass(frozen=True)
class Sensitivity:
    """A term of the utility: its weight, mean prediction in the slots, and uncertainty of its calibration.

    ``weight`` is the one without a context. ``slots`` and ``whole`` are calibration ratios of the items in
    the slots and of all shown ones. ``contribution`` and ``error`` are in utility per slot; ``share`` of the
    utility's spread is NaN if no ratio can be measured.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    task: str
    weight: float
    times: str | None
    prediction: MaybeFloat
    slots: Estimate
    whole: Estimate
    contribution: MaybeFloat
    error: Estimate
    share: MaybeFloat

    @classmethod
    def of(cls, term: TermShare, *, slots: Estimate, whole: Estimate, share: float) -> Self:
        """Return a simulated term with the calibration ratios of its heads."""
        ratio, added = slots if slots.known else whole, term.contribution
        low, high = sorted((added * (ratio.low - 1), added * (ratio.high - 1)))
        error = Estimate(added * (ratio.value - 1), low, high, ratio.n)
        return cls(term.task, term.weight, term.times, term.prediction, slots, whole, added, error, share)

    @property
    def ratio(self) -> Estimate:
        """The calibration ratio used: of the items in the slots if measurable, else of all."""
        return self.slots if self.slots.known else self.whole

    @property
    def amplified(self) -> bool:
        """Whether a small error of the head changes the order much, or its size is unknown."""
        return self.contribution != 0 and not self.share < AMPLIFIED

    @property
    def largest(self) -> float:
        """Largest error of a slot's utility within the interval."""
        return max(abs(self.error.low), abs(self.error.high))


class UtilityComposition(Section):
    """Mean utility of a slot, its spread within requests, and its terms."""

    utility: MaybeFloat
    spread: MaybeFloat
    terms: tuple[TermShare, ...]


class SlateRule(Section):
    """How often a slate rule was met.

    ``slates``: number of slates with the rule; ``unmet``: slates that fall short of it, by ``slots_short``
    slots in all. Of these, ``too_few`` had too few candidates after constraints and floors; in the others a
    rule that claims slots before it, or the length, excluded candidates.
    """

    rule: str
    slates: int
    unmet: int
    too_few: int
    slots_short: int
