"""The segments of a surface: a column's values, or a numeric column cut at bins.

::

    bins [1, 7, 30]     <1   1-7   7-30   >=30     null: unknown
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.contracts.surface import SegmentSpec
from tasks.errors import DataError, unknown

UNKNOWN = "unknown"


def bin_labels(bins: Sequence[float]) -> tuple[str, ...]:
    """Name the ranges between bins, lowest first.

    Examples
    --------
    >>> bin_labels([1, 7, 30])
    ('<1', '1-7', '7-30', '>=30')
    """
    between = [f"{low:g}-{high:g}" for low, high in pairwise(bins)]
    return (f"<{bins[0]:g}", *between, f">={bins[-1]:g}")


def segment_columns(specs: Sequence[SegmentSpec]) -> tuple[str, ...]:
    """Name the columns that the segments are made from."""
    return tuple(dict.fromkeys(spec.column for spec in specs))


def segment_values(frame: pd.DataFrame, specs: Sequence[SegmentSpec]) -> Mapping[str, pd.Categorical]:
    """Return each segment's value for every row.

    Parameters
    ----------
    frame : n rows with the segments' columns.
    specs : the surface's segments.

    Returns
    -------
    A categorical of length n by segment name; ``unknown`` where the column is null.

    Raises
    ------
    DataError
        A segment's column is missing.
    """
    return {spec.name: _values(frame, spec) for spec in specs}


def _values(frame: pd.DataFrame, spec: SegmentSpec) -> pd.Categorical:
    if spec.column not in frame:
        raise DataError(unknown("column", spec.column, map(str, frame.columns), where=f"segment {spec.name}"))
    column = frame[spec.column]
    if spec.bins is None:
        codes, names = pd.factorize(column, sort=True)
        labels: tuple[str, ...] = tuple(str(name) for name in names)
    else:
        numbers = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
        codes, labels = _binned(numbers, spec.bins), bin_labels(spec.bins)
    known = UNKNOWN in labels
    codes = np.where(codes < 0, labels.index(UNKNOWN) if known else len(labels), codes)
    names = pd.Index(labels if known else (*labels, UNKNOWN), dtype=object)
    return pd.Categorical.from_codes(codes.astype(np.int64), categories=names)


def _binned(numbers: npt.NDArray[np.float64], bins: Sequence[float]) -> npt.NDArray[np.intp]:
    return np.where(np.isnan(numbers), -1, np.searchsorted(np.asarray(bins), numbers, side="right"))
