"""``constrained`` of ``utility.yaml``: what `equipoise tune` solves for weights; the weights alone decide.

::

    maximise     a metric of the decision, relative to the baseline
    subject_to   bounds on others; each is also an axis of the front
    ranges       term -> the least and the greatest weight that may be proposed
"""

from collections import Counter
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tasks.contracts.base import AsTuple, Closed, Identifier, Range
from tasks.contracts.bounds import Bounded, MetricName


def _one_signed(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if not low < high:
        raise ValueError(f"the range [{low:g}, {high:g}] must increase")
    if low < 0 < high:
        raise ValueError(f"the range [{low:g}, {high:g}] holds both signs: a term is a gain or a cost")
    return ends


class Constrained(Closed):
    """The metric to raise, the bounds that hold meanwhile, and how far each weight may move."""

    maximise: MetricName
    subject_to: Annotated[tuple[Bounded, ...], AsTuple, Field(min_length=1, max_length=4)]
    ranges: Annotated[dict[Identifier, Annotated[Range, AfterValidator(_one_signed)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _metrics_are_named_once(self) -> Self:
        counted = Counter((self.maximise, *(one.metric for one in self.subject_to)))
        if twice := sorted(name for name, times in counted.items() if times > 1):
            raise ValueError(f"names {', '.join(twice)} more than once: give all bounds of a metric together")
        return self
