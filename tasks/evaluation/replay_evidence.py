"""What a policy, a task and a term of the utility measure beside those of another release."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from pydantic import ConfigDict

from tasks.evaluation.documents import CLOSED, MaybeFloat, Section
from tasks.evaluation.planning import Growth
from tasks.evaluation.subjects import STATED, Segment, Subject
from tasks.evaluation.verdicts import Estimate


@dataclass(frozen=True)
class DayChange:
    """The relative change on one day."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    day: date
    change: MaybeFloat


@dataclass(frozen=True)
class Measured:
    """A metric of the policy and its baseline in one segment, as one judge sees it.

    ``relative`` is policy / baseline - 1. ``reason`` says why a figure is missing, or may not be judged;
    ``reference_model`` names the model whose predictions are used (the same for metrics of outcomes).
    ``events``: the fewer of the positive outcomes in the slots of both; None for what counts none.
    ``pooled``: the values that the segment holds where each of them alone is too thin. ``labelled_share``: of
    a task's outcomes, the share of the policy's looks that fall on items whose outcome is known; on the whole
    only. ``growth``: how the variance of the change falls with test days, by user and by item; of the release
    under test on the whole only. ``heads``: the releases whose heads the judge joins.
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
    """What a task loses against the champion in one segment; see `ChampionComparison`."""

    segment: Annotated[Segment, STATED]
    auc_by_request_drop: Estimate | None
    normalized_entropy_rise: Estimate | None
    relative_squared_error_rise: Estimate | None = None
    relative_pinball_loss_rise: Estimate | None = None


class ChampionComparison(Section):
    """What a task loses against the champion on the same rows.

    ``auc_drop`` is that of the pooled AUC. ``auc_by_request_drop`` is None of a request-level task, whose
    rows are one a request.
    A value or a quantile has an error of its own and no order of outcomes, a ranking head the order alone.
    """

    task: str
    auc_drop: Estimate | None
    normalized_entropy_rise: Estimate | None
    auc_by_request_drop: Estimate | None = None
    relative_squared_error_rise: Estimate | None = None
    relative_pinball_loss_rise: Estimate | None = None
    segments: tuple[SegmentComparison, ...] = ()


class TermShare(Section):
    """A term of the utility in the slots: what it adds to one, and how far it moves candidates apart.

    ``heads`` are the tasks whose predictions it multiplies; none where a column counts by itself.
    """

    task: str
    heads: tuple[str, ...]
    prediction: MaybeFloat
    contribution: MaybeFloat
    spread: MaybeFloat
    weight: float
    times: str | None


class UtilityComposition(Section):
    """Mean utility of a slot, its spread within requests, and the terms that make it."""

    utility: MaybeFloat
    spread: MaybeFloat
    terms: tuple[TermShare, ...]


class SlateRule(Section):
    """How often a slate rule was met.

    ``slates`` it was asked of; ``unmet``: those that fall short of it, by ``slots_short`` slots in all. Of
    them ``too_few`` had too few candidates left by constraints and floors; in the others a rule that claims
    slots before it, or the length, kept candidates out.
    """

    rule: str
    slates: int
    unmet: int
    too_few: int
    slots_short: int
