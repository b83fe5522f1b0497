"""The segments of a surface: a column's values, or a numeric column cut into bins.

::

    bins [1, 7, 30]     <1   1-7   7-30   >=30     null: unknown

Reports, gates and the maps of a release share this format.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from sys import float_info
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, unknown

UNKNOWN: Final = "unknown"
"""The segment of rows whose column is null."""

_EXACT: Final = 2**53
"""Largest bound below which a float represents every whole number."""


class SegmentColumn(Protocol):
    """A column whose values are segments; a numeric column is cut at the bins.

    It is implemented by a surface's contract, and by a calibrator that is packaged without it.
    """

    @property
    def name(self) -> str:
        """Name of the segment."""

    @property
    def column(self) -> str:
        """Column from which it is computed."""

    @property
    def bins(self) -> Sequence[float] | None:
        """Bounds of the ranges, increasing, or None."""


def spell_value(value: object) -> str:
    """Format a value independently of nulls in its column: 3 and 3.0 are one value.

    Pandas converts whole numbers to floats if there are nulls, so those of 17 digits are formatted as floats.

    Examples
    --------
    >>> spell_value(3.0), spell_value(3), spell_value(True), spell_value("tea")
    ('3', '3', 'true', 'tea')
    >>> spell_value(2**53 + 1), spell_value(float(2**53 + 1))
    ('9007199254740992', '9007199254740992')
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer) and _EXACT < abs(int(value)) <= float_info.max:
        value = float(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def bin_labels(bins: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the ranges between bins, lowest first.

    Examples
    --------
    >>> bin_labels([1, 7, 30])
    ('<1', '1-7', '7-30', '>=30')
    >>> bin_labels([2_000_001, 2_000_002])
    ('<2000001', '2000001-2000002', '>=2000002')
    """
    ends = [_spell_end(end) for end in bins]
    return (f"<{ends[0]}", *(f"{low}-{high}" for low, high in pairwise(ends)), f">={ends[-1]}")


def _spell_end(end: float) -> str:
    """Format the end of a range in short form, with all digits if two ends could otherwise be equal."""
    short = f"{end:g}"
    return short if float(short) == end else spell_value(float(end))


def segment_columns(specs: Sequence[SegmentColumn]) -> tuple[str, ...]:
    """Return the columns from which the segments are computed.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> segment_columns([SimpleNamespace(name="age", column="age_days", bins=[1.0, 7.0])])
    ('age_days',)
    """
    return tuple(dict.fromkeys(spec.column for spec in specs))


def segment_values(frame: pd.DataFrame, specs: Sequence[SegmentColumn]) -> Mapping[str, pd.Categorical]:
    """Return each segment's value for every row.

    Returns
    -------
    A categorical of length n by segment name; ``unknown`` where the column is null.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> age = SimpleNamespace(name="age", column="age_days", bins=[1.0, 7.0])
    >>> segment_values(pd.DataFrame({"age_days": [0.0, 7.0, None]}), [age])["age"].tolist()
    ['<1', '>=7', 'unknown']
    """
    return {spec.name: _categorize(frame, spec) for spec in specs}


def _categorize(frame: pd.DataFrame, spec: SegmentColumn) -> pd.Categorical:
    if spec.column not in frame:
        raise DataError(unknown("column", spec.column, map(str, frame.columns), where=f"segment {spec.name}"))
    try:
        codes, labels = _encode_column(frame[spec.column], spec.bins)
    except (TypeError, ValueError) as error:
        needed = "values that can be compared" if spec.bins is None else "numbers"
        raise DataError(
            f"Segment '{spec.name}' needs {needed}; column '{spec.column}' does not hold them: {error}."
        ) from error
    known = UNKNOWN in labels
    codes = np.where(codes < 0, labels.index(UNKNOWN) if known else len(labels), codes)
    names = pd.Index(labels if known else (*labels, UNKNOWN), dtype=object)
    return pd.Categorical.from_codes(codes.astype(np.int64), categories=names)


def _encode_column(
    column: "pd.Series[Any]", bins: Sequence[float] | None
) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
    """Return each row's code, -1 for null, and the values of the codes as text."""
    if bins is None:
        codes, values = pd.factorize(column, sort=True)
        spellings = [spell_value(value) for value in values]
        place = {word: i for i, word in enumerate(dict.fromkeys(spellings))}
        # the last entry is for code -1 (null)
        return np.array([*(place[word] for word in spellings), -1])[codes], tuple(place)
    numbers = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    codes = np.where(np.isnan(numbers), -1, np.searchsorted(np.asarray(bins), numbers, side="right"))
    return codes, bin_labels(bins)
