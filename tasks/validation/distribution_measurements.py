"""How the values of features and segments are spread, day by day, on the newest days and those before.

::

    a word           its own value; beyond the 40 most frequent of the days: other
    a number         a tenth of the days' values: <0.2, 0.2-1.5, ...
    a segment's      the bins of surface.yaml

A null belongs to none. Of a large log a sample is looked at, all rows of every so many requests: the same
ones each time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import SurfaceSpec
from tasks.contracts.surface import SegmentSpec
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.validation.label_measurements import LABELS
from tasks.validation.measurements import VALUES, Measurement, fetch, measure_columns

_LOOKED_AT = "looked_at"
_SAMPLE = 1_000_000
_FREQUENT = 40
_PARTS = 10
_OTHER = "other"


def measure_distributions(
    connection: duckdb.DuckDBPyConnection, surface: SurfaceSpec, *, days: int
) -> list[Measurement]:
    """Measure the values of each feature and segment on the newest days of the relation ``labels``."""
    present = {kind.subject for kind in measure_columns(connection, LABELS, described_columns(surface))}
    _look_at(connection, sorted(present), days)
    measured: list[Measurement] = []
    for name, binned in _binned(connection, surface, present).items():
        measured += _by_day(connection, name, binned)
    return measured


def described_columns(surface: SurfaceSpec) -> tuple[str, ...]:
    """Name the columns that features and segments are made from."""
    return tuple(dict.fromkeys((*surface.features.names, *(s.column for s in surface.segments))))


def _look_at(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], days: int) -> None:
    """Make the relation ``looked_at``: day and columns of a sample of the newest days."""
    newest = fetch(
        connection,
        "SELECT $day, count(*) FROM $labels GROUP BY 1 ORDER BY 1 DESC LIMIT $days",
        day=x.column(c.DAY),
        labels=x.table(LABELS),
        days=x.integer(days),
    )
    every = max(1, sum(rows for _, rows in newest) // _SAMPLE)
    connection.execute(
        fill(
            """CREATE OR REPLACE TEMP TABLE $name AS SELECT $columns FROM $labels
               WHERE $day >= $first AND hash($request) % $every = 0""",
            name=x.name(_LOOKED_AT),
            columns=x.columns((c.DAY, *columns)),
            labels=x.table(LABELS),
            day=x.column(c.DAY),
            first=x.cast(x.text(min((day for day, _ in newest), default="1970-01-01")), "DATE"),
            request=x.column(c.REQUEST_ID),
            every=x.integer(every),
        )
    )


def _binned(
    connection: duckdb.DuckDBPyConnection, surface: SurfaceSpec, present: Collection[str]
) -> Mapping[str, exp.Expr]:
    """Return an expression of the value that a row counts for, by feature and segment."""
    numeric = [name for name in surface.features.numeric if name in present]
    binned = {name: _bin(name, cuts) for name, cuts in _tenths(connection, numeric).items()}
    words = {
        name: SegmentSpec.model_validate({"name": name, "from": name})
        for name in surface.features.categorical
    }
    for name, segment in (words | {s.name: s for s in surface.segments}).items():
        if segment.column in present:
            whole = x.cast(x.column(segment.column), "VARCHAR")
            binned[name] = whole if segment.bins is None else _bin(segment.column, segment.bins)
    return binned


def _tenths(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> Mapping[str, Sequence[float]]:
    if not names:
        return {}
    shares = exp.Array(expressions=[x.number(part / _PARTS) for part in range(1, _PARTS)])
    asked = [x.call("QUANTILE_CONT", _finite(name), shares.copy()) for name in names]
    ((*tenths,),) = fetch(
        connection, "SELECT $asked FROM $looked_at", asked=asked, looked_at=x.table(_LOOKED_AT)
    )
    return {name: sorted(set(cuts or ())) for name, cuts in zip(names, tenths, strict=True)}


def _finite(name: str) -> exp.Expr:
    number = x.cast(x.column(name), "DOUBLE")
    return x.when(x.call("ISFINITE", number), number.copy())


def _bin(name: str, cuts: Sequence[float]) -> exp.Expr:
    """Return the range between the cuts that a number lies in, named by its ends; null of a null."""
    number = _finite(name)
    if not cuts:
        return x.when(x.not_null(number), x.text("any"))
    below = [(x.lt(number, x.number(cuts[0])), x.text(f"<{cuts[0]:g}"))]
    between = [
        (x.lt(number.copy(), x.number(high)), x.text(f"{low:g}-{high:g}")) for low, high in pairwise(cuts)
    ]
    rest = x.ge(number.copy(), x.number(cuts[-1]))
    return x.case([*below, *between, (rest, x.text(f">={cuts[-1]:g}"))])


def _by_day(connection: duckdb.DuckDBPyConnection, name: str, value: exp.Expr) -> Iterator[Measurement]:
    counted = fetch(
        connection,
        """WITH counted AS (
             SELECT $day AS day, $value AS value, count(*) AS n FROM $looked_at
             WHERE $value IS NOT NULL GROUP BY ALL
           ), frequent AS (
             SELECT value FROM counted GROUP BY 1 ORDER BY sum(n) DESC, 1 LIMIT $most
           )
           SELECT day, if(value IN (FROM frequent), value, $other) AS part, sum(n)::BIGINT
           FROM counted GROUP BY ALL ORDER BY ALL""",
        day=x.column(c.DAY),
        value=value,
        looked_at=x.table(_LOOKED_AT),
        most=x.integer(_FREQUENT),
        other=x.text(_OTHER),
    )
    of: dict[object, int] = {}
    for day, _, rows in counted:
        of[day] = of.get(day, 0) + rows
    for day, part, rows in counted:
        yield Measurement(VALUES, name, part, day, rows, of[day])
