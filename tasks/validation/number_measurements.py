"""Numbers that no model and no policy takes: rows in which they are infinite, before anything learns them.

::

    infinite           on days that a slice can still reach: training or a simulation would end there
    infinite_earlier   on days before them

Of the impressions, and of the candidates where they are logged: these are scored too.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import duckdb

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.logs import footers as kinds
from tasks.logs.schema_fit import wanted_columns
from tasks.sql import expressions as x
from tasks.validation.measurements import (
    INFINITE,
    INFINITE_EARLIER,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
)

_MOST_EMBARGOES = 4
_FIRST = datetime.min.replace(tzinfo=UTC)


def numeric_columns(contracts: Contracts) -> tuple[str, ...]:
    """Name the columns that are read as numbers: features, values, what decisions and training ask for."""
    surface = contracts.surface
    wanted = wanted_columns(contracts, first_release=True)
    asked = [one.column for one in wanted if kinds.NUMBER in one.kinds and kinds.STRING not in one.kinds]
    return tuple(dict.fromkeys((*surface.features.numeric, *surface.values, *asked)))


def first_day_in_reach(contracts: Contracts, as_of: datetime) -> date:
    """Return a day before which no slice of a retrain as of an instant begins.

    Between two slices, and after the last, lie a task's windows: at most its maturity each time.
    """
    split, tasks = contracts.surface.split, contracts.tasks
    embargo = max(tasks.maturity(task) for task in tasks.tasks)
    reach = split.train + split.calibrate + split.test + _MOST_EMBARGOES * embargo
    return (as_of - min(reach, as_of - _FIRST)).date()


def measure_infinite(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    names: Sequence[str],
    *,
    before: datetime,
    reached_from: date,
    prefix: str = "",
) -> Iterator[Measurement]:
    """Count the infinite numbers of a relation of impressions or candidates.

    Parameters
    ----------
    names : columns; those that the relation lacks or that hold no floats are left out.
    before : only rows that were shown earlier count.
    reached_from : the first day that a slice can reach.
    prefix : what stands before a column's name where it is told.
    """
    kinds_of = {one.subject: one.value for one in measure_columns(connection, table, names)}
    floats = [name for name in names if kinds_of.get(name) == kinds.NUMBER]
    for statistic, reached in ((INFINITE, True), (INFINITE_EARLIER, False)):
        start = x.day_start(reached_from)
        side = x.ge(x.column(c.SHOWN_AT), start) if reached else x.lt(x.column(c.SHOWN_AT), start)
        where = x.all_of(x.lt(x.column(c.SHOWN_AT), x.instant(before)), side)
        infinite = {name: x.call("ISINF", x.column(name)) for name in floats}
        ((rows, *counted),) = fetch(
            connection,
            "SELECT count(*), $infinite FROM $table WHERE $where",
            infinite=[count_if(condition) for condition in infinite.values()],
            table=x.table(table),
            where=where,
        )
        key = {name: x.column(name) for name in c.IMPRESSION_KEY}
        for (name, condition), count in zip(infinite.items(), counted, strict=True):
            broken = x.all_of(condition.copy(), where.copy())
            examples = find_examples(connection, table, broken, key) if count else ""
            yield Measurement(statistic, f"{prefix}{name}", rows=count, of=rows, examples=examples)
