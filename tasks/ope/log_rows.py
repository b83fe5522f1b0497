"""The log of an off-policy estimate, checked: one row an item that was shown.

========== ==================================================================================
request_id, item_id   strings or whole numbers, no null; no item twice in a request
position   from 1, no position twice in a request
propensity above 0 to 1: the log's probability of this item at this position, given those above it
reward     any column of numbers or booleans, known in every row
user_id    optional: rows of one user move together; where it is null, rows of one request do
shown_at   optional: a time or a date; rows of one day (UTC) move together too
behavior   optional: independent, cascade or standard, what rewards of this request depend on
<reward>__status   optional: rows whose label is not observed are left out, and counted
others     what the ranker may have looked at: propensities are checked by them (`balance`)
========== ==================================================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Floats, Indices, Integers
from tasks.errors import DataError, unknown
from tasks.evaluation.resampling import Clusters, cluster_rows
from tasks.ope import table_rules as rules
from tasks.ope.balance import ContextColumn, choose_columns
from tasks.ope.slates import BEHAVIORS

TABLE: Final = "log"
BEHAVIOR: Final = "behavior"
REQUIRED: Final = (c.REQUEST_ID, c.ITEM_ID, c.POSITION, c.PROPENSITY)
OPTIONAL: Final = (c.USER_ID, BEHAVIOR, c.SHOWN_AT)


@dataclass(frozen=True)
class LogRows:
    """Shown items, each array of shape [n].

    Attributes
    ----------
    requests : codes from 0 in order of appearance.
    request_ids, items : as logged.
    positions : from 1.
    propensity, reward : numbers.
    clusters : which rows move together.
    behaviors : [requests] places in `BEHAVIORS`; None where it is not logged.
    left_out : rows that are not among the n, as their label is not observed.
    torn : requests of which some rows are left out and others are not.
    days : [n] codes; None where no time is logged.
    context : columns by which propensities are checked.
    of_item : further columns, which describe the item and are not checked.
    """

    requests: Indices
    request_ids: npt.NDArray[np.object_]
    items: npt.NDArray[np.object_]
    positions: Integers
    propensity: Floats
    reward: Floats
    clusters: Clusters
    behaviors: Indices | None
    left_out: int
    torn: int = 0
    days: Indices | None = None
    context: tuple[ContextColumn, ...] = ()
    of_item: tuple[str, ...] = ()

    @cached_property
    def request_count(self) -> int:
        """Number of requests."""
        return int(self.requests.max()) + 1

    @cached_property
    def lengths(self) -> Indices:
        """Slots of each request, [requests]."""
        return np.bincount(self.requests)

    @cached_property
    def with_gaps(self) -> int:
        """Requests whose positions are not 1, 2, ... without a gap."""
        last = np.zeros(self.request_count, dtype=np.int64)
        np.maximum.at(last, self.requests, self.positions)
        return int(np.count_nonzero(last != self.lengths))

    def as_slates(self, values: Floats, *, missing: float) -> Floats:
        """Lay a value of each row out as [requests, longest slate]; ``missing`` where there is no slot."""
        laid = np.full((self.request_count, int(self.positions.max())), missing)
        laid[self.requests, self.positions - 1] = values
        return laid


def _read_propensities(frame: pd.DataFrame) -> Floats:
    propensity = rules.read_numbers(frame, c.PROPENSITY, table=TABLE)
    outside = (propensity <= 0) | (propensity > 1)
    rules.refuse_rows(frame, outside, (c.PROPENSITY, "above 0 and at most 1"), table=TABLE)
    return propensity


def read_log(frame: pd.DataFrame, *, reward: str, balance: Sequence[str] | None = None) -> LogRows:
    """Check a log and return its rows, by request and position: no figure depends on how they were written.

    Examples
    --------
    >>> log = pd.DataFrame({"request_id": ["r", "r"], "item_id": [7, 8], "position": [1, 2],
    ...                     "propensity": [0.5, 1.0], "click": [True, False]})
    >>> rows = read_log(log, reward="click")
    >>> rows.reward.tolist(), rows.with_gaps, rows.as_slates(rows.propensity, missing=1.0).tolist()
    ([1.0, 0.0], 0, [[0.5, 1.0]])
    """
    rules.require_columns(frame, (*REQUIRED, reward, *(balance or ())), table=TABLE)
    every = frame[c.REQUEST_ID]
    frame, left_out = select_observed(frame, c.status(reward))
    rules.require_keys(frame, (c.REQUEST_ID, c.ITEM_ID), table=TABLE)
    rules.read_positions(frame, c.POSITION, table=TABLE)
    # folds and draws go by the order of the rows, which says nothing
    frame = frame.sort_values([c.REQUEST_ID, c.POSITION], kind="stable")
    positions = frame[c.POSITION].to_numpy(dtype=np.int64)
    propensity = _read_propensities(frame)
    rewards = rules.read_numbers(frame, reward, table=TABLE)
    for key in ((c.REQUEST_ID, c.POSITION), (c.REQUEST_ID, c.ITEM_ID)):
        rules.refuse_repeats(frame, key, table=TABLE)
    requests, _ = pd.factorize(frame[c.REQUEST_ID])
    described = (*REQUIRED, *OPTIONAL, reward, c.status(reward))
    context, of_item = choose_columns(frame, described, declared=balance)
    return LogRows(
        requests,
        frame[c.REQUEST_ID].to_numpy(dtype=object),
        frame[c.ITEM_ID].to_numpy(dtype=object),
        positions,
        propensity,
        rewards,
        _cluster(frame, requests),
        _behaviors(frame, requests) if BEHAVIOR in frame else None,
        left_out,
        _count_torn(every, frame[c.REQUEST_ID]),
        pd.factorize(rules.read_days(frame, c.SHOWN_AT, table=TABLE))[0] if c.SHOWN_AT in frame else None,
        tuple(context),
        tuple(of_item),
    )


def _count_torn(every: "pd.Series[Any]", kept: "pd.Series[Any]") -> int:
    """Count the requests of which some rows are kept and others are not."""
    before, after = every.value_counts(), kept.value_counts()
    return int((before.reindex(after.index) > after).sum())


def select_observed(frame: pd.DataFrame, status: str) -> tuple[pd.DataFrame, int]:
    """Return the rows whose label is observed, all where no status is logged, and the number of others."""
    if status not in frame:
        return frame, 0
    observed = frame[status] == c.Status.OBSERVED.value
    if not observed.any():
        raise DataError(f"The {TABLE}: column {status} is {c.Status.OBSERVED.value} in none of its rows.")
    return frame[observed], int((~observed).sum())


def _cluster(frame: pd.DataFrame, requests: Indices) -> Clusters:
    """Cluster rows by user, and by request where there is none."""
    if c.USER_ID in frame and not frame[c.USER_ID].isna().all():
        return cluster_rows(frame[c.USER_ID].to_numpy(dtype=object), requests)
    return Clusters(requests, int(requests.max()) + 1, "requests")


def _behaviors(frame: pd.DataFrame, requests: Indices) -> Indices:
    codes = pd.Index(BEHAVIORS).get_indexer(pd.Index(frame[BEHAVIOR].astype(object)))
    if (codes < 0).any():
        first_unknown = str(frame[BEHAVIOR].iloc[int(np.argmax(codes < 0))])
        raise DataError(
            unknown(BEHAVIOR, first_unknown, BEHAVIORS, where=f"{np.sum(codes < 0)} rows of the log")
        )
    first = np.empty(int(requests.max()) + 1, dtype=np.intp)
    first[requests[::-1]] = codes[::-1]
    differs = codes != first[requests]
    shown = (c.REQUEST_ID, BEHAVIOR)
    rules.refuse_rows(frame, differs, (BEHAVIOR, "one word in a request"), table=TABLE, shown=shown)
    return first
