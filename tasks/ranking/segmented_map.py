"""A map that knows segments: effects of their values move the score, then one map makes it a probability.

::

    z = logit(score) + offsets + slopes x (logit(score) - centre)     summed over segments, pairs and triples;
                                                                      slopes below and above the centre apart
    probability = map(z)

A value or a combination that the map does not know, a null one too, has no effect of its own: a triple falls
back to its pairs, a pair to its two segments, a segment to none. The slopes act between ``low`` and ``high``
and are held there beyond. Within a segment the map is strictly increasing, because no sum of slopes makes it
flatter than `LEAST_SLOPE`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pandas as pd

from ..errors import DataError, unknown
from ..evaluation.segments import segment_columns, segment_values
from .map_json import map_from_json, read_number
from .maps import (
    CalibrationMap,
    Floats,
    IsotonicMap,
    LogisticMap,
    compress_logits,
    logit,
    require_probabilities,
)
from .segment_effects import Cells, Effects, MappedSegment, Span, sum_effects


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
        """Refuse effects that belong to no segment or are ambiguous."""
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
        """The columns that the segments are made from."""
        return segment_columns(self.segments)

    def apply(self, scores: npt.ArrayLike, frame: pd.DataFrame) -> Floats:
        """Map scores [n] in [0, 1] of n candidates to probabilities.

        Parameters
        ----------
        frame : the candidates' rows [n] with ``columns``.

        Raises
        ------
        DataError
            A score is not a probability, a column is missing, or there is not a row for each score.
        """
        logits = compress_logits(logit(require_probabilities(scores)))
        if logits.shape != (len(frame),):
            raise DataError(f"{logits.shape} scores do not go with {len(frame)} rows.")
        cells = Cells.of(segment_values(frame, self.segments), len(frame))
        sums = sum_effects(self.effects, cells)[:, cells.of_row]
        return self.map.of_logits(self.span.moved(logits, sums))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `calibrator_from_json` reads back to the same map."""
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
    """Apply a map to the scores of a frame's rows, [n]; only a segmented one looks at the frame.

    Examples
    --------
    >>> apply_calibrator(LogisticMap(slope=1.0, intercept=0.0), [0.25], pd.DataFrame(index=range(1))).round(9)
    array([0.25])
    """
    return (
        calibrator.apply(scores, frame) if isinstance(calibrator, SegmentedMap) else calibrator.apply(scores)
    )


def calibrator_from_json(plain: object) -> Calibrator:
    """Read any map back, segmented or not.

    Raises
    ------
    DataError
        Not an object of a known kind with exactly its fields, or figures that make no map.

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
