"""``gates`` in ``surface.yaml``: what a release must pass, with the defaults of what is left out.

``Rules`` adds what else of that file decides on a promotion, as evidence keeps it.
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
"""Whether a promotion may be agreed to on the command line: no, by reviewers' own accounts, or by anyone."""
AUC_MAX: Final = 0.995
FEATURE_AUC_MAX: Final = 0.98
"""Heads of the shipped surfaces reach an AUC of .988 and their single features one of .952
(docs/decisions/0020-auc-within-requests.md)."""
LATENCY_RATIO_MAX: Final = 2.0


class DataGate(Closed):
    """Rows and positives that the evidence needs; ``severity`` is the validation failure that blocks."""

    rows: Annotated[int, Field(ge=1)] = 10_000
    positives: Annotated[int, Field(ge=1)] = 200
    severity: Literal["info", "warning", "critical"] = "critical"


class FirstModelGate(Closed):
    """What a model must reach where there is no champion: ``auc_min`` of its AUC within requests.

    Of a request-level task, and of one with too few pairs inside requests to tell, it is the pooled AUC.
    """

    auc_min: Share = 0.55


class ModelGate(Closed):
    """How far a model may fall behind the champion's, and what is too good to be true.

    ``auc_max`` and ``feature_auc_max``: the AUC, by request or pooled, above which a head or a single feature
    is taken to know the outcome.
    ``refit_shift_max``: how far refitted predictions may lie from the tested ones, summed over tenths, as a
    share of the tested mean, where chance does not make more (``tasks/release/refit.py``);
    ``refit_shift_max_by_task`` has the bounds of tasks that need another, as those with a season do.
    """

    auc_drop_max: Annotated[Number, Field(ge=0, le=1)] = 0.005
    normalized_entropy_rise_max: Annotated[Number, Field(ge=0)] = 0.01
    auc_max: Share = AUC_MAX
    feature_auc_max: Share = FEATURE_AUC_MAX
    refit_shift_max: Annotated[Number, Field(ge=0)] = 0.1
    refit_shift_max_by_task: dict[Identifier, Annotated[Number, Field(ge=0)]] = {}
    first: FirstModelGate = FirstModelGate()

    def refit_shift_max_of(self, task: str) -> float:
        """Return how far a task's refit may shift where chance does not make more."""
        return self.refit_shift_max_by_task.get(task, self.refit_shift_max)


class CalibrationGate(Closed):
    """The allowed calibration ratio, overall and by segment."""

    ratio: Range = (0.9, 1.1)
    by: Identifiers = ()

    @model_validator(mode="after")
    def _ratio_holds_one(self) -> Self:
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError("ratio must be a range around 1")
        return self


class BaselineColumn(Closed):
    """A logged column whose order is the baseline where there is no champion."""

    column: Identifier


class DecisionGate(Closed):
    """What the utility policy's guardrails are compared with.

    ``shown_only``: what becomes of a release that can only be replayed as a reordering of what was shown.
    ``canary`` lets what passes everything else enter the ramp as its canary; it is champion after the ramp.
    """

    first: Literal["logged"] | BaselineColumn = "logged"
    shown_only: Literal["hold", "canary"] = "hold"


class ShadowGate(Closed):
    """How far a challenger's slates may depart from the champion's on fresh traffic, and how it answers.

    ``error_rate_max``: share of the day's requests that it may leave without an answer.
    ``latency_ratio_max``: how many times as long as the champion it may take to score a request;
    ``latency_action`` is what a longer time leads to.
    """

    overlap_at_k_min: Share = 0.3
    score_shift_max: Annotated[Number, Field(ge=0)] = 0.5
    error_rate_max: Share = 0.0
    latency_ratio_max: Annotated[Number, Field(gt=0)] = LATENCY_RATIO_MAX
    latency_action: Literal["warn", "block"] = "warn"


class FreshnessGate(Closed):
    """The greatest age of a part's newest training row, at the as-of."""

    newest_training_row: Duration = timedelta(days=60)
    parts: dict[Identifier, Duration] = {}


class Gates(Closed):
    """Every gate of a release.

    ``inconclusive``: what follows from an inconclusive verdict; the primary's and a cost's have rules of
    their own.
    """

    data: DataGate = DataGate()
    model: ModelGate = ModelGate()
    calibration: CalibrationGate = CalibrationGate()
    decision: DecisionGate = DecisionGate()
    shadow: ShadowGate = ShadowGate()
    freshness: FreshnessGate = FreshnessGate()
    inconclusive: Literal["hold", "warn"] = "warn"


