"""How many positives of a task an exclusion came after: counted on the log, by the labels' own relations."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.labels.relations import make_relations
from tasks.labels.spared import alone, taken_out
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x

_COUNT = """
    SELECT count(*), count_if($label = 1), count_if($taken_out) FROM ($rows) WHERE $observed
"""


@dataclass(frozen=True)
class Spared:
    """Observed rows of a task, the positive ones, and the positive ones that an exclusion came after."""

    observed: int
    positive: int
    spared: int


def count_spared(log: LogTables, task: str, *, as_of: datetime, days: Iterable[date]) -> Spared:
    """Count on the impressions of some days; needs ``log.cut(as_of)``."""
    tasks = alone(log.contracts.tasks, task)
    query = make_relations(log, tasks, as_of=as_of, days=days)
    last = x.select([exp.Star()], x.table(list(query.layers)[-1]))
    ((observed, positive, spared),) = log.fetch(
        _COUNT,
        label=x.column(task),
        taken_out=taken_out(tasks, task),
        rows=x.with_relations(last, query.layers.items()),
        observed=x.eq(x.column(c.status(task)), x.text(c.Status.OBSERVED)),
    )
    return Spared(observed, positive, spared)
