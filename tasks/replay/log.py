"""The logged candidate sets that a simulation replays, and the slates that policies make of them.

::

    CandidateLog   what was there: candidates, what was shown where, what came of it
    Slates         what a policy does with it: a slot for each candidate, its predictions and utility
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CandidateLog:
    """n logged candidates.

    Attributes
    ----------
    requests, users : codes 0.. of the row's request and user, shape (n,).
    items : codes 0.. of the row's item, shape (n,).
    logged_position : position where it was shown, NaN where it was not or none is logged, shape (n,).
    shown : whether the candidate was shown, shape (n,).
    labels : by task, the observed label, NaN elsewhere, shape (n,).
    segments : by segment name, the row's value.
    examination : probability of being looked at by position, relative to the first; None is undeclared.
    positions_logged : whether the log carries positions.
    complete : whether every scored candidate is logged, not only what was shown.
    """

    requests: Ints
    users: Ints
    items: Ints
    logged_position: Floats
    shown: npt.NDArray[np.bool_]
    labels: Mapping[str, Floats]
    segments: Mapping[str, pd.Categorical]
    examination: Floats | None
    positions_logged: bool
    complete: bool

    @property
    def user_count(self) -> int:
        """Number of distinct users."""
        return int(self.users.max()) + 1 if len(self.users) else 0

    @property
    def request_count(self) -> int:
        """Number of distinct requests."""
        return int(self.requests.max()) + 1 if len(self.requests) else 0

    def by_user(self, values: Floats | npt.NDArray[np.bool_]) -> Floats:
        """Sum values of shape (n,) by user, to shape (users,)."""
        return np.bincount(self.users, values, minlength=self.user_count).astype(np.float64)

    @cached_property
    def mean_examination(self) -> float:
        """How much the places of what was shown were looked at on average."""
        return float(self.examined_at(self.logged_position[self.shown]).mean()) if self.shown.any() else 1.0

    def examined_at(self, positions: Floats | Ints) -> Floats:
        """Return the probability that each position is looked at; beyond the curve its last value."""
        if self.examination is None:
            return np.ones(len(positions))
        index = np.clip(np.nan_to_num(positions, nan=1.0).astype(int) - 1, 0, len(self.examination) - 1)
        return self.examination[index]


@dataclass(frozen=True)
class Slates:
    """A policy's slates over the rows of a log.

    Attributes
    ----------
    name : what the policy is called in reports.
    slot : position in the slate from 1, 0 where the candidate is not in it, shape (n,).
    predictions : by task, the joint probability (or expected value) that the policy's release gives;
        empty for the logged order and for a column's order.
    where_shown : the same where the candidate stood in the log, NaN where it was not shown; of those tasks
        whose predictions speak of the reference position.
    utility : the policy's utility, NaN where it has none, shape (n,).
    contributions : by term of the utility, shape (n,).
    """

    name: str
    slot: Ints
    predictions: Mapping[str, Floats] = field(default_factory=dict)
    where_shown: Mapping[str, Floats] = field(default_factory=dict)
    utility: Floats | None = None
    contributions: Mapping[str, Floats] = field(default_factory=dict)


def logged_slates(log: CandidateLog, *, length: int) -> Slates:
    """Return the slates that were really shown, cut at ``length``.

    Raises
    ------
    DataError
        The log carries no position.
    """
    if not log.positions_logged:
        raise DataError(
            "The log carries no position, so there is no logged order to compare with. "
            "Name a column: gates.decision.first: {column: ...}"
        )
    position = np.where(log.shown, log.logged_position, np.inf)
    return Slates("logged order", order_slots(log.requests, position, length=length))


def column_slates(log: CandidateLog, values: Floats, *, column: str, length: int) -> Slates:
    """Return slates in descending order of a logged column; ties and nulls come last by item."""
    return Slates(f"order of {column}", order_slots(log.requests, -values, length=length))


def order_slots(requests: Ints, key: Floats, *, length: int) -> Ints:
    """Number each request's rows by ascending key, up to ``length``; 0 beyond it or without a finite key.

    Examples
    --------
    >>> order_slots(np.array([0, 0, 1, 0]), np.array([2.0, 1.0, 5.0, np.inf]), length=2).tolist()
    [2, 1, 1, 0]
    """
    order = np.lexsort((key, requests))
    ordered = requests[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.array([], int)
    number = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)])) + 1
    slot = np.zeros(len(requests), dtype=np.int64)
    slot[order] = np.where((number <= length) & np.isfinite(key[order]), number, 0)
    return slot


def candidate_log(
    frame: pd.DataFrame,
    *,
    tasks: tuple[str, ...],
    segments: Mapping[str, pd.Categorical],
    examination: Floats | None,
    complete: bool,
) -> CandidateLog:
    """Build a log from candidate rows with our column names and the observed labels."""
    positions = frame[c.POSITION] if c.POSITION in frame else pd.Series(np.nan, index=frame.index)
    position = pd.to_numeric(positions).to_numpy(dtype=float, na_value=np.nan)
    shown = (
        frame[c.SHOWN].fillna(False).to_numpy(dtype=bool) if c.SHOWN in frame else np.ones(len(frame), bool)
    )
    users = (
        frame[c.USER_ID] if frame[c.USER_ID].notna().all() else frame[c.USER_ID].fillna(frame[c.REQUEST_ID])
    )
    return CandidateLog(
        requests=pd.factorize(frame[c.REQUEST_ID])[0].astype(np.int64),
        users=pd.factorize(users)[0].astype(np.int64),
        items=pd.factorize(frame[c.ITEM_ID])[0].astype(np.int64),
        logged_position=position,
        shown=shown,
        labels={t: frame[t].to_numpy(dtype=float, na_value=np.nan) for t in tasks},
        segments=segments,
        examination=examination,
        positions_logged=bool(np.isfinite(position).any()),
        complete=complete,
    )
