"""The review queue: items, sources and creators with far more negative events than were predicted.

::

    matured impressions of a task's newest 28 mature days -> events and predictions by unit -> EB05 > 2

Units are the values of ``item_id``, of ``source`` where it is logged, and of the columns that `max_per` of
slate.yaml counts, such as a creator.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.evaluation.review_queue import review_units
from tasks.labels.maturity import matures
from tasks.labels.snapshot import Snapshot
from tasks.logs.rows import DayRange
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases
from tasks.stores.workspace import Workspace

DAYS: Final = 28
"""Mature days of a task whose impressions are counted."""
_READ: Final = timedelta(days=7)
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


@dataclass(frozen=True)
class UnitReview:
    """Reads the impressions of the days that the queue rests on."""

    workspace: Workspace
    snapshot: Snapshot
    releases: ServingReleases
    mature_by: datetime

    def queue(self) -> list[ReviewedUnit]:
        """Return the units to review, the most certain excess first."""
        spans = {task: span for task in self._tasks() if (span := self._span(task))}
        if not spans:
            return []
        sums = defaultdict[tuple[str, str], list[pd.DataFrame]](list)
        first, last = min(one.first for one in spans.values()), max(one.last for one in spans.values())
        while first <= last:
            days = DayRange(first, min(first + _READ - _DAY, last))
            for key, found in self._sum(days, spans):
                sums[key].append(found)
            first += _READ
        listed = [unit for (task, column), found in sums.items() for unit in _list(task, column, found)]
        return sorted(listed, key=lambda unit: -unit["eb05"])

    def _tasks(self) -> Sequence[str]:
        spec, kind = self.workspace.contracts.tasks, self.workspace.contracts.head_kind
        return [t for t in spec.tasks if spec.tasks[t].family.costs and kind(t) == "binary"]

    def _span(self, task: str) -> DayRange | None:
        """Return a task's newest mature days; None where no day of the store is mature."""
        stored = self.snapshot.build().days
        newest = (self.mature_by - matures(self.workspace.contracts.tasks, task)).date() - _DAY
        mature = [day for day in stored if newest - DAYS * _DAY < day <= newest]
        return DayRange(min(mature), max(mature)) if mature else None

    def _units(self, traffic: LoggedTraffic) -> Sequence[str]:
        counted = self.workspace.contracts.slate.max_per
        return [name for name in dict.fromkeys((c.ITEM_ID, c.SOURCE, *counted)) if name in traffic.frame]

    def _sum(
        self, days: DayRange, spans: dict[str, DayRange]
    ) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
        """Yield events and predictions by unit of some days: by task and the units' column."""
        traffic = LoggedTraffic.read(self.workspace, self.snapshot, days, self.releases)
        for task, span in spans.items():
            inside = (traffic.days >= np.datetime64(span.first)) & (traffic.days <= np.datetime64(span.last))
            outcomes, predictions = traffic.outcomes(task), traffic.predictions[task]
            known = inside & np.isfinite(outcomes) & np.isfinite(predictions)
            rows = pd.DataFrame({"observed": outcomes, "expected": predictions, "impressions": 1})[known]
            for column in self._units(traffic):
                yield (task, column), rows.groupby(traffic.frame[column].to_numpy()[known]).sum()


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
