"""Who looked, in candidate rows: where nobody is known, the request stands in as a user of its own."""

from typing import Any

import pandas as pd
import pyarrow as pa

from tasks import columns as c


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return candidate rows as a frame; beside users that are null, numbers of users keep every digit.

    Examples
    --------
    >>> table = pa.table({"user_id": [9007199254740993, None]})
    >>> to_frame(table)["user_id"].tolist()
    [9007199254740993, None]
    """
    frame = table.to_pandas()
    if c.USER_ID in table.column_names:
        users = table.column(c.USER_ID)
        if users.null_count and pa.types.is_integer(users.type):  # pandas would round them to floats
            frame[c.USER_ID] = pd.Series(users.to_pylist(), index=frame.index, dtype=object)
    return frame


def users_of(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Return the user of each row, [n]; no name of a request that stands in is that of a user.

    Examples
    --------
    >>> users_of(pd.DataFrame({"request_id": [5, 6], "user_id": [None, 5]}, dtype=object)).tolist()
    ['request 5', 5]
    """
    users = frame[c.USER_ID]
    unknown = users.isna()
    if not unknown.any():
        return users
    return users.astype(object).where(~unknown, "request " + frame[c.REQUEST_ID].astype(str))
