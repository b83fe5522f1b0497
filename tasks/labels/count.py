"""Counts the labels that a build would write, by task and day, without writing them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.labels.compile import compile_days
from tasks.labels.query import Horizon
from tasks.labels.relations import cut_near, find_label_days, make_credit_tables
from tasks.logs.arrival import find_arrived
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x


@dataclass(frozen=True)
class LabelCount:
    """Observed labels of a task; ``positives`` are those other than 0."""

    observed: int = 0
    positives: int = 0

    def __add__(self, other: "LabelCount") -> "LabelCount":
        """Count the labels of both."""
        return LabelCount(self.observed + other.observed, self.positives + other.positives)


def count_labels(
    log: LogTables, days: Iterable[date], *, as_of: datetime
) -> dict[str, Mapping[date, LabelCount]]:
    """Count the labels of some days as of an instant, by task and day.

    Parameters
    ----------
    log : tables in a connection of the caller's own: its views are cut to the files of these days.
    """
    tasks, wanted = log.contracts.tasks, find_label_days(log.contracts.tasks, days)
    horizon = Horizon(as_of, find_arrived(log, as_of=as_of))
    cut_near(log, wanted, as_of=as_of)
    query = compile_days(log, tasks, horizon=horizon, days=wanted, labels_only=True)
    for creditings in query.creditings.values():
        make_credit_tables(log, creditings)
    counts = [count for task in tasks.tasks for count in _counts(task)]
    day = x.cast(x.column(c.DAY), "DATE")
    rows = log.fetch(
        "SELECT $day, $counts FROM ($labels) GROUP BY 1", day=day, counts=counts, labels=query.labels()
    )
    return {
        task: {row[0]: LabelCount(*row[1 + 2 * n : 3 + 2 * n]) for row in rows}
        for n, task in enumerate(tasks.tasks)
    }


def _counts(task: str) -> Iterator[exp.Expr]:
    observed = x.eq(x.column(c.status(task)), x.text(c.Status.OBSERVED))
    positive = x.not_(x.eq(x.column(task), x.integer(0)))
    yield x.call("COUNT_IF", observed)
    yield x.call("COUNT_IF", x.all_of(observed.copy(), positive))
