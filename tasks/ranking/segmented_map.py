"""A calibration map with segment effects: they shift the score's logit, then one map gives a probability.

::

    z = logit(score) + offsets + slopes x (logit(score) - centre)     summed over segments, pairs and triples;
                                                                      slopes below and above it are separate
    probability = map(z)

An unknown or null value or combination has no effect of its own: a triple falls back to its pairs, a pair to
its two segments, a segment to none. The slopes apply between ``low`` and ``high``, and their effect is
constant beyond. Within a segment the map is strictly increasing, because no sum of slopes makes it flatter
than `LEAST_SLOPE`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, unknown
from ..evaluation.segments import UNKNOWN, segment_columns, segment_values
from .maps import (
    CalibrationMap,
    Floats,
    IsotonicMap,
    LogisticMap,
    compress_logits,
    logit,
    map_from_json,
    read_number,
    require_probabilities,
)

Codes = npt.NDArray[np.intp]

MOST_TOGETHER: Final = 3
"""Maximum number of segments whose values have a joint effect."""

LEAST_SLOPE: Final = 0.1
"""Smallest slope of the shifted logit in the score's logit, which keeps the order; chosen by
``benchmarks/calibration.py``."""


@dataclass(frozen=True)
class MappedSegment:
    """The attributes of a surface's segment that a map needs."""

    name: str
    column: str
    bins: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Raise an error unless the bins increase."""
        bins = self.bins
        if bins is not None and not (bins and np.isfinite(bins).all() and (np.diff(bins) > 0).all()):
            raise DataError(f"The bins of segment '{self.name}' must be finite and increase.")


@dataclass(frozen=True)
class Effects:
    """Effects of the values of one segment, or of two or three jointly, on the logit.

    Attributes
    ----------
    of : the segments, at most three.
    levels : the values with an effect, each as long as ``of``.
    offsets : by level, added to the logit at the centre.
    below, above : by level, added to the logit's slope on either side of the centre.
    """

    of: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    offsets: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise an error for ambiguous levels, mismatched figures, or an effect of null."""
        where = f"the effects of {', '.join(self.of) or 'no segment'}"
        if not 1 <= len(self.of) == len(set(self.of)) <= MOST_TOGETHER:
            raise DataError(
                f"Effects belong to one segment, or to two or three different ones; found {list(self.of)}."
            )
        if any(len(words) != len(self.of) for words in self.levels):
            raise DataError(f"A level of {where} names a value for each of its segments.")
        if len(set(self.levels)) < len(self.levels):
            raise DataError(f"A level occurs twice in {where}.")
        if any(UNKNOWN in words for words in self.levels):
            raise DataError(f"'{UNKNOWN}' (a null) has an effect in {where}; a null falls back.")
        if not len(self.levels) == len(self.offsets) == len(self.below) == len(self.above):
            raise DataError(f"As many levels, offsets and slopes are needed in {where}.")
        if not np.isfinite([*self.offsets, *self.below, *self.above]).all():
            raise DataError(f"An offset or slope is not finite in {where}.")


@dataclass(frozen=True)
class Span:
    """Range of the slopes: around ``centre``, between ``low`` and ``high``, in the score's logit."""

    centre: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Raise an error unless the ends are finite and contain the centre."""
        if not (self.low <= self.centre <= self.high and math.isfinite(self.high - self.low)):
            raise DataError(f"A span is finite and holds its centre; found {self}.")

    def distance(self, logits: Floats) -> Floats:
        """Return the distance of logits from the centre, clipped at the ends."""
        return np.clip(logits, self.low, self.high) - self.centre

    def moved(self, logits: Floats, sums: Floats) -> Floats:
        """Shift logits [n] by the sums of their rows' effects [3, n]; order is kept within a segment."""
        offsets, below, above = sums
        distance = self.distance(logits)
        slopes = np.maximum(np.where(distance < 0, below, above), LEAST_SLOPE - 1)
        return logits + offsets + slopes * distance


