"""Calibration maps from raw scores to probabilities and values, stored as plain data in a release.

::

    kind        from -> to                    between knots              beyond them
    isotonic    probability -> probability    linear in the logit        a slope of 0.01 in the logit
    logistic    probability -> probability    linear in the logit everywhere
    mean        value -> positive value       linear in the logarithm    in proportion
    identity    any number -> itself

Every map is strictly increasing, so distinct scores stay distinct. No probability is 0 or 1.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ..errors import DataError, unknown

Floats = npt.NDArray[np.float64]

TAIL_SLOPE: Final = 0.01
"""Slope in the logit beyond the fitted scores of an isotonic map, small but positive to keep the order.
Chosen by ``benchmarks/calibration.py``."""

EXTREME: Final = 30.0
"""Logits beyond this are compressed: they order scores, but their size is not informative."""

_LEAST = float(np.finfo(np.float64).tiny)
_MOST = 1 - float(np.finfo(np.float64).epsneg)
_LOWEST, _HIGHEST = -700.0, 36.0  # logits whose probabilities are still strictly between 0 and 1
_LIMIT: Final = 700.0  # logarithms whose exponential is still finite and above 0


def logit(probabilities: npt.ArrayLike) -> Floats:
    """Log odds; 0 and 1 are replaced by the nearest float inside.

    Examples
    --------
    >>> logit([0.5, 0.75]).round(6)
    array([0.      , 1.098612])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    p = np.minimum(np.maximum(p, _LEAST), _MOST)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)


def expit(logits: npt.ArrayLike) -> Floats:
    """Probability of log odds, strictly between 0 and 1.

    Examples
    --------
    >>> expit([0.0, np.log(3.0)]).round(6)
    array([0.5 , 0.75])
    """
    z = np.minimum(np.maximum(np.asarray(logits, dtype=np.float64), _LOWEST), _HIGHEST)
    return np.asarray(1 / (1 + np.exp(-z)), dtype=np.float64)


def compress_logits(logits: Floats) -> Floats:
    """Compress logits beyond `EXTREME` logarithmically: a score of exactly 0 is at -37 and not at -708.

    Examples
    --------
    >>> compress_logits(np.array([-12.0, 30.0, 31.0])).round(6)
    array([-12.      ,  30.      ,  30.693147])
    """
    size = np.abs(logits)
    if (size <= EXTREME).all():
        return logits
    beyond = np.maximum(size - EXTREME, 0)
    return np.asarray(np.clip(logits, -EXTREME, EXTREME) + np.sign(logits) * np.log1p(beyond))


class _Plain:
    """Base of all maps: fields as plain JSON."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `map_from_json` reads back."""
        fields = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        return {"kind": self.kind, **fields}


class _ToProbability(_Plain, ABC):
    """A map of probabilities, applied to their log odds."""

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Map scores in [0, 1], of any shape, to probabilities.

        Raises
        ------
        DataError
            A score is not a probability.
        """
        return self.of_logits(logit(require_probabilities(scores)))

    @abstractmethod
    def of_logits(self, logits: Floats) -> Floats:
        """Map log odds, which resolve scores near 1 better than probabilities do."""


@dataclass(frozen=True)
class IsotonicMap(_ToProbability):
    """Knots of scores and probabilities, both strictly increasing and strictly between 0 and 1.

    Examples
    --------
    >>> IsotonicMap((0.1, 0.5), (0.2, 0.5)).apply(np.array([0.1, 0.5, 1.0])).round(3)
    array([0.2  , 0.5  , 0.579])
    """

    knots_x: tuple[float, ...]
    knots_y: tuple[float, ...]

    kind = "isotonic"

    def __post_init__(self) -> None:
        """Raise an error unless the knots are increasing probabilities."""
        _check_knots(self)
        if min(self.knots_x[0], self.knots_y[0]) <= 0 or max(self.knots_x[-1], self.knots_y[-1]) >= 1:
            raise DataError("An isotonic map's knots must lie strictly between 0 and 1.")

    def of_logits(self, logits: Floats) -> Floats:
        """Map log odds."""
        return expit(
            _interpolate(compress_logits(logits), logit(self.knots_x), logit(self.knots_y), TAIL_SLOPE)
        )


@dataclass(frozen=True)
class LogisticMap(_ToProbability):
    """A straight line in the logit with a positive slope, for tasks with few positives.

    Examples
    --------
    >>> LogisticMap(slope=1.0, intercept=0.0).apply(np.array([0.25])).round(9)
    array([0.25])
    """

    slope: float
    intercept: float

    kind = "logistic"

    def __post_init__(self) -> None:
        """Raise an error unless the slope is positive."""
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise DataError(
                "A logistic map needs a finite intercept and a finite slope above 0; "
                f"found {self.intercept} and {self.slope}."
            )

    def of_logits(self, logits: Floats) -> Floats:
        """Map log odds."""
        return expit(self.slope * compress_logits(logits) + self.intercept)


@dataclass(frozen=True)
class MeanMap(_Plain):
    """Knots of predicted and mean observed values, both positive and strictly increasing.

    A single knot multiplies every prediction by one factor. A regression may predict negative values: below
    ``floor`` f a prediction x is replaced by f^2 / (2f - x), which is positive and still increasing.

    Examples
    --------
    >>> MeanMap((2.0,), (3.0,), floor=0.1).apply(np.array([2.0, 4.0, -1.0])).round(4)
    array([3.    , 6.    , 0.0125])
    """

    knots_x: tuple[float, ...]
    knots_y: tuple[float, ...]
    floor: float

    kind = "mean"

    def __post_init__(self) -> None:
        """Raise an error unless the knots are positive and increasing."""
        _check_knots(self)
        if not (math.isfinite(self.floor) and min(self.floor, self.knots_x[0], self.knots_y[0]) > 0):
            raise DataError("A mean map's knots and floor must be above 0.")

    def apply(self, predictions: npt.ArrayLike) -> Floats:
        """Map finite predictions, of any shape, to positive values.

        Raises
        ------
        DataError
            A prediction is not finite.
        """
        logs = np.log(lift_to_floor(_require_finite(predictions), self.floor))
        mapped = _interpolate(logs, np.log(self.knots_x), np.log(self.knots_y), 1.0)
        return np.asarray(np.exp(np.clip(mapped, -_LIMIT, _LIMIT)), dtype=np.float64)


@dataclass(frozen=True)
class IdentityMap(_Plain):
    """Unchanged scores: a quantile and an order within the request are not calibrated."""

    kind = "identity"

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Return finite scores of any shape.

        Raises
        ------
        DataError
            A score is not finite.
        """
        return _require_finite(scores)


