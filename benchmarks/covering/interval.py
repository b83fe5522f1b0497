"""An interval next to the truth that it should contain."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and the true value."""

    low: float
    high: float
    truth: float
