"""Logged candidate sets that a simulation replays, and the slates of policies on them.

::

    CandidateLog   candidates, the positions where they were shown, and their outcomes
    PolicySlates   a policy's slot for each candidate, its predictions and utility
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Integers
from tasks.evaluation.clustered import RowClusters
from tasks.replay.inclusion import JointOutcome
from tasks.replay.joined_columns import store

_HALF: Final = 0.5
"""Share of the logged exposure of the items outside the long tail."""


@dataclass(frozen=True)
class CandidateLog:
    """n logged candidates.

    Attributes
    ----------
    requests, users : codes 0.. of the row's request and user, shape (n,).
    items : codes 0.. of the row's item, shape (n,).
    logged_position : position where it was shown, NaN if it was not shown or is not logged, shape (n,).
    shown : whether the candidate was shown, shape (n,).
    labels : by task, the observed label, NaN elsewhere, shape (n,).
    outcomes : by task, the joint outcome of its chain.
    segments : by segment name, the row's value.
    days : codes 0.. of the row's day in order, shape (n,).
    dates : the day of each code.
    examination : probability of examination by position, relative to the first; None if undeclared.
    positions_logged : whether the log carries positions.
    complete : whether every scored candidate is logged, not only shown items.
    inclusion : number of candidates that each shown item represents, 0 where not shown (``inclusion.py``);
        1 if only shown items are logged or all were shown, None if the log has no propensities.
    propensity : probability of a shown item at its position given those above it, NaN elsewhere,
        shape (n,); None if the log has no propensities.
    drawable : whether exploration could have drawn the row, true where that is unknown, shape (n,); None
        if the log has no such column.
    latency : serving time of the row's request in milliseconds, NaN where unknown, shape (n,); None
        if the log has no such column.
    served_by : version of the release that served the row's request, 0 where unknown, shape (n,); None
        if the log has no such column.
    merit : the utility or the predicted task that exposure is compared with.
    """

    requests: Integers
    users: Integers
    items: Integers
    logged_position: Floats
    shown: Flags
    labels: Mapping[str, Floats]
    outcomes: Mapping[str, JointOutcome]
    segments: Mapping[str, pd.Categorical]
    days: Integers
    dates: tuple[date, ...]
    examination: Floats | None
    positions_logged: bool
    complete: bool
    inclusion: Floats | None
    propensity: Floats | None = None
    drawable: Flags | None = None
    latency: Floats | None = None
    served_by: Integers | None = None
    merit: str = c.UTILITY

    @property
    def user_count(self) -> int:
        """Number of distinct users."""
        return int(self.users.max()) + 1 if len(self.users) else 0

    @property
    def request_count(self) -> int:
        """Number of distinct requests."""
        return int(self.requests.max()) + 1 if len(self.requests) else 0

    @cached_property
    def clusters(self) -> RowClusters:
        """The users, items and days whose rows are correlated."""
        return RowClusters(self.users, self.items, self.days)

    @cached_property
    def logged_examined(self) -> Floats:
        """Examination of each row's logged position, of the first position if not shown, shape (n,)."""
        return store(self.examined_at(self.logged_position))

    @cached_property
    def in_long_tail(self) -> Flags:
        """Rows of items outside those with half of the logged exposure, shape (n,)."""
        exposure = np.bincount(self.items, np.where(self.shown, self.logged_examined, 0.0))
        order = np.argsort(-exposure, kind="stable")
        before = np.r_[0.0, np.cumsum(exposure[order])[:-1]]
        tail = np.zeros(len(exposure), dtype=bool)
        tail[order] = before >= _HALF * exposure.sum()
        return tail[self.items]

    @cached_property
    def possible(self) -> Flags | None:
        """Rows that were shown or could have been drawn, shape (n,); None where that is not known exactly.

        It is known if the log marks drawable rows and draws at most the last slot of a request: an item in a
        drawn slot may exhaust a cap and so exclude an item from a later slot. Without a draw only shown rows
        are possible.
        """
        if self.drawable is None or self.propensity is None:
            return None
        rows = np.flatnonzero(self.shown)
        requests, random, place = self.requests[rows], self.propensity[rows] < 1, self.logged_position[rows]
        drawn = np.bincount(requests, random, self.request_count)
        above = place <= np.bincount(requests, np.where(random, place, 0.0), self.request_count)[requests]
        if (drawn > 1).any() or not (above | (drawn == 0)[requests]).all():
            return None
        return self.shown | (self.drawable & (drawn > 0)[self.requests])

    @cached_property
    def tasks_from_zero(self) -> frozenset[str]:
        """The tasks whose outcomes are never negative."""
        return frozenset(
            task for task, outcome in self.outcomes.items() if np.min(outcome.value, initial=0.0) >= 0
        )

    def mean_examination(self, task: str, predictions: Floats) -> float:
        """Return the mean examination of items, weighted by a head's predictions.

        A head is calibrated on known outcomes: their sum equals the sum of its predictions there. Divided by
        this mean, its predictions per examined impression have that property too, at whatever positions the
        known outcomes were shown.

        Parameters
        ----------
        predictions : [n] of a task, at the average shown position.
        """
        known = self.outcomes[task].known & (predictions > 0)
        if not known.any():
            return float(self.logged_examined[self.shown].mean()) if self.shown.any() else 1.0
        return float(np.average(self.logged_examined[known], weights=predictions[known]))

    def examined_at(self, positions: Floats | Integers) -> Floats:
        """Return the examination of each position; beyond the curve, its last value."""
        if self.examination is None:
            return np.ones(len(positions))
        index = np.clip(np.nan_to_num(positions, nan=1.0).astype(int) - 1, 0, len(self.examination) - 1)
        return self.examination[index]


@dataclass(frozen=True)
class PolicySlates:
    """A policy's slates over the rows of a log.

    Attributes
    ----------
    name : name of the policy in reports.
    slot : position in the slate from 1, 0 where the candidate is not in it, shape (n,).
    predictions : by task, the joint probability (or expected value) by the policy's release;
        empty for the logged order and for a column's order.
    where_shown : predictions at the logged position, NaN where the item was not shown; only for tasks
        whose predictions are for the reference position.
    utility : the policy's utility, NaN where it has none, shape (n,).
    contributions : by term of the utility, NaN where it has no weight or its value is unknown, shape (n,).
    worth : by task, the value of one outcome; by column name, the value of a column term, shape (n,).
    rank : position in the order by tiers and utility before slate rules, from 1; 0 for dropped candidates,
        shape (n,). None if unknown.
    release : the version that serves with this policy, None for an order or another policy.
    follows_log : whether the slots depend on the shown items, as in the logged order.
    heads : number of releases whose heads are joined in the predictions (``rates.py``).
    """

    name: str
    slot: Integers
    predictions: Mapping[str, Floats] = field(default_factory=dict)
    where_shown: Mapping[str, Floats] = field(default_factory=dict)
    utility: Floats | None = None
    contributions: Mapping[str, Floats] = field(default_factory=dict)
    worth: Mapping[str, Floats] = field(default_factory=dict)
    rank: Integers | None = None
    release: int | None = None
    follows_log: bool = False
    heads: int = 1

    @property
    def total(self) -> Floats:
        """The sum of the contributions, which is the utility where the policy has no offset, shape (n,)."""
        return sum(map(np.nan_to_num, self.contributions.values()), start=np.zeros(len(self.slot)))