@dataclass(frozen=True)
class Cells:
    """The combinations of segment values that occur.

    Attributes
    ----------
    of_row : each row's cell [n].
    codes : by segment, each cell's index in ``words``, shape [cells].
    words : by segment, its values as text.
    """

    of_row: Codes
    codes: Mapping[str, Codes]
    words: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, values: Mapping[str, pd.Categorical], rows: int) -> "Cells":
        """Number the combinations of the values from `segment_values`."""
        of_row = np.zeros(rows, dtype=np.int64)
        for column in values.values():
            of_row = pd.factorize(of_row * len(column.categories) + column.codes)[0]
        count = int(of_row.max()) + 1 if rows else 0
        first = np.empty(count, dtype=np.intp)
        first[of_row[::-1]] = np.arange(rows)[::-1]
        codes = {name: np.asarray(column.codes, np.intp)[first] for name, column in values.items()}
        return cls(of_row, codes, {name: tuple(column.categories) for name, column in values.items()})

    def __len__(self) -> int:
        return len(next(iter(self.codes.values()), ()))


def sum_effects(effects: Sequence[Effects], cells: Cells) -> Floats:
    """Add up offsets, slopes below and slopes above the centre, shape [3, cells].

    Examples
    --------
    >>> ads = Effects(("source",), (("ads",),), (1.0,), (0.25,), (0.5,))
    >>> cells = Cells(np.array([0, 1]), {"source": np.array([0, 1])}, {"source": ("ads", "feed")})
    >>> sum_effects([ads], cells)
    array([[1.  , 0.  ],
           [0.25, 0.  ],
           [0.5 , 0.  ]])
    """
    sums = np.zeros((3, len(cells)))
    for one in effects:
        figures = np.array([one.offsets, one.below, one.above])
        sums += np.column_stack([figures, np.zeros(3)])[:, _find_levels(one, cells)]
    return sums


def _find_levels(effects: Effects, cells: Cells) -> Codes:
    """Return each cell's level; the number of levels if it has none."""
    known = len(effects.levels)
    key, keys = np.zeros(len(cells), dtype=np.int64), np.zeros(known, dtype=np.int64)
    missing = np.zeros(len(cells), dtype=np.bool_)
    for position, name in enumerate(effects.of):
        place = {word: i for i, word in enumerate(dict.fromkeys(v[position] for v in effects.levels))}
        code = np.array([place.get(word, -1) for word in cells.words[name]], dtype=np.intp)[cells.codes[name]]
        key = key * len(place) + code
        keys = keys * len(place) + np.array([place[v[position]] for v in effects.levels], dtype=np.intp)
        missing |= code < 0
    if not known:
        return np.zeros(len(cells), dtype=np.intp)
    order = np.argsort(keys)
    level = order[np.minimum(np.searchsorted(keys, key, sorter=order), known - 1)]
    return np.where(missing | (keys[level] != key), known, level)


