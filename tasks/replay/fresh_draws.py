"""Candidates under other request ids, so that a replay draws into exploration slots independently of the log.

::

    log      draws by a hash of salt, request, user and item         r7 -> item c, shown with propensity 1/n
    replay   the same hash of the same ids                           r7 -> item c again, in every request
             the same hash of other ids                              r7 -> item c in one request of n

What was shown counts 1 / propensity times, since over independent draws a policy puts it there once in so
many requests. A policy that draws what the log drew puts it there each time, and its rates rise n-fold.
"""

import numpy as np
import pandas as pd

from tasks import columns as c


def with_fresh_draws(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates under request ids that no log has; as they are where no propensity is logged.

    Examples
    --------
    >>> log = pd.DataFrame({"request_id": [7, 7, 8], "propensity": [0.5, 0.5, 1.0]})
    >>> with_fresh_draws(log)["request_id"].tolist()
    ['replay of 7', 'replay of 7', 'replay of 8']
    """
    if c.PROPENSITY not in candidates:
        return candidates
    codes, requests = pd.factorize(candidates[c.REQUEST_ID])
    renamed = np.array([*(f"replay of {request}" for request in requests), None], dtype=object)
    return candidates.assign(**{c.REQUEST_ID: pd.array(renamed[codes], dtype="str")})
