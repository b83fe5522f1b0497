"""Bounds on a metric of the decision: what guardrails judge and what tuned weights are subject to."""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from tasks.contracts.base import Closed, Number

BOUNDS: Final = (
    "max",
    "min",
    "relative_increase_max",
    "relative_increase_min",
    "relative_decrease_max",
)
"""The bounds that a metric may have."""

MetricName = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(:[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,100})?$")
]
"""A metric's name; behind a colon a task, or a column's value on one line."""


class Bounded(Closed):
    """A metric and its bounds.

    ``relative_increase_min`` demands an improvement: a candidate that equals its baseline fails it.
    """

    metric: MetricName
    max: Number | None = None
    min: Number | None = None
    relative_increase_max: Annotated[Number, Field(ge=0)] | None = None
    relative_increase_min: Annotated[Number | None, Field(ge=0)] = None
    relative_decrease_max: Annotated[Number, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if all(getattr(self, bound) is None for bound in BOUNDS):
            raise ValueError(f"has no bound; give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}")
        return self
