"""Scales of drawings: where the values of an axis lie in pixels, and which of them are named.

::

    linear         0     2     4     6     steps of 1, 2 or 5 times a power of ten
    logarithmic    .001    .01    .1       decades, and between them as many as there is room for
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MANTISSAS: Final = (tuple(range(1, 10)), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
"""What is named of each decade, finest first."""


@dataclass(frozen=True)
class Tick:
    """A named value of an axis, in pixels."""

    at: float
    words: str


@dataclass(frozen=True)
class Scale:
    """An axis from the value ``low`` at the pixel ``start`` to ``high`` at ``end``.

    ``low`` is below ``high``, and above 0 where the axis is logarithmic; ``end`` may lie before ``start``.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, values: npt.ArrayLike) -> Floats:
        """Return the pixels of values [n], to a tenth; what lies beyond an end is drawn at that end.

        Examples
        --------
        >>> Scale(0.0, 2.0, 100.0, 0.0).place([0.0, 0.5, 9.0]).tolist()
        [100.0, 75.0, 0.0]
        >>> Scale(0.01, 1.0, 0.0, 100.0, logarithmic=True).place([0.0, 0.1, 1.0]).tolist()
        [0.0, 50.0, 100.0]
        """
        low, high, inside = (self._straight(x) for x in (self.low, self.high, self._clip(values)))
        pixels: Floats = np.round(self.start + (self.end - self.start) * (inside - low) / (high - low), 1)
        return pixels

    def ticks(self, apart: float) -> tuple[Tick, ...]:
        """Return the values that are named, which lie at least so many pixels apart.

        Examples
        --------
        >>> [tick.words for tick in Scale(0.0, 1234.0, 0.0, 100.0).ticks(30)]
        ['0', '500', '1,000']
        >>> [tick.words for tick in Scale(0.004, 0.3, 0.0, 100.0, logarithmic=True).ticks(25)]
        ['0.01', '0.03', '0.1', '0.3']
        """
        values = self._log_values(apart) if self.logarithmic else []
        if len(values) < 2:  # an axis of one named value says nothing of its scale
            values = self._linear_values(apart)
        places = self.place(values).tolist()
        return tuple(Tick(at, f"{value:,.10g}") for at, value in zip(places, values, strict=True))

    def _linear_values(self, apart: float) -> list[float]:
        """Return multiples of the smallest step of 1, 2 or 5 times a power of ten that is wide enough.

        Where the axis holds none of them, it names the last multiple of half the step.
        """
        least = apart * (self.high - self.low) / abs(self.end - self.start)
        power = 10.0 ** np.floor(np.log10(least))
        step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= least)
        numbers = self._multiples(step)
        if not len(numbers):
            step /= 2
            numbers = self._multiples(step)[-1:]
        return [float(f"{number * step:.10g}") + 0.0 for number in numbers]  # no -0

    def _multiples(self, step: float) -> Floats:
        return np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1)

    def _log_values(self, apart: float) -> list[float]:
        """Return the most values of one pattern that lie far enough apart."""
        choices = _log_choices(self.low, self.high)
        return next(values for values in choices if np.all(np.abs(np.diff(self.place(values))) >= apart))

    def _clip(self, values: npt.ArrayLike) -> Floats:
        return np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)

    def _straight(self, values: npt.ArrayLike) -> Floats:
        return np.log(values) if self.logarithmic else np.asarray(values, dtype=np.float64)


def outline_steps(tops: npt.ArrayLike, edges: npt.ArrayLike, *, base: float) -> str:
    """Return the path of a histogram: its bars [n] between their edges [n + 1], all in pixels.

    Examples
    --------
    >>> outline_steps([8.0, 5.0], [0.0, 10.0, 20.0], base=9.0)
    'M0,9V8H10V5H20V9Z'
    """
    heights, places = np.asarray(tops).tolist(), np.asarray(edges).tolist()
    bars = (f"V{top:g}H{right:g}" for top, (_, right) in zip(heights, pairwise(places), strict=True))
    return f"M{places[0]:g},{base:g}{''.join(bars)}V{base:g}Z"


def _log_choices(low: float, high: float) -> Iterator[list[float]]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for mantissas in _MANTISSAS:
        named = (float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas)
        yield [value for value in named if low <= value <= high]
    for stride in range(2, len(decades) + 2):
        named = (float(f"1e{decade}") for decade in decades if decade % stride == 0)
        yield [value for value in named if low <= value <= high]
