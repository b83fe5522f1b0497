"""Measurements of a label snapshot: labels by day, task and status, and rows that break a rule.

One scan counts everything; rows are read again only for examples of a broken rule.

Positive labels of negative and safety tasks are also counted by day within each segment and categorical
feature. Distributions of features and segments are measured day by day, on the newest days and those before.

::

    a string         its own value; "other" beyond the 40 most frequent of the days
    a number         a tenth of the days' values: <0.2, 0.2-1.5, ...
    a segment        the bins of surface.yaml

Nulls are not counted. A large log is sampled by request: the sample contains all rows of a fixed subset of
the requests.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.columns import Status
from tasks.contracts import SurfaceSpec, TasksSpec
from tasks.contracts.surface import SegmentSpec
from tasks.contracts.training import LARGEST_LABEL
from tasks.evaluation.segments import bin_labels
from tasks.labels.windows import is_mature
from tasks.sql import expressions as x
from tasks.validation import measurements as m
from tasks.validation.measurements import Measurement, count_if, fetch, find_examples, measure_columns

LABELS = "labels"
EARLY, UNMASKED, PARENTLESS, MEANINGLESS = "early", "unmasked", "parentless", "meaningless"
BEYOND, MISDATED = "beyond", "misdated"

Rules = Mapping[tuple[str, str], exp.Expr]
"""By rule and task, the condition of a row that breaks it."""


def label_rules(tasks: TasksSpec, as_of: datetime) -> Rules:
    """Return the rules that no label may break.

    early         observed although its maturity lies after the as-of
    unmasked      has a value but is not observed, or is observed without a value
    parentless    observed although its parent is not positive
    meaningless   has an unknown status
    beyond        has a value that trees cannot represent: too large, infinite or NaN
    misdated      has no label because its deadline is before the window or too far after it
    """
    rules: dict[tuple[str, str], exp.Expr] = {}
    for task, spec in tasks.tasks.items():
        status, observed = x.column(c.status(task)), _observed(task)
        rules[EARLY, task] = x.all_of(observed, x.not_(is_mature(tasks, task, as_of)))
        rules[UNMASKED, task] = exp.NEQ(
            this=observed.copy(), expression=exp.Paren(this=x.not_null(x.column(task)))
        )
        known = x.coalesce(x.one_of(status, [str(s) for s in Status]), exp.false())
        rules[MEANINGLESS, task] = x.not_(known)
        if spec.value is not None:
            size = x.call("ABS", x.cast(x.column(task), "DOUBLE"))
            rules[BEYOND, task] = x.gt(size, x.number(LARGEST_LABEL))
        if spec.rule and spec.rule.until:
            opens, due = x.column(c.SHOWN_AT), x.column(spec.rule.until)
            latest = exp.Add(this=opens.copy(), expression=x.interval(tasks.window(task)))
            rules[MISDATED, task] = x.any_of(x.le(due, opens), x.gt(due.copy(), latest))
        if parent := tasks.window_opener(task):
            positive = x.coalesce(x.eq(x.column(parent), x.integer(1)), exp.false())
            rules[PARENTLESS, task] = x.all_of(observed.copy(), x.not_(positive))
    return rules


def measure_labels(
    connection: duckdb.DuckDBPyConnection, tasks: TasksSpec, *, as_of: datetime
) -> list[Measurement]:
    """Measure the relation ``labels``."""
    rules = label_rules(tasks, as_of)
    figures: list[exp.Expr] = [count_if(broken) for broken in rules.values()]
    for task in tasks.tasks:
        figures += _figures(task)
    counted_days = fetch(
        connection,
        "SELECT $day, count(*), $figures FROM $labels GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY),
        figures=figures,
        labels=x.table(LABELS),
    )
    measured: list[Measurement] = []
    broken, rows = [0] * len(rules), 0
    for day, count, *counted in counted_days:
        measured.append(Measurement(m.ROWS, LABELS, day=day, rows=count))
        broken = [a + b for a, b in zip(broken, counted[: len(rules)], strict=True)]
        rows += count
        numbers = iter(counted[len(rules) :])
        for task in tasks.tasks:
            statuses = {status: next(numbers) for status in Status}
            measured += (Measurement(m.STATUS, task, s, day, n, count) for s, n in statuses.items())
            positive, total = next(numbers), next(numbers)
            measured.append(
                Measurement(m.POSITIVES, task, "", day, positive, statuses[Status.OBSERVED], total or 0.0)
            )
    return [*measured, *_broken(connection, rules, broken, rows)]


def _figures(task: str) -> Iterator[exp.Expr]:
    for status in Status:
        yield count_if(x.eq(x.column(c.status(task)), x.text(status)))
    yield count_if(_positive(task))
    yield exp.Sum(this=x.column(task))


def _broken(
    connection: duckdb.DuckDBPyConnection, rules: Rules, broken: list[int], rows: int
) -> Iterator[Measurement]:
    for ((rule, task), condition), count in zip(rules.items(), broken, strict=True):
        examples = find_examples(connection, LABELS, condition, count=count)
        yield Measurement(rule, task, rows=count, of=rows, examples=examples)


def _positive(task: str) -> exp.Expr:
    return x.gt(x.column(task), x.integer(0))


def _observed(task: str) -> exp.Expr:
    return x.coalesce(x.eq(x.column(c.status(task)), x.text(Status.OBSERVED)), exp.false())


_LEAST_POSITIVES = 30
_SAMPLED, _SHARED = 200_000, 0.99
"""Rows in which parts of requests are looked for, and the least share of requests with one value."""


def measure_negatives(
    connection: duckdb.DuckDBPyConnection, surface: SurfaceSpec, tasks: TasksSpec, *, since: date
) -> Iterator[Measurement]:
    """Count the positive labels of negative and safety tasks by day and part, in the relation ``labels``.

    The parts are the 40 most frequent values of each segment and categorical feature that all rows of a
    request share, such as its app or region: rates by item change with the items. A part with fewer than 30
    positives since the given day is omitted. Composites are omitted, as their components are common events.
    """
    costs = [task for task, spec in tasks.tasks.items() if spec.family.costs and spec.rule]
    read = (*surface.features.categorical, *(segment.column for segment in surface.segments))
    present = {kind.subject for kind in measure_columns(connection, LABELS, read)}
    figures = [count_if(one) for task in costs for one in (_positive(task), _observed(task))]
    for name, value in _of_requests(connection, _parts(surface, present)).items() if costs else ():
        counted = fetch(
            connection,
            """WITH frequent AS (
                 SELECT $value AS part FROM $labels WHERE $day >= $since AND $value IS NOT NULL
                 GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT $most)
               SELECT $value AS part, $day, $figures FROM $labels
               WHERE $day >= $since AND $value IN (FROM frequent) GROUP BY 1, 2 ORDER BY 1, 2""",
            value=value,
            labels=x.table(LABELS),
            day=x.column(c.DAY),
            since=x.day_start(since),
            most=x.integer(_FREQUENT),
            figures=figures,
        )
        for part, days in groupby(counted, key=itemgetter(0)):
            by_day = list(days)
            for task, at in zip(costs, range(2, 2 + len(figures), 2), strict=True):
                if sum(row[at] for row in by_day) >= _LEAST_POSITIVES:
                    for row in by_day:
                        hits, of = row[at : at + 2]
                        yield Measurement(m.NEGATIVES_OF_PART, task, f"{name} = {part}", row[1], hits, of)


def _of_requests(connection: duckdb.DuckDBPyConnection, parts: Mapping[str, exp.Expr]) -> dict[str, exp.Expr]:
    """Return the parts that the rows of a request share, by a sample of the requests with several rows."""
    if not parts:
        return {}
    ((rows,),) = fetch(connection, "SELECT count(*) FROM $labels", labels=x.table(LABELS))
    ((*shared,),) = fetch(
        connection,
        """SELECT $shares FROM (
             SELECT $shared FROM $labels WHERE hash($request) % $every = 0
             GROUP BY $request HAVING count(*) > 1)""",
        shares=[x.call("AVG", x.cast(x.column(name), "INTEGER")) for name in parts],
        shared=[x.alias(_is_shared(value), name) for name, value in parts.items()],
        labels=x.table(LABELS),
        request=x.column(c.REQUEST_ID),
        every=x.integer(max(1, rows // _SAMPLED)),
    )
    return {
        name: value
        for (name, value), share in zip(parts.items(), shared, strict=True)
        if share is not None and share >= _SHARED
    }


def _is_shared(value: exp.Expr) -> exp.Expr:
    """Condition that all rows of a group have one value."""
    least, most = (x.call(name, value.copy()) for name in ("MIN", "MAX"))
    return x.coalesce(x.eq(least, most), exp.true())


_LOOKED_AT = "looked_at"
_SAMPLE = 1_000_000
_FREQUENT = 40
_PARTS = 10
_OTHER = "other"


def measure_distributions(
    connection: duckdb.DuckDBPyConnection, surface: SurfaceSpec, *, days: int
) -> list[Measurement]:
    """Measure the values of each feature and segment on the newest days of the relation ``labels``."""
    read = (*surface.features.names, *(segment.column for segment in surface.segments))
    present = {kind.subject for kind in measure_columns(connection, LABELS, read)}
    _look_at(connection, sorted(present), days)
    measured: list[Measurement] = []
    for name, binned in _binned(connection, surface, present).items():
        measured += _by_day(connection, name, binned)
    return measured


def _look_at(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], days: int) -> None:
    """Create the relation ``looked_at``: day and columns of a sample of the newest days."""
    newest = fetch(
        connection,
        "SELECT $day, count(*) FROM $labels GROUP BY 1 ORDER BY 1 DESC LIMIT $days",
        day=x.column(c.DAY),
        labels=x.table(LABELS),
        days=x.integer(days),
    )
    every = max(1, sum(rows for _, rows in newest) // _SAMPLE)
    connection.execute(
        x.fill(
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
    """Return an expression for the counted value of a row, by feature and segment."""
    numeric = [name for name in surface.features.numeric if name in present]
    binned = {name: _bin(name, cuts) for name, cuts in _tenths(connection, numeric).items()}
    return binned | _parts(surface, present)


def _parts(surface: SurfaceSpec, present: Collection[str]) -> dict[str, exp.Expr]:
    """Return an expression for the part that a row is in, by categorical feature and segment."""
    words = {
        name: SegmentSpec.model_validate({"name": name, "from": name})
        for name in surface.features.categorical
    }
    parts: dict[str, exp.Expr] = {}
    for name, segment in (words | {s.name: s for s in surface.segments}).items():
        if segment.column in present:
            whole = x.cast(x.column(segment.column), "VARCHAR")
            parts[name] = whole if segment.bins is None else _bin(segment.column, segment.bins)
    return parts


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
    """Return the bin of a number, named by its bounds, rounded if the names stay distinct; null for null."""
    number = _finite(name)
    if not cuts:
        return x.when(x.not_null(number), x.text("any"))
    rounded = bin_labels([float(f"{cut:g}") for cut in cuts])
    *below, last = rounded if len({*rounded}) == len(rounded) else bin_labels(cuts)
    bins = [(x.lt(number.copy(), x.number(cut)), x.text(name)) for cut, name in zip(cuts, below, strict=True)]
    return x.case([*bins, (x.ge(number, x.number(cuts[-1])), x.text(last))])


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
        yield Measurement(m.VALUES, name, part, day, rows, of[day])
