"""Candidate rows as a frame of pandas, which would round whole numbers beside null ones to floats.

Decimal numbers are doubles, as in the label store: 3.00 is spelled as 3, and equals 3.0.
"""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks import columns as c
from tasks.logs.schema import IDS

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
    fields = [
        pa.field(field.name, pa.float64()) if _is_read_as_double(field) else field for field in table.schema
    ]
    frame = table.cast(pa.schema(fields)).to_pandas(ignore_metadata=True)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if _loses_digits(name, column):
            frame.isetitem(place, pd.Series(column.to_pylist(), index=frame.index, dtype=object))
    return frame


def _is_read_as_double(field: pa.Field) -> bool:
    return pa.types.is_decimal(field.type) and field.name not in IDS


def _loses_digits(name: str, column: pa.ChunkedArray) -> bool:
    """Whether a float would not do: for users it never does, since 5.0 is spelled unlike 5."""
    if not column.null_count or not pa.types.is_integer(column.type):
        return False
    ends = pc.min_max(column).as_py()
    return name == c.USER_ID or any(end is not None and abs(end) > _EXACT for end in ends.values())
