"""Candidate rows as a frame of pandas, which would round whole numbers beside null ones to floats."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks import columns as c

_EXACT = 2**53
"""Up to here a float holds every whole number."""


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return candidate rows as a frame, column by column; large whole numbers keep every digit.

    Examples
    --------
    >>> table = pa.table({"user_id": [9007199254740993, None]})
    >>> to_frame(table)["user_id"].tolist()
    [9007199254740993, None]
    """
    frame = table.to_pandas(ignore_metadata=True)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if _loses_digits(name, column):
            frame.isetitem(place, pd.Series(column.to_pylist(), index=frame.index, dtype=object))
    return frame


def _loses_digits(name: str, column: pa.ChunkedArray) -> bool:
    """Whether a float would not do: for users it never does, since 5.0 is spelled unlike 5."""
    if not column.null_count or not pa.types.is_integer(column.type):
        return False
    ends = pc.min_max(column).as_py()
    return name == c.USER_ID or any(end is not None and abs(end) > _EXACT for end in ends.values())
