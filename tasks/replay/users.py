"""Who looked, in candidate rows: where nobody is known, the request stands in as a user of its own."""

from typing import Any

import pandas as pd

from tasks import columns as c


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
