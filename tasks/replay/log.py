"""The logged candidate sets that a simulation replays, and the slates that policies make of them.

::

    CandidateLog   what was there: candidates, what was shown where, what came of it
    Slates         what a policy does with it: a slot for each candidate, its predictions and utility
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
from tasks.replay.outcomes import JointOutcome

_HALF: Final = 0.5
"""Share of the logged looks that the items outside the long tail make."""


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
    outcomes : by task, what the chain up to it led to.
    segments : by segment name, the row's value.
    days : codes 0.. of the row's day in order, shape (n,).
    dates : the day of each code.
    examination : probability of being looked at by position, relative to the first; None is undeclared.
    positions_logged : whether the log carries positions.
    complete : whether every scored candidate is logged, not only what was shown.
    inclusion : how many candidates each shown item stands for, 0 where it was not shown (``inclusion.py``);
        1 where only what was shown is logged or all was shown, None where the log does not tell.
    propensity : probability that a shown item was put at its position given those above it, NaN elsewhere,
        shape (n,); None where the log does not tell.
    drawable : whether exploration could have drawn the row, true where that is unknown, shape (n,); None
        where the log has no such column.
    latency : how long the row's request took to serve, in milliseconds, NaN where unknown, shape (n,); None
        where the log has no such column.
    served_by : version of the release that served the row's request, 0 where unknown, shape (n,); likewise.
    merit : what exposure is compared with, the utility or the prediction of a task.
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
        """The users, items and days whose rows move together."""
        return RowClusters(self.users, self.items, self.days)

    @cached_property
    def logged_examined(self) -> Floats:
        """Examination of the place where each row was shown, of the first place elsewhere, shape (n,)."""
        return self.examined_at(self.logged_position)

    @cached_property
    def in_long_tail(self) -> Flags:
        """Rows of items outside those that make half of the logged looks, shape (n,)."""
        exposure = np.bincount(self.items, np.where(self.shown, self.logged_examined, 0.0))
        order = np.argsort(-exposure, kind="stable")
        before = np.r_[0.0, np.cumsum(exposure[order])[:-1]]
        tail = np.zeros(len(exposure), dtype=bool)
        tail[order] = before >= _HALF * exposure.sum()
        return tail[self.items]

    @cached_property
    def possible(self) -> Flags | None:
        """Rows that were shown or could have been drawn, shape (n,); None where that is not known exactly.

        It is where the log marks them and draws at most the last slot of a request: the item in a drawn slot
        may close by its cap what a later one could have held. Without a draw nothing else is possible.
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
        """The tasks whose outcomes are never below 0, as of all that happens or does not."""
        return frozenset(
            task for task, outcome in self.outcomes.items() if np.min(outcome.value, initial=0.0) >= 0
        )

    def mean_examination(self, task: str, predictions: Floats) -> float:
        """Return how much an item was looked at on average, by what a head predicts of each.

        A head is calibrated on known outcomes: their sum is that of its predictions there. Divided by this
        mean, its predictions per look have that property too, however the known outcomes lie on the page.

        Parameters
        ----------
        predictions : [n] of a task, for the place where an item is shown on average.
        """
        known = self.outcomes[task].known & (predictions > 0)
        if not known.any():
            return float(self.logged_examined[self.shown].mean()) if self.shown.any() else 1.0
        return float(np.average(self.logged_examined[known], weights=predictions[known]))

    def examined_at(self, positions: Floats | Integers) -> Floats:
        """Return the probability that each position is looked at; beyond the curve its last value."""
        if self.examination is None:
            return np.ones(len(positions))
        index = np.clip(np.nan_to_num(positions, nan=1.0).astype(int) - 1, 0, len(self.examination) - 1)
        return self.examination[index]


@dataclass(frozen=True)
class PolicySlates:
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
    contributions : by term of the utility, NaN where it has no weight or its value is unknown, shape (n,).
    worth : by task what one outcome adds, and by name what a column adds that counts by itself, shape (n,).
    rank : place in the order by tiers and utility before the slate's rules, from 1; 0 for what was dropped,
        shape (n,). None where nothing is known of it.
    release : the version that serves with this policy, None for an order or another policy.
    follows_log : whether the slots depend on what was shown, as those of the logged order do.
    heads : the releases whose heads the predictions join (``both_heads.py``).
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
