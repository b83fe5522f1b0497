"""Subject, segment and threshold of a figure or a verdict: values with fields and a printed form.

::

    Subject("rate", task="hide")                              hide_rate
    Subject("auc_drop", task="click", baseline=SAME_DAY)      click.auc_drop vs the champion's recipe
    Subject("leak", constraint="legal")                       legal
    Segment("source", "ads")                                  source=ads
    Threshold(high=60, unit="days")                           <= 60 days

Code compares the fields; the printed form is for people and is never parsed.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, PlainSerializer

from tasks.contracts.metrics import NAMES, OF_COLUMNS, Metric, MetricKind
from tasks.evaluation.documents import CLOSED

SAME_DAY: Final = "the champion's recipe"
"""Baseline of a comparison of recipes trained as of the same day."""
RATCHET: Final = "four promotions ago"
"""Baseline of the primary metric compared with the champion of four promotions ago."""


@dataclass(frozen=True, order=True)
class Subject:
    """Subject of a figure or a verdict.

    Attributes
    ----------
    metric : the kind of a metric of the decision, or a gate's own name such as ``auc_drop``.
    task, parent : the task, and the parent task that its outcome is conditional on.
    column, value : for a metric of the mix in the slots.
    feature : the single feature, or the proxy task, whose order or values are measured.
    constraint : the hard constraint.
    baseline : the baseline or owner, if it is not the baseline of the decision.

    Examples
    --------
    >>> print(Subject("given", task="return", parent="buy"), Subject("rows", task="click"))
    return_given_buy_rate click.rows
    >>> print(Subject("auc", task="click", feature="price"), Subject("observed_utility", baseline=RATCHET))
    click.auc of price observed_utility vs four promotions ago
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    metric: str
    task: str = ""
    parent: str = ""
    column: str = ""
    value: str = ""
    feature: str = ""
    constraint: str = ""
    baseline: str = ""

    @classmethod
    def of(cls, metric: Metric) -> "Subject":
        """Return the subject of a metric of the decision."""
        named, value = metric.subject or "", metric.value or ""
        if metric.kind in OF_COLUMNS:
            return cls(metric.kind.value, column=named, value=value)
        return cls(metric.kind.value, task=named, parent=value)

    @property
    def decided(self) -> Metric | None:
        """The metric of the decision with this subject; None for subjects that only a gate measures."""
        if self.metric not in NAMES or self.feature or self.constraint:
            return None
        return Metric(
            MetricKind(self.metric), self.task or self.column or None, self.parent or self.value or None
        )

    @property
    def name(self) -> str:
        """Name of the metric, without its baseline."""
        if (metric := self.decided) is not None:
            return metric.name
        if self.constraint:
            return self.constraint
        if not self.task:
            return f"{self.metric}.{self.feature}" if self.feature else self.metric
        named = f"{self.task}.{self.metric}"
        return f"{named} of {self.feature}" if self.feature else named

    def to_json(self) -> dict[str, str]:
        """Return the fields that differ from their defaults."""
        return _stated_fields(self)

    def __str__(self) -> str:
        if not self.baseline:
            return self.name
        return f"{self.name} {'of' if self.constraint else 'vs'} {self.baseline}"


@dataclass(frozen=True, order=True)
class Segment:
    """The rows where a segment column has a value; all rows if no column is given.

    Examples
    --------
    >>> print(Segment("source", "ads"), ALL)
    source=ads all
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    column: str = ""
    value: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the fields that differ from their defaults."""
        return _stated_fields(self)

    def __str__(self) -> str:
        return f"{self.column}={self.value}" if self.column else "all"


ALL: Final = Segment()
"""All rows, as a segment."""


@dataclass(frozen=True)
class Threshold:
    """The values that a verdict allows: a closed range, open where it has no end, or a rule in words.

    ``strict`` excludes the ends. ``unit``: the unit of the ends, in the plural; ``words``: text of a range
    with another format, such as the change ``rise of 10.0%``, and of a rule without a number.

    Examples
    --------
    >>> print(Threshold(high=60, unit="days"), Threshold(0.9, 1.1), Threshold(low=0, strict=True), sep=", ")
    <= 60 days, 0.9 to 1.1, > 0
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    words: str = ""
    strict: bool = False

    @property
    def bounded(self) -> bool:
        """Whether at least one end is finite."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    @property
    def sign(self) -> str:
        """The sign before the only end; empty for two ends or none."""
        if math.isfinite(self.low) == math.isfinite(self.high):
            return ""
        return ("<" if math.isfinite(self.high) else ">") + ("" if self.strict else "=")

    @property
    def end(self) -> float:
        """The upper end, or the lower end if there is no upper one."""
        return self.high if math.isfinite(self.high) else self.low

    def __str__(self) -> str:
        if self.words or not self.bounded:
            return self.words
        if not self.sign:
            return f"{_write_end(self.low)} to {_write_end(self.high)}"
        return f"{self.sign} {_write_end(self.end)} {self.unit}".rstrip()


NO_THRESHOLD: Final = Threshold()
"""No requirement."""


def _stated_fields(value: Any) -> dict[str, Any]:
    found = ((field.name, getattr(value, field.name), field.default) for field in fields(value))
    return {name: held for name, held, default in found if held != default}


STATED: Final = PlainSerializer(_stated_fields, return_type=dict[str, Any])
"""Documents contain the fields that differ from their defaults."""


def _write_end(end: float) -> str:
    return f"{end:.3g}" if abs(end) < 1 else f"{end:g}"
