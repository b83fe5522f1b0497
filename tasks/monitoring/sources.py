"""Value and cost of each source's and creator's items, by the policy's weights, on matured outcomes.

::

    value    sum over terms with a positive weight of weight x outcome, per impression
    cost     the same for terms with a negative weight, without the sign
    interval 95 %, clustered by user: the influence of a user over all terms

Each term is summed over its own newest 28 mature days, so value and cost may be from different days if tasks
mature at different times. Units are values of ``source`` and of the columns in `max_per`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypedDict

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats
from tasks.contracts import Contracts
from tasks.errors import DataError
from tasks.evaluation.clustered import RowClusters, Statistic, clustered_interval
from tasks.evaluation.verdicts import Estimate
from tasks.labels.snapshot import Snapshot
from tasks.logs.rows import DayRange
from tasks.monitoring.review_queue import newest_mature
from tasks.monitoring.traffic import LoggedTraffic
from tasks.ranking.utility import served_predictions, worth_of_outcomes
from tasks.release.release_days import users_of
from tasks.stores.workspace import Workspace

_LEAST_USERS: Final = 20
"""Minimum number of users of a unit for an interval."""


class SourceValue(TypedDict):
    """A unit's value and cost per impression, each with its interval."""

    column: str
    unit: str
    impressions: int
    users: int
    value: float
    value_low: float
    value_high: float
    cost: float
    cost_low: float
    cost_high: float


@dataclass(frozen=True)
class SourceSums:
    """Sums contributions by unit and user, one week at a time.

    Attributes
    ----------
    spans : newest mature days by term.
    """

    contracts: Contracts
    spans: Mapping[str, DayRange]
    sums: defaultdict[str, list[pd.DataFrame]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def begin(cls, workspace: Workspace, snapshot: Snapshot, *, known_by: datetime) -> "SourceSums":
        """Select the days that are mature by an instant."""
        contracts = workspace.contracts
        terms = [one for one in contracts.utility.outcomes if contracts.head_kind(one) in {"binary", "value"}]
        return cls(contracts, newest_mature(contracts, snapshot, terms, known_by=known_by))

    def add(self, traffic: LoggedTraffic) -> None:
        """Add the impressions of a week."""
        columns = [one for one in (c.SOURCE, *self.contracts.slate.max_per) if one in traffic.frame]
        rows = self._contributions(traffic) if columns and self.spans else None
        if rows is None:
            return
        for column in dict.fromkeys(columns):
            units = traffic.frame[column].to_numpy()
            self.sums[column].append(rows.groupby([units, users_of(traffic.frame)]).sum())

    def _contributions(self, traffic: LoggedTraffic) -> pd.DataFrame | None:
        """Return value, cost and whether they are known for each row, three columns per term."""
        outcomes = {task: traffic.outcomes(task) for task in self.spans}
        known = {t: traffic.within(self.spans[t]) & np.isfinite(seen) for t, seen in outcomes.items()}
        some: Flags = np.logical_or.reduce([*known.values()])
        if not some.any():
            return None
        frame = traffic.frame
        predictions = served_predictions(frame, self.contracts.utility_predictions)
        try:
            worth = worth_of_outcomes(frame, predictions, self.contracts.utility)
        except DataError as error:
            traffic.releases.notes[f"Sources cannot be valued. {error}"] = None
            return None
        costs = [*self._costs()]
        parts = dict[tuple[str, str], Floats]()
        for term, of_one in worth.items():
            if term in self.contracts.tasks.tasks and term not in known:
                continue
            rows = known.get(term, some)
            added = np.where(rows, np.nan_to_num(outcomes.get(term, 1.0)) * of_one, 0.0)
            parts[term, "value"] = np.zeros(len(rows)) if term in costs else added
            parts[term, "cost"] = -added if term in costs else np.zeros(len(rows))
            parts[term, "rows"] = rows.astype(np.float64)
        return pd.DataFrame(parts)

    def _costs(self) -> Iterator[str]:
        """Yield the terms that are costs: tasks of a cost family, and columns with a negative weight."""
        yield from (name for name, task in self.contracts.tasks.tasks.items() if task.family.costs)
        yield from (name for name, term in self.contracts.utility.terms.items() if term.weight < 0)

    def table(self) -> list[SourceValue]:
        """Return the units by column, those with the most impressions first."""
        found = [unit for column, parts in self.sums.items() for unit in _list(column, parts)]
        columns = [*self.sums]
        return sorted(found, key=lambda one: (columns.index(one["column"]), -one["impressions"]))


def _list(column: str, parts: Sequence[pd.DataFrame]) -> Iterator[SourceValue]:
    by_user = pd.concat(parts).groupby(level=[0, 1]).sum()
    for unit, own in by_user.groupby(level=0):
        if len(own) >= _LEAST_USERS:
            value, cost = (_estimate(own, part) for part in ("value", "cost"))
            yield SourceValue(
                column=column,
                unit=str(unit),
                impressions=int(max(own[task, "rows"].sum() for task in own.columns.unique(level=0))),
                users=len(own),
                value=value.value,
                value_low=value.low,
                value_high=value.high,
                cost=cost.value,
                cost_low=cost.low,
                cost_high=cost.high,
            )


def _estimate(own: pd.DataFrame, part: str) -> Estimate:
    """Return the sum of the terms' means per impression, with its user-clustered interval."""
    influence, total, events = np.zeros(len(own)), 0.0, 0
    for task in own.columns.unique(level=0):
        sums, rows = own[task, part].to_numpy(), own[task, "rows"].to_numpy()
        if n := rows.sum():
            mean = float(sums.sum() / n)
            influence, total = influence + (sums - mean * rows) / n, total + mean
            events += int(np.count_nonzero(sums))
    nothing = np.zeros(len(own), dtype=np.intp)
    users = RowClusters(np.arange(len(own)), nothing, nothing)
    return clustered_interval(Statistic(total, influence, np.ones(len(own)), events), users)