CalibrationMap = IsotonicMap | LogisticMap | MeanMap | IdentityMap


def lift_to_floor(values: Floats, floor: float) -> Floats:
    """Map values below the floor to between 0 and the floor, keeping their order.

    Examples
    --------
    >>> lift_to_floor(np.array([3.0, 0.0, -2.0]), 1.0)
    array([3.  , 0.5 , 0.25])
    """
    low = np.minimum(values, floor)
    return np.where(values < floor, floor * (floor / (2 * floor - low)), values)


def _check_knots(knots: IsotonicMap | MeanMap) -> None:
    x, y = knots.knots_x, knots.knots_y
    if not x or len(x) != len(y):
        raise DataError(
            f"A {knots.kind} map needs as many knots_x as knots_y, at least one; found {len(x)}, {len(y)}."
        )
    if not all(map(math.isfinite, (*x, *y))):
        raise DataError(f"A {knots.kind} map's knots must be finite.")
    if not ((np.diff(x) > 0).all() and (np.diff(y) > 0).all()):
        raise DataError(f"A {knots.kind} map's knots must be strictly increasing.")


def _require_finite(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise DataError(f"{int((~np.isfinite(array)).sum())} of {array.size} scores are not finite.")
    return array


def require_probabilities(scores: npt.ArrayLike) -> Floats:
    """Return scores as an array; raise an error unless all are probabilities.

    Examples
    --------
    >>> require_probabilities([0, 0.5])
    array([0. , 0.5])
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        _require_finite(array)
        raise DataError(f"Scores must lie in [0, 1]; found {array.min():g} to {array.max():g}.")
    return array


def _interpolate(x: Floats, knots_x: Floats, knots_y: Floats, tail: float) -> Floats:
    """Interpolate between knots, and continue with slope ``tail`` beyond them."""
    inside = np.interp(x, knots_x, knots_y)
    return inside + tail * (np.minimum(x - knots_x[0], 0) + np.maximum(x - knots_x[-1], 0))


_KINDS: Final[Mapping[str, type[CalibrationMap]]] = {
    m.kind: m for m in (IsotonicMap, LogisticMap, MeanMap, IdentityMap)
}


def map_from_json(plain: object) -> CalibrationMap:
    """Read a map from JSON.

    Examples
    --------
    >>> map_from_json({"kind": "logistic", "slope": 1.0, "intercept": -0.5})
    LogisticMap(slope=1.0, intercept=-0.5)
    """
    if not isinstance(plain, Mapping):
        raise DataError(f"A calibration map is a JSON object, not {type(plain).__name__}.")
    kind = plain.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DataError(unknown("kind", str(kind), _KINDS, where="a calibration map"))
    map_type = _KINDS[kind]
    fields = {name: value for name, value in plain.items() if name != "kind"}
    known = tuple(map_type.__dataclass_fields__)
    if set(fields) != set(known):
        raise DataError(
            f"A {kind} map has the fields {', '.join(known)}; found {', '.join(map(str, fields)) or 'none'}."
        )
    return map_type(**{name: _read_field(value, name) for name, value in fields.items()})


def _read_field(value: object, name: str) -> Any:
    """Accept a number, or a list of numbers for knots; a bool is neither."""
    if name.startswith("knots_"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise DataError(f"{name} of a calibration map must be a list of numbers.")
        return tuple(read_number(item, name) for item in value)
    return read_number(value, name)


def read_number(value: object, name: str) -> float:
    """Accept a JSON number; a bool is not one.

    Examples
    --------
    >>> read_number(1, "slope")
    1.0
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name} of a calibration map holds {value!r}, which is not a number.")
    try:
        return float(value)
    except OverflowError as error:
        raise DataError(f"{name} of a calibration map holds a number too large.") from error
