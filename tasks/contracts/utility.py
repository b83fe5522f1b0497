"""``utility.yaml``: the decision as reviewed data.

total   = sum over terms of weight x calibrated probability [x value column, at most its cap]
utility = total, or with an offset a positive number in the order of totals, x the multipliers that apply
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tasks.contracts.base import (
    AsTuple,
    Closed,
    Description,
    Identifier,
    Identifiers,
    Number,
    Numbers,
    Reference,
    Scalars,
    Slug,
    Text,
    Version,
)
from tasks.contracts.bounds import Bounded, MetricName
from tasks.contracts.conditions import Condition
from tasks.contracts.constrained import Constrained
from tasks.contracts.slate import SlateOverride


def _weight(value: Any) -> Any:
    return value if isinstance(value, dict | Weight) else {"weight": value}


class ValueColumn(Closed):
    """A value column that counts up to a cap, so that one dear item is not worth any number of clicks."""

    column: Identifier
    cap: Annotated[Number, Field(gt=0)]


class Weight(Closed):
    """One term of the sum; a bare number is a weight without a value column."""

    weight: Number
    times: Identifier | ValueColumn | None = None
    why: Text | None = None

    @property
    def column(self) -> str | None:
        """The value column, if there is one."""
        return self.times.column if isinstance(self.times, ValueColumn) else self.times

    @property
    def cap(self) -> float | None:
        """The most that the value column counts, if it has a cap."""
        return self.times.cap if isinstance(self.times, ValueColumn) else None


Weights = dict[Identifier, Annotated[Weight, BeforeValidator(_weight)]]
_Condition = Annotated[Scalars, BeforeValidator(lambda v: v if isinstance(v, list | tuple) else (v,))]


class Offset(Closed):
    """Makes totals positive without changing their order, so that they can be multiplied.

    With the sum N of the absolute values of negative weights and T of all, a negative total S becomes
    scale x (S + N) / T, and any other S + scale.
    """

    scale: Annotated[Number, Field(gt=0)]


class Multiplier(Closed):
    """A factor of the utility where every condition holds; all that hold are multiplied."""

    name: Identifier
    when: Annotated[dict[Identifier, _Condition], Field(min_length=1)]
    factor: Annotated[Number, Field(gt=0)]


class Quantile(Closed):
    """A floor relative to the request's own candidates."""

    quantile: Annotated[Number, Field(gt=0, lt=1)]


Floors = dict[
    Identifier,
    Annotated[Quantile | Annotated[Number, Field(ge=0, le=1)], Field(union_mode="left_to_right")],
]


class HardConstraint(Closed):
    """A filter that fails closed: what is unknown is dropped; ``description`` says what it keeps off."""

    name: Identifier
    description: Description = None
    drop_when: Condition | None = None
    keep_when: Condition | None = None

    @model_validator(mode="after")
    def _drops_or_keeps(self) -> Self:
        if (self.drop_when is None) == (self.keep_when is None):
            raise ValueError("takes exactly one of drop_when, keep_when")
        return self


class PolicyContext(Closed):
    """What holds in place of the base where every condition is met; the first match wins.

    Weights, floors and multipliers replace those of their names or join them, fields of the slate replace
    the slate's. Hard constraints join: a context takes none away.
    """

    name: Identifier
    when: Annotated[dict[Identifier, _Condition], Field(min_length=1)]
    weights: Weights = {}
    relevance_floor: Floors = {}
    multipliers: Annotated[tuple[Multiplier, ...], AsTuple] = ()
    hard_constraints: Annotated[tuple[HardConstraint, ...], AsTuple] = ()
    slate: SlateOverride | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        changes = (self.weights, self.relevance_floor, self.multipliers, self.hard_constraints, self.slate)
        if not any(changes):
            raise ValueError(
                "changes nothing; give weights, relevance_floor, multipliers, hard_constraints or slate"
            )
        return self


class Tier(Closed):
    """A lexicographic tier: a task's probability cut into bands, better bands first.

    Without ``prefer`` the sign of the task's weight decides which bands are better.
    """

    task: Identifier
    cuts: Annotated[Numbers, Field(min_length=1)]
    prefer: Literal["low", "high"] | None = None

    @model_validator(mode="after")
    def _cuts_increase(self) -> Self:
        if list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError("cuts must increase")
        return self


class Guardrail(Bounded):
    """A bound on a metric of the decision, judged by its interval; ``description`` says what it protects."""

    description: Description = None
    by: Identifiers = ()
    anchor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] | None = None
    action: Literal["block", "warn"] = "block"


class Perturbation(Closed):
    """Each user's weights times 1 + size or 1 - size, by a salted hash of user and task."""

    size: Annotated[Number, Field(gt=0, le=0.2)]
    salt: Text


class Primary(Closed):
    """The metric that a release may not lose: its one-sided 95 % lower bound stays above the margin."""

    metric: MetricName = "observed_utility"
    relative_decrease_max: Annotated[Number, Field(ge=0, lt=1)] = 0.05


class UtilitySpec(Closed):
    """The whole file; ``experiment`` names what justified this version."""

    policy: Slug
    version: Version
    owner: Text
    approvals: Annotated[Identifiers, Field(min_length=1)]
    experiment: Reference | None = None
    weights: Annotated[Weights, Field(min_length=1)]
    offset: Offset | None = None
    multipliers: Annotated[tuple[Multiplier, ...], AsTuple] = ()
    perturbation: Perturbation | None = None
    contexts: Annotated[tuple[PolicyContext, ...], AsTuple] = ()
    relevance_floor: Floors = {}
    hard_constraints: Annotated[tuple[HardConstraint, ...], AsTuple] = ()
    lexicographic: Annotated[tuple[Tier, ...], AsTuple] = ()
    primary: Primary = Primary()
    constrained: Constrained | None = None
    guardrails: Annotated[tuple[Guardrail, ...], AsTuple] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """Tasks in the sum: those of the base, then those that a context adds."""
        added = (task for context in self.contexts for task in context.weights)
        return tuple(dict.fromkeys((*self.weights, *added)))