Overridable = Literal["model", "inputs", "calibration", "decision", "shadow", "freshness"]
"""Gates that may be declared; data, lineage, leaks, hard constraints and safety tasks hold all the same."""


class OverrideRule(Closed):
    """``override``: the role that may let a release through which these gates hold, with a reason."""

    role: Identifier
    gates: Annotated[tuple[Overridable, ...], AsTuple, Field(min_length=1)]

    @model_validator(mode="after")
    def _gates_each_once(self) -> Self:
        if len({*self.gates}) != len(self.gates):
            raise ValueError("names a gate twice")
        return self


class RampStage(Closed):
    """A share of the users that a release serves, and the harm that must be excluded before the next stage.

    ``harm``: the relative rise of a cost, as 0.3 for +30 %; of an outcome that is worth having, the fall to
    1 / (1 + harm).
    """

    share: Annotated[Number, Field(gt=0, lt=1)]
    harm: Annotated[Number, Field(gt=0)]


class RampWait(Closed):
    """How long a stage lasts at least, and after how long a person is asked."""

    least: Duration = timedelta(days=2)
    most: Duration = timedelta(days=14)

    @model_validator(mode="after")
    def _most_is_longer(self) -> Self:
        if self.least > self.most:
            raise ValueError("least must not be longer than most")
        return self


@dataclass(frozen=True)
class UserPool:
    """Users whose place among all users, a hash, is from ``low`` to below ``high``; one release ramps in it.

    ``number`` is its place in ``pools`` when the ramp began, from 1.
    """

    number: int = 1
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, text: str | None) -> "UserPool":
        """Read what a row or a tag holds; all users without it.

        Examples
        --------
        >>> UserPool.of('[2, 0.5, 1.0]'), UserPool.of(None).whole
        (UserPool(number=2, low=0.5, high=1.0), True)
        """
        return cls() if text is None else cls(*json.loads(text))

    def __str__(self) -> str:
        """Write it as a row keeps it."""
        return json.dumps([self.number, self.low, self.high])

    @property
    def whole(self) -> bool:
        """Whether it holds all users."""
        return (self.low, self.high) == (0.0, 1.0)

    @property
    def words(self) -> str:
        """Its users in words."""
        between = f"pool {self.number} ({self.low:g} to {self.high:g} of the users)"
        return "the users" if self.whole else between

    def excludes(self, other: "UserPool") -> bool:
        """Whether it shares neither users nor number with another pool."""
        return self.number != other.number and (self.high <= other.low or other.high <= self.low)


PoolShare = Annotated[Number, Field(gt=0, le=1)]


class Ramp(Closed):
    """``ramp``: the stages in which a release serves before it is champion; the first one is the canary.

    ``guardrails``: rates, as ``hide_7d_rate``, that stop it. ``alpha``: the chance that any of them stops a
    release which keeps its bounds, over all days. ``pools``: shares of the users, disjoint, in each of which
    one release may ramp at a time; a stage's share is of the users of its pool.
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
            raise ValueError("the shares of stages must increase: nobody goes back to a lower stage")
        if harms != sorted(harms, reverse=True):
            raise ValueError("the harm of a stage must not exceed the harm of the stage before it")
        return self

    def free_pool(self, taken: Collection[UserPool]) -> UserPool | None:
        """Return the first declared pool that excludes those in which releases ramp, None where none does.

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
        """Return the place of the stage, from 0, at which a release serves a share of the users.

        Examples
        --------
        >>> ramp = Ramp(guardrails=("hide_7d_rate",))
        >>> [ramp.stage_at(share) for share in (0.01, 0.25, 0.3, 0.5)]
        [0, 2, 2, 3]
        """
        return max(0, sum(stage.share <= share for stage in self.stages) - 1)


class Rules(Gates):
    """All of ``surface.yaml`` that a promotion is judged by: gates, base rates, and who has to agree.

    ``base_rates``: by task the rates outside which its labels fail validation. ``reviewers``: by role who may
    approve. ``approvals_on_command_line``: as in `Promotion`. ``override``, ``ramp`` and ``shown_is_all``:
    as in `SurfaceSpec`.
    """

    base_rates: dict[Identifier, Range] = Field(default_factory=dict)
    reviewers: dict[Identifier, Annotated[tuple[str, ...], AsTuple]] = Field(default_factory=dict)
    approvals_on_command_line: ApprovalsOnCommandLine = False
    override: OverrideRule | None = None
    ramp: Ramp | None = None
    shown_is_all: bool = False
