"""``gates`` in ``surface.yaml``: the requirements on a release, with their defaults.

``Rules`` adds the other sections of that file that affect promotion, as evidence records them.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from tasks.contracts.base import AsTuple, Closed, Identifier, Identifiers, Number, Range, Share
from tasks.contracts.durations import Duration

ApprovalsOnCommandLine = Literal["by_account"] | bool
"""Who may approve on the command line: nobody, reviewers with their own accounts, or anyone."""
AUC_MAX: Final = 0.995
FEATURE_AUC_MAX: Final = 0.98
"""Heads of the shipped surfaces reach an AUC of .988, single features .952
(docs/decisions/0020-auc-within-requests.md)."""
LATENCY_RATIO_MAX: Final = 2.0


class DataGate(Closed):
    """Minimum rows and positives of the evidence; ``severity`` is the validation failure that blocks."""

    rows: Annotated[int, Field(ge=1)] = 10_000
    positives: Annotated[int, Field(ge=1)] = 200
    severity: Literal["info", "warning", "critical"] = "critical"


class FirstModelGate(Closed):
    """Requirements on a model without a champion: ``auc_min`` is the minimum AUC within requests.

    The pooled AUC is used for request-level tasks and for tasks with too few pairs within requests.
    """

    auc_min: Share = 0.55


class ModelGate(Closed):
    """How far a model may fall behind the champion's, and which results indicate a leak.

    ``auc_max`` and ``feature_auc_max``: the AUC, within requests or pooled, above which a head or a single
    feature is taken to contain the outcome.
    ``refit_shift_max``: maximum shift of refitted predictions from the tested ones, summed over tenths, as a
    share of the tested mean; the bound is never below the shift by chance (``tasks/release/refit.py``);
    ``refit_shift_max_by_task`` overrides it for single tasks, such as seasonal ones.
    """

    auc_drop_max: Annotated[Number, Field(ge=0, le=1)] = 0.005
    normalized_entropy_rise_max: Annotated[Number, Field(ge=0)] = 0.01
    auc_max: Share = AUC_MAX
    feature_auc_max: Share = FEATURE_AUC_MAX
    refit_shift_max: Annotated[Number, Field(ge=0)] = 0.1
    refit_shift_max_by_task: dict[Identifier, Annotated[Number, Field(ge=0)]] = {}
    first: FirstModelGate = FirstModelGate()

    def refit_shift_max_of(self, task: str) -> float:
        """Return the maximum refit shift of a task; the shift by chance may be larger."""
        return self.refit_shift_max_by_task.get(task, self.refit_shift_max)


class CalibrationGate(Closed):
    """Allowed range of the calibration ratio, overall and by segment."""

    ratio: Range = (0.9, 1.1)
    by: Identifiers = ()

    @model_validator(mode="after")
    def _ratio_holds_one(self) -> Self:
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError("ratio must be a range around 1")
        return self


class BaselineColumn(Closed):
    """A logged column whose order is the baseline without a champion."""

    column: Identifier


class DecisionGate(Closed):
    """The comparison that the utility policy's guardrails use.

    ``shown_only``: outcome for a release that can only be replayed by reordering the shown items.
    ``canary`` lets a release that passes all other gates start the ramp; it becomes champion after the ramp.
    """

    first: Literal["logged"] | BaselineColumn = "logged"
    shown_only: Literal["hold", "canary"] = "hold"


class ShadowGate(Closed):
    """How far a challenger's slates and its latency may depart from the champion's on fresh traffic.

    ``error_rate_max``: maximum share of the day's requests without an answer.
    ``latency_ratio_max``: maximum ratio of the scoring time per request to the champion's;
    ``latency_action`` is the outcome above it.
    """

    overlap_at_k_min: Share = 0.3
    score_shift_max: Annotated[Number, Field(ge=0)] = 0.5
    error_rate_max: Share = 0.0
    latency_ratio_max: Annotated[Number, Field(gt=0)] = LATENCY_RATIO_MAX
    latency_action: Literal["warn", "block"] = "warn"


class FreshnessGate(Closed):
    """Maximum age of a component's newest training row at the as-of."""

    newest_training_row: Duration = timedelta(days=60)
    parts: dict[Identifier, Duration] = {}


class Gates(Closed):
    """Every gate of a release.

    ``inconclusive``: the consequence of an inconclusive outcome; the primary metric and costs have their own.
    """

    data: DataGate = DataGate()
    model: ModelGate = ModelGate()
    calibration: CalibrationGate = CalibrationGate()
    decision: DecisionGate = DecisionGate()
    shadow: ShadowGate = ShadowGate()
    freshness: FreshnessGate = FreshnessGate()
    inconclusive: Literal["hold", "warn"] = "warn"


Overridable = Literal["model", "inputs", "calibration", "decision", "shadow", "freshness"]
"""Gates that can be overridden; data, lineage, leaks, hard constraints and safety tasks cannot."""


class OverrideRule(Closed):
    """``override``: the role that may release despite these gates, with a reason."""

    role: Identifier
    gates: Annotated[tuple[Overridable, ...], AsTuple, Field(min_length=1)]

    @model_validator(mode="after")
    def _gates_each_once(self) -> Self:
        if len({*self.gates}) != len(self.gates):
            raise ValueError("names a gate twice")
        return self