@dataclass(frozen=True)
class SegmentedMap:
    """Effects of segments on the logit of the score, then a map.

    Examples
    --------
    >>> source = MappedSegment("source", "source")
    >>> ads = Effects(("source",), (("ads",),), (1.0,), (0.0,), (0.0,))
    >>> found = SegmentedMap((source,), (ads,), Span(0.0, -5.0, 5.0), LogisticMap(slope=1.0, intercept=0.0))
    >>> found.apply([0.5, 0.5], pd.DataFrame({"source": ["ads", None]})).round(3)
    array([0.731, 0.5  ])
    """

    segments: tuple[MappedSegment, ...]
    effects: tuple[Effects, ...]
    span: Span
    map: IsotonicMap | LogisticMap

    kind = "segmented"

    def __post_init__(self) -> None:
        """Raise an error for effects that belong to no segment or are ambiguous."""
        known = [segment.name for segment in self.segments]
        if not known or len(set(known)) < len(known):
            raise DataError("A segmented map has a segment, and each once.")
        for effects in self.effects:
            for name in effects.of:
                if name not in known:
                    raise DataError(unknown("segment", name, known, where="the effects of a segmented map"))
        of = [frozenset(effects.of) for effects in self.effects]
        if len(set(of)) < len(of):
            raise DataError("A segmented map holds the effects of the same segments once.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the segments are computed from."""
        return segment_columns(self.segments)

    def apply(self, scores: npt.ArrayLike, frame: pd.DataFrame) -> Floats:
        """Map scores [n] in [0, 1] of n candidates to probabilities.

        Parameters
        ----------
        frame : the candidates' rows [n] with ``columns``.
        """
        logits = compress_logits(logit(require_probabilities(scores)))
        if logits.shape != (len(frame),):
            raise DataError(f"{logits.shape} scores do not go with {len(frame)} rows.")
        cells = Cells.of(segment_values(frame, self.segments), len(frame))
        sums = sum_effects(self.effects, cells)[:, cells.of_row]
        return self.map.of_logits(self.span.moved(logits, sums))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `calibrator_from_json` reads back."""
        return {
            "kind": self.kind,
            "segments": [
                {"name": s.name, "column": s.column, "bins": None if s.bins is None else list(s.bins)}
                for s in self.segments
            ],
            "effects": [
                {
                    "of": list(e.of),
                    "levels": [list(words) for words in e.levels],
                    "offsets": list(e.offsets),
                    "below": list(e.below),
                    "above": list(e.above),
                }
                for e in self.effects
            ],
            "span": {"centre": self.span.centre, "low": self.span.low, "high": self.span.high},
            "map": self.map.to_json(),
        }


Calibrator = CalibrationMap | SegmentedMap


def apply_calibrator(calibrator: Calibrator, scores: npt.ArrayLike, frame: pd.DataFrame) -> Floats:
    """Apply a map to the scores of a frame's rows, [n]; only a segmented map reads the frame.

    Examples
    --------
    >>> apply_calibrator(LogisticMap(slope=1.0, intercept=0.0), [0.25], pd.DataFrame(index=range(1))).round(9)
    array([0.25])
    """
    return (
        calibrator.apply(scores, frame) if isinstance(calibrator, SegmentedMap) else calibrator.apply(scores)
    )


def calibrator_from_json(plain: object) -> Calibrator:
    """Read any map from JSON, segmented or not.

    Examples
    --------
    >>> calibrator_from_json({"kind": "logistic", "slope": 1.0, "intercept": -0.5})
    LogisticMap(slope=1.0, intercept=-0.5)
    """
    if not (isinstance(plain, Mapping) and plain.get("kind") == SegmentedMap.kind):
        return map_from_json(plain)
    _, segments, effects, span, inner = _fields(
        plain, ("kind", "segments", "effects", "span", "map"), "A segmented map"
    )
    inner_map = map_from_json(inner)
    if not isinstance(inner_map, IsotonicMap | LogisticMap):
        raise DataError(f"A segmented map ends in a map to probabilities, not in a {inner_map.kind} map.")
    return SegmentedMap(
        tuple(_segment(item) for item in _list(segments, "segments")),
        tuple(_effects(item) for item in _list(effects, "effects")),
        Span(*(read_number(v, "span") for v in _fields(span, ("centre", "low", "high"), "A span"))),
        inner_map,
    )


def _segment(plain: object) -> MappedSegment:
    name, column, bins = _fields(plain, ("name", "column", "bins"), "A segment")
    cuts = None if bins is None else tuple(read_number(v, "bins") for v in _list(bins, "bins"))
    return MappedSegment(_text(name, "name"), _text(column, "column"), cuts)


def _effects(plain: object) -> Effects:
    of, levels, *figures = _fields(plain, ("of", "levels", "offsets", "below", "above"), "Effects")
    return Effects(
        tuple(_text(name, "of") for name in _list(of, "of")),
        tuple(tuple(_text(w, "levels") for w in _list(words, "levels")) for words in _list(levels, "levels")),
        *(
            tuple(read_number(v, "offsets and slopes") for v in _list(of_all, "offsets"))
            for of_all in figures
        ),
    )


def _fields(plain: object, names: Sequence[str], what: str) -> list[Any]:
    if not isinstance(plain, Mapping) or set(plain) != set(names):
        names_in_file = ", ".join(map(str, plain)) if isinstance(plain, Mapping) else type(plain).__name__
        raise DataError(f"{what} has the fields {', '.join(names)}; found {names_in_file or 'none'}.")
    return [plain[name] for name in names]


def _list(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise DataError(f"{name} of a segmented map must be a list.")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{name} of a segmented map holds {value!r}, which is not text.")
    return value
