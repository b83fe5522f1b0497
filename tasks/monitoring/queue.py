"""The review queue: items, sources and creators with far more negative events than were predicted.

::

    matured impressions of a task's newest 28 mature days -> events and predictions by unit -> EB05 > 2

Units are the values of ``item_id``, of ``source`` where it is logged, and of the columns that `max_per` of
slate.yaml counts, such as a creator.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, TypedDict

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.labels.maturity import matures
from tasks.labels.snapshot import Snapshot
from tasks.logs.rows import DayRange
from tasks.monitoring.review_queue import review_units
from tasks.monitoring.traffic import LoggedTraffic
from tasks.stores.workspace import Workspace

DAYS: Final = 28
"""Mature days of a task whose impressions are counted."""
_DAY: Final = timedelta(days=1)


class ReviewedUnit(TypedDict):
    """A unit to review: its events and predictions, and the excess of which 95 % is certain (``eb05``)."""

    task: str
    column: str
    unit: str
    impressions: int
    observed: int
    expected: float
    excess: float
    eb05: float


_Sums = defaultdict[tuple[str, str], list[pd.DataFrame]]


def newest_mature(
    contracts: Contracts, snapshot: Snapshot, tasks: Iterable[str], *, known_by: datetime
) -> dict[str, DayRange]:
    """Return the newest 28 days that are mature by an instant, by task; tasks without one are left out."""
    stored, spans = snapshot.build().days, {}
    for task in tasks:
        newest = (known_by - matures(contracts.tasks, task)).date() - _DAY
        if mature := [day for day in stored if newest - DAYS * _DAY < day <= newest]:
            spans[task] = DayRange(min(mature), max(mature))
    return spans


def days_of(spans: Mapping[str, DayRange]) -> set[date]:
    """Return the days of some spans."""
    lengths = {span: (span.last - span.first).days + 1 for span in spans.values()}
    return {span.first + n * _DAY for span, length in lengths.items() for n in range(length)}


@dataclass(frozen=True)
class UnitReview:
    """Sums events and predictions by unit, a week at a time.

    Attributes
    ----------
    spans : by task its newest mature days.
    units : the columns whose values are units.
    """

    spans: Mapping[str, DayRange]
    units: Sequence[str]
    sums: _Sums = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def begin(cls, workspace: Workspace, snapshot: Snapshot, *, known_by: datetime) -> "UnitReview":
        """Find the days that are mature by an instant."""
        contracts = workspace.contracts
        spec, kind = contracts.tasks.tasks, contracts.head_kind
        tasks = [task for task in spec if spec[task].family.costs and kind(task) == "binary"]
        spans = newest_mature(contracts, snapshot, tasks, known_by=known_by)
        return cls(spans, tuple(dict.fromkeys((c.ITEM_ID, c.SOURCE, *contracts.slate.max_per))))

    def add(self, traffic: LoggedTraffic) -> None:
        """Add the impressions of a week."""
        for task, span in self.spans.items():
            inside = traffic.within(span)
            if not inside.any():
                continue
            outcomes, predictions = traffic.outcomes(task), traffic.predictions[task]
            known = inside & np.isfinite(outcomes) & np.isfinite(predictions)
            rows = pd.DataFrame({"observed": outcomes, "expected": predictions, "impressions": 1})[known]
            for column in (name for name in self.units if name in traffic.frame):
                units = traffic.frame[column].to_numpy()[known]
                self.sums[task, column].append(rows.groupby(units).sum())

    def queue(self) -> list[ReviewedUnit]:
        """Return the units to review, the most certain excess first."""
        listed = [unit for (task, column), found in self.sums.items() for unit in _list(task, column, found)]
        return sorted(listed, key=lambda unit: -unit["eb05"])


def _list(task: str, column: str, found: Sequence[pd.DataFrame]) -> Iterator[ReviewedUnit]:
    """Yield the units of one column that exceed their predictions."""
    together = pd.concat(found).groupby(level=0).sum()
    together = together[together["expected"] > 0]
    queue = review_units(together["observed"], together["expected"])
    for place in queue.listed:
        row = together.iloc[place]
        yield ReviewedUnit(
            task=task,
            column=column,
            unit=str(together.index[place]),
            impressions=int(row["impressions"]),
            observed=int(row["observed"]),
            expected=float(row["expected"]),
            excess=float(queue.excess[place]),
            eb05=float(queue.eb05[place]),
        )
