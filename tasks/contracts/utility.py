"""``utility.yaml``: the decision as reviewed data.

utility = sum over terms of weight x calibrated probability [x value column]
"""

from collections import Counter
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tasks.contracts.base import (
    AsTuple,
    Closed,
    Identifier,
    Identifiers,
    Number,
    Numbers,
    Scalar,
    Slug,
    Text,
    Version,
)


def _weight(value: Any) -> Any:
    return value if isinstance(value, dict | Weight) else {"weight": value}


class Weight(Closed):
    """One term of the sum; a bare number is a weight without a value column."""

    weight: Number
    times: Identifier | None = None
    why: Text | None = None


Weights = dict[Identifier, Annotated[Weight, BeforeValidator(_weight)]]
_Condition = Annotated[
    tuple[Scalar, ...],
    BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v if isinstance(v, tuple) else (v,)),
    Field(min_length=1),
]


class PolicyContext(Closed):
    """Weights that replace the base ones where every condition holds; first match wins."""

    name: Identifier
    when: Annotated[dict[Identifier, _Condition], Field(min_length=1)]
    weights: Annotated[Weights, Field(min_length=1)]


class Quantile(Closed):
    """A floor relative to the request's own candidates."""

    quantile: Annotated[Number, Field(gt=0, lt=1)]


class Condition(Closed):
    """A test on one column; exactly one of equals, one_of, above, below."""

    column: Identifier
    equals: Scalar | None = None
    one_of: Annotated[tuple[Scalar, ...], AsTuple] | None = None
    above: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _has_one_test(self) -> Self:
        if sum(x is not None for x in (self.equals, self.one_of, self.above, self.below)) != 1:
            raise ValueError("takes exactly one of equals, one_of, above, below")
        return self


class HardConstraint(Closed):
    """A filter that fails closed: what is unknown is dropped."""

    name: Identifier
    drop_when: Condition | None = None
    keep_when: Condition | None = None

    @model_validator(mode="after")
    def _drops_or_keeps(self) -> Self:
        if (self.drop_when is None) == (self.keep_when is None):
            raise ValueError("takes exactly one of drop_when, keep_when")
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


BOUNDS: Final = (
    "max",
    "min",
    "relative_increase_max",
    "relative_increase_min",
    "relative_decrease_max",
)
"""The bounds that a guardrail may have."""

MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(:[^\s:]{1,100})?$")]


def _is_none(value: object) -> bool:
    return value is None


class Guardrail(Closed):
    """A bound on a metric of the decision, judged by its interval.

    ``relative_increase_min`` demands an improvement: a candidate that equals its baseline fails it.
    """

    metric: MetricName
    max: Number | None = None
    min: Number | None = None
    relative_increase_max: Annotated[Number, Field(ge=0)] | None = None
    relative_increase_min: Annotated[Number | None, Field(ge=0, exclude_if=_is_none)] = None
    relative_decrease_max: Annotated[Number, Field(ge=0, le=1)] | None = None
    by: Identifiers = ()
    anchor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] | None = None
    action: Literal["block", "warn"] = "block"

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if all(getattr(self, bound) is None for bound in BOUNDS):
            raise ValueError(f"has no bound; give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}")
        return self


class Primary(Closed):
    """The metric that a release may not lose: its one-sided 95 % lower bound stays above the margin."""

    metric: MetricName = "observed_utility"
    relative_decrease_max: Annotated[Number, Field(ge=0, lt=1)] = 0.05


def _is_default_primary(primary: Primary) -> bool:
    return primary == Primary()


class UtilitySpec(Closed):
    """The whole file."""

    policy: Slug
    version: Version
    owner: Text
    approvals: Annotated[Identifiers, Field(min_length=1)]
    weights: Annotated[Weights, Field(min_length=1)]
    contexts: Annotated[tuple[PolicyContext, ...], AsTuple] = ()
    relevance_floor: dict[
        Identifier,
        Annotated[
            Quantile | Annotated[Number, Field(ge=0, le=1)],
            Field(union_mode="left_to_right"),
        ],
    ] = {}
    hard_constraints: Annotated[tuple[HardConstraint, ...], AsTuple] = ()
    lexicographic: Annotated[tuple[Tier, ...], AsTuple] = ()
    primary: Annotated[Primary, Field(exclude_if=_is_default_primary)] = Primary()
    guardrails: Annotated[tuple[Guardrail, ...], AsTuple] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind, named in (("contexts", self.contexts), ("hard_constraints", self.hard_constraints)):
            counted = Counter(one.name for one in named)
            if twice := sorted(name for name, times in counted.items() if times > 1):
                raise ValueError(
                    f"{kind} name {', '.join(twice)} more than once: give each a name of its own"
                )
        return self