class RampStage(Closed):
    """A share of the users that a release serves, and the harm to exclude before the next stage.

    ``harm``: relative increase of a cost, 0.3 for +30 %; for a desired outcome, a decrease to 1 / (1 + harm).
    """

    share: Annotated[Number, Field(gt=0, lt=1)]
    harm: Annotated[Number, Field(gt=0)]


class RampWait(Closed):
    """Minimum duration of a stage, and the time after which a person is asked to decide."""

    least: Duration = timedelta(days=2)
    most: Duration = timedelta(days=14)

    @model_validator(mode="after")
    def _most_is_longer(self) -> Self:
        if self.least > self.most:
            raise ValueError("least must not be longer than most")
        return self


@dataclass(frozen=True)
class UserPool:
    """Users whose hash is in [low, high); one release at a time ramps in a pool.

    ``number`` is the position in ``pools`` when the ramp began, from 1.
    """

    number: int = 1
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, text: str | None) -> "UserPool":
        """Parse the text of a row or a tag; None means all users.

        Examples
        --------
        >>> UserPool.of('[2, 0.5, 1.0]'), UserPool.of(None).whole
        (UserPool(number=2, low=0.5, high=1.0), True)
        """
        return cls() if text is None else cls(*json.loads(text))

    def __str__(self) -> str:
        """Serialize the pool for a row."""
        return json.dumps([self.number, self.low, self.high])

    @property
    def whole(self) -> bool:
        """Whether the pool holds all users."""
        return (self.low, self.high) == (0.0, 1.0)

    @property
    def words(self) -> str:
        """Description of the pool's users."""
        between = f"pool {self.number} ({self.low:g} to {self.high:g} of the users)"
        return "the users" if self.whole else between

    def excludes(self, other: "UserPool") -> bool:
        """Whether the pool shares neither users nor number with another pool."""
        return self.number != other.number and (self.high <= other.low or other.high <= self.low)


PoolShare = Annotated[Number, Field(gt=0, le=1)]


class Ramp(Closed):
    """``ramp``: the stages in which a release serves before it becomes champion; the first is the canary.

    ``guardrails``: rates that stop the ramp, such as ``hide_7d_rate``. ``alpha``: probability, over all days
    and guardrails, of stopping a release that keeps its bounds. ``pools``: disjoint shares of the users; one
    release at a time may ramp in each. A stage's share refers to the users of its pool.
    """

    stages: Annotated[tuple[RampStage, ...], AsTuple, Field(min_length=1, max_length=20)] = (
        RampStage(share=0.01, harm=3.0),
        RampStage(share=0.05, harm=1.0),
        RampStage(share=0.25, harm=0.5),
        RampStage(share=0.5, harm=0.3),
    )
    guardrails: Annotated[Identifiers, Field(min_length=1)]
    wait: RampWait = RampWait()
    alpha: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    pools: Annotated[tuple[PoolShare, ...], AsTuple, Field(min_length=1, max_length=4)] = (1.0,)

    @model_validator(mode="after")
    def _pools_are_disjoint(self) -> Self:
        if (total := math.fsum(self.pools)) > 1 + 1e-9:
            raise ValueError(f"the shares of pools are disjoint, and {total:g} is more than all users")
        return self

    @model_validator(mode="after")
    def _shares_increase_and_harms_do_not(self) -> Self:
        shares, harms = ([getattr(stage, name) for stage in self.stages] for name in ("share", "harm"))
        if shares != sorted({*shares}):
            raise ValueError("the shares of stages must increase")
        if harms != sorted(harms, reverse=True):
            raise ValueError("the harm of a stage must not exceed the harm of the stage before it")
        return self

    def free_pool(self, taken: Collection[UserPool]) -> UserPool | None:
        """Return the first declared pool that is disjoint from the occupied pools, or None.

        Examples
        --------
        >>> halves = Ramp(guardrails=("hide_7d_rate",), pools=(0.5, 0.5))
        >>> halves.free_pool([UserPool(1, 0.0, 0.5)]), halves.free_pool([UserPool()])
        (UserPool(number=2, low=0.5, high=1.0), None)
        """
        ends = [min(1.0, end) for end in accumulate(self.pools, initial=0.0)]
        declared = (UserPool(number, *between) for number, between in enumerate(pairwise(ends), start=1))
        return next((pool for pool in declared if all(map(pool.excludes, taken))), None)

    def stage_at(self, share: float) -> int:
        """Return the index of the stage, from 0, at which a release serves a share of the users.

        Examples
        --------
        >>> ramp = Ramp(guardrails=("hide_7d_rate",))
        >>> [ramp.stage_at(share) for share in (0.01, 0.25, 0.3, 0.5)]
        [0, 2, 2, 3]
        """
        return max(0, sum(stage.share <= share for stage in self.stages) - 1)


class Rules(Gates):
    """The sections of ``surface.yaml`` that decide on a promotion: gates, base rates and approvals.

    ``base_rates``: by task, the rates outside which its labels fail validation. ``reviewers``: by role, the
    people who may approve. ``approvals_on_command_line``: as in `Promotion`. ``override``, ``ramp`` and
    ``shown_is_all``: as in `SurfaceSpec`.
    """

    base_rates: dict[Identifier, Range] = Field(default_factory=dict)
    reviewers: dict[Identifier, Annotated[tuple[str, ...], AsTuple]] = Field(default_factory=dict)
    approvals_on_command_line: ApprovalsOnCommandLine = False
    override: OverrideRule | None = None
    ramp: Ramp | None = None
    shown_is_all: bool = False
