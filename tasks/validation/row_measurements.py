"""Measurements of impressions and candidates: rows and nulls by day, keys, users."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.utility import HardConstraint
from tasks.logs import footers as kinds
from tasks.logs.rows import CANDIDATES, IMPRESSIONS
from tasks.logs.schema_fit import wanted_columns
from tasks.sql import expressions as x
from tasks.validation import measurements as m
from tasks.validation.label_measurements import LABELS
from tasks.validation.measurements import (
    EXAMPLES,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
    measure_newest,
)

_LEAST_REQUESTS, _MOST_USERS = 50, 10
_ROUNDED = 0.01
_NUMBERS = ("integer", "number", "boolean", "DECIMAL", "HUGEINT", "UBIGINT", "UINTEGER")
_MOST_COMPARED = 500_000
"""Shown candidates above which a sample of the requests is compared."""

_LEAST_SHOWN = 30
"""Shown candidates of a day below which their values are not compared with those of the others."""

REACHED = "reached_candidates"
"""Candidates of the days that a training slice can include, each with its day."""

_MOST_EMBARGOES = 4
_FIRST = datetime.min.replace(tzinfo=UTC)


def measure_impressions(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    *,
    as_of: datetime,
    table: str = LABELS,
    subject: str = IMPRESSIONS,
) -> list[Measurement]:
    """Measure a relation of impressions or candidates with their day; rows of ``labels`` are impressions."""
    types = measure_columns(connection, table, columns)
    present = [kind.subject for kind in types]
    future = x.ge(x.column(c.SHOWN_AT), x.instant(as_of))
    counted = fetch(
        connection,
        "SELECT $day, count(*), $future, $nulls FROM $table GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY),
        future=count_if(future),
        nulls=[count_if(x.is_null(x.column(name))) for name in present],
        table=x.table(table),
    )
    rows, later = sum(row[1] for row in counted), sum(row[2] for row in counted)
    examples = find_examples(connection, table, future, count=later)
    measured = [
        *types,
        *measure_newest(connection, table, c.SHOWN_AT),
        Measurement(m.FUTURE, c.SHOWN_AT, rows=later, of=rows, examples=examples),
        _keys(connection, table, rows),
    ]
    for day, count, _, *nulls in counted:
        measured.append(Measurement(m.ROWS, subject, day=day, rows=count))
        measured += (Measurement(m.NULLS, n, "", day, k, count) for n, k in zip(present, nulls, strict=True))
    return measured


def measure_heavy_users(connection: duckdb.DuckDBPyConnection, tasks: Sequence[str]) -> Iterator[Measurement]:
    """Return the users with the most requests, and each task's labels with and without each of them.

    Users with fewer than 50 requests, or with at most twice the median user's requests, are omitted.
    """
    heavy = fetch(
        connection,
        """WITH users AS (SELECT $user AS named, count(DISTINCT hash($request)) AS n FROM $labels
                          WHERE $user IS NOT NULL GROUP BY 1)
           SELECT named, n, (SELECT count(DISTINCT hash($request)) FROM $labels) AS total FROM users
           WHERE n >= $least AND n > 2 * (SELECT median(n) FROM users)
           ORDER BY n DESC, 1 LIMIT $most""",
        user=x.column(c.USER_ID),
        request=x.column(c.REQUEST_ID),
        labels=x.table(LABELS),
        least=x.integer(_LEAST_REQUESTS),
        most=x.integer(_MOST_USERS),
    )
    if not heavy:
        return
    sums = [of(this=x.column(task)) for task in tasks for of in (exp.Sum, exp.Count)]
    ((*whole,),) = fetch(connection, "SELECT $sums FROM $labels", sums=sums, labels=x.table(LABELS))
    own = fetch(
        connection,
        "SELECT $user, $sums FROM $labels WHERE $user IN ($heavy) GROUP BY 1",
        user=x.column(c.USER_ID),
        sums=sums,
        labels=x.table(LABELS),
        heavy=[exp.convert(user) for user, *_ in heavy],
    )
    of_user = {user: figures for user, *figures in own}
    for user, requests, total in heavy:
        yield Measurement(m.USER, IMPRESSIONS, str(user), rows=requests, of=total)
        for n, task in enumerate(tasks):
            (sum_, count), (less, fewer) = whole[2 * n : 2 * n + 2], of_user[user][2 * n : 2 * n + 2]
            rest = (sum_ or 0) - (less or 0)
            yield Measurement(m.WITH_USERS, task, of=count, total=float(sum_ or 0))
            yield Measurement(m.WITHOUT_USER, task, str(user), of=count - fewer, total=float(rest))


def _keys(connection: duckdb.DuckDBPyConnection, table: str, rows: int) -> Measurement:
    """Count the rows with a repeated or incomplete key.

    If there are as many distinct hashes as rows, no key repeats; this check takes a fraction of the memory.
    """
    subject, columns = "/".join(c.IMPRESSION_KEY), x.columns(c.IMPRESSION_KEY)
    whole = x.all_of(*(x.not_null(column.copy()) for column in columns))
    ((hashes,),) = fetch(
        connection,
        "SELECT count(DISTINCT hash($key)) FROM $table WHERE $whole",
        key=columns,
        table=x.table(table),
        whole=whole,
    )
    if hashes == rows:
        return Measurement(m.KEYS, subject, of=rows)
    repeated = fetch(
        connection,
        """SELECT count(*), sum(count(*)) OVER (), $key FROM $table
           GROUP BY ALL HAVING count(*) > 1 OR NOT ($whole) ORDER BY ALL LIMIT 3""",
        key=columns,
        table=x.table(table),
        whole=whole.copy(),
    )
    broken = int(repeated[0][1]) if repeated else 0
    return Measurement(
        m.KEYS, subject, rows=broken, of=rows, examples="; ".join(_format_key(row[2:]) for row in repeated)
    )


def _format_key(key: Sequence[object]) -> str:
    return "/".join("null" if part is None else str(part) for part in key)


def measure_requests(
    connection: duckdb.DuckDBPyConnection, table: str, *, since: date
) -> Iterator[Measurement]:
    """Count invalid positions, and requests with several users, in impressions or candidates since a day."""
    reached = x.ge(x.column(c.DAY), x.day_start(since))
    if measure_columns(connection, table, [c.POSITION]):
        position = x.column(c.POSITION)
        odd = x.any_of(
            x.lt(position, x.integer(1)),
            exp.NEQ(this=position.copy(), expression=x.call("FLOOR", position.copy())),
        )
        ((rows, of),) = fetch(
            connection,
            "SELECT $odd, count($position) FROM $table WHERE $reached",
            odd=count_if(odd),
            position=position.copy(),
            table=x.table(table),
            reached=reached.copy(),
        )
        key = (*c.IMPRESSION_KEY, c.POSITION)
        examples = find_examples(connection, table, x.all_of(reached.copy(), odd), count=rows, key=key)
        yield Measurement(m.POSITION, c.POSITION, rows=rows, of=of, examples=examples)
    yield _users(connection, table, reached)


def _users(connection: duckdb.DuckDBPyConnection, table: str, reached: exp.Expr) -> Measurement:
    """Count requests with several users; as many pairs as requests prove that there are none."""
    parts: dict[str, x.Part] = {
        "request": x.column(c.REQUEST_ID), "user": x.column(c.USER_ID), "table": x.table(table),
        "known": x.all_of(reached, x.not_null(x.column(c.REQUEST_ID))),
    }  # fmt: skip
    ((pairs, requests),) = fetch(
        connection,
        """SELECT count(DISTINCT hash($request, $user)), count(DISTINCT hash($request)) FROM $table
           WHERE $known AND $user IS NOT NULL""",
        **parts,
    )
    if pairs == requests:
        return Measurement(m.USERS, c.REQUEST_ID, of=requests)
    ((broken, examples),) = fetch(
        connection,
        """SELECT count(*), min(named, 3) FROM (
             SELECT concat($request, ' of ', min($user), ' and ', max($user)) AS named
             FROM $table WHERE $known GROUP BY $request HAVING count(DISTINCT $user) > 1)""",
        **parts,
    )
    return Measurement(m.USERS, c.REQUEST_ID, rows=broken, of=requests, examples="; ".join(examples or ()))


def measure_candidates(
    connection: duckdb.DuckDBPyConnection, *, since: date, columns: Sequence[str] = ()
) -> Iterator[Measurement]:
    """Compare the candidates with the impressions of the labels; requires ``reached_candidates``.

    Parameters
    ----------
    since : first day of impressions that must have candidates.
    columns : columns whose values must agree.
    """
    shown = x.coalesce(x.column(c.SHOWN), exp.false())
    day = x.column(c.DAY)
    counted = fetch(
        connection,
        "SELECT $day, $shown, count(*) FROM $reached GROUP BY 1 ORDER BY 1",
        day=day,
        shown=count_if(shown),
        reached=x.table(REACHED),
    )
    for on, n, of in counted:
        yield Measurement(m.SHOWN, c.SHOWN, "", on, n, of)
    if not counted:
        return
    first, last = max(since, counted[0][0]), counted[-1][0]
    ((labelled_to,),) = fetch(connection, "SELECT max($day) FROM $labels", day=day, labels=x.table(LABELS))
    within = x.ge(x.column(c.DAY, LABELS), x.day_start(first))
    has_any = x.exists(x.table(REACHED), x.eq_columns([c.REQUEST_ID], REACHED, LABELS))
    has_shown = x.exists(
        x.table(REACHED), x.all_of(x.eq_columns(c.IMPRESSION_KEY, REACHED, LABELS), shown.copy())
    )
    is_impression = x.exists(x.table(LABELS), x.eq_columns(c.IMPRESSION_KEY, LABELS, REACHED))
    until = x.le(x.column(c.DAY, REACHED), x.day_start(min(last, labelled_to or last)))
    is_shown = x.coalesce(x.column(c.SHOWN, REACHED), exp.false())
    for empty, table, key, among, found in (
        (Measurement(m.UNMATCHED, IMPRESSIONS), LABELS, c.IMPRESSION_KEY, [within, has_any], has_shown),
        (Measurement(m.UNMATCHED, CANDIDATES), REACHED, c.IMPRESSION_KEY, [is_shown, until], is_impression),
        (
            Measurement(m.NO_CANDIDATES, c.REQUEST_ID),
            LABELS,
            (c.REQUEST_ID,),
            [within.copy()],
            has_any.copy(),
        ),
    ):
        yield from _without(connection, empty, table, key, among=among, found=found)
    part = max(1, sum(n for _, n, _ in counted) // _MOST_COMPARED)
    yield from _disagreements(connection, columns, among=[is_shown.copy(), *_every(part)])


def measure_unshown(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Iterator[Measurement]:
    """Compare the values of the candidates that were not shown with those of the shown ones, by day.

    Of each column and day, the value (or null) is reported whose share among them is furthest above its share
    among the shown ones: ``rows`` is the excess. Of many candidates those of some requests are compared.
    """
    shown = count_if(x.coalesce(x.column(c.SHOWN), exp.false()))
    ((total,),) = fetch(connection, "SELECT $shown FROM $reached", shown=shown, reached=x.table(REACHED))
    among, _ = _every(max(1, total // _MOST_COMPARED))
    for column in measure_columns(connection, REACHED, columns):
        counted = fetch(
            connection,
            """SELECT on_day, max_by(seen, excess), max(excess), any_value(others) FROM (
                 SELECT on_day, seen, sum(n - s) OVER days AS others, sum(s) OVER days AS shown,
                   (n - s) / sum(n - s) OVER days - s / sum(s) OVER days AS excess
                 FROM (SELECT $day AS on_day, coalesce($seen, 'null') AS seen, count(*) AS n, $shown AS s
                       FROM $reached WHERE $among GROUP BY 1, 2)
                 WINDOW days AS (PARTITION BY on_day))
               WHERE shown >= $least AND others > 0 GROUP BY 1 ORDER BY 1""",
            day=x.column(c.DAY),
            seen=x.cast(x.column(column.subject), "VARCHAR"),
            shown=shown.copy(),
            reached=x.table(REACHED),
            among=among.copy(),
            least=x.integer(_LEAST_SHOWN),
        )
        for day, value, excess, others in counted:
            rows = round(excess * int(others))
            examples = value if rows else ""
            yield Measurement(m.RARELY_SHOWN, column.subject, "", day, rows, int(others), examples=examples)


def _every(part: int) -> list[exp.Expr]:
    """Keep one of so many requests in both tables, so that the join stays small."""
    hashes = (x.call("HASH", x.column(c.REQUEST_ID, table)) for table in (REACHED, LABELS))
    return [x.eq(exp.Mod(this=one, expression=x.integer(part)), x.integer(0)) for one in hashes]


def _disagreements(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], *, among: list[exp.Expr]
) -> Iterator[Measurement]:
    """Count, by column and day, the shown candidates whose value differs from the one of their impression.

    Numbers differ if they are more than a hundredth apart, since one table may be rounded. Columns that one
    of the tables lacks are omitted.
    """
    of_labels, of_reached = (
        {one.subject: one.value for one in measure_columns(connection, table, columns)}
        for table in (LABELS, REACHED)
    )
    names = sorted((of_labels.keys() & of_reached.keys()) - {*c.IMPRESSION_KEY, c.SHOWN_AT})
    key = x.call("CONCAT_WS", x.text("/"), *x.columns(c.IMPRESSION_KEY, REACHED))
    figures: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for name in names:
        numbers = of_labels[name].startswith(_NUMBERS) and of_reached[name].startswith(_NUMBERS)
        differs = _differs(name, is_number=numbers)
        smallest = x.call("MIN", key.copy(), x.integer(EXAMPLES))
        figures += [count_if(differs), exp.Filter(this=smallest, expression=exp.Where(this=differs.copy()))]
    counted = fetch(
        connection,
        "SELECT $day, $figures FROM $reached JOIN $labels ON $same WHERE $among GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY, REACHED),
        figures=figures,
        reached=x.table(REACHED),
        labels=x.table(LABELS),
        same=x.eq_columns(c.IMPRESSION_KEY, REACHED, LABELS),
        among=x.all_of(*among),
    )
    for day, of, *found in counted:
        for name, rows, examples in zip(names, found[::2], found[1::2], strict=True):
            yield Measurement(m.DISAGREEING, name, "", day, rows, of, examples="; ".join(examples or ()))


def _differs(name: str, *, is_number: bool) -> exp.Expr:
    left, right = x.column(name, REACHED), x.column(name, LABELS)
    if not is_number:
        return exp.NullSafeNEQ(this=x.cast(left, "VARCHAR"), expression=x.cast(right, "VARCHAR"))
    a, b = x.finite(left), x.finite(right)
    apart = x.call("ABS", exp.Sub(this=a, expression=b))
    size = x.call("GREATEST", x.call("ABS", a.copy()), x.call("ABS", b.copy()))
    near = x.le(apart, exp.Mul(this=x.number(_ROUNDED), expression=size))
    neither = x.all_of(x.is_null(a.copy()), x.is_null(b.copy()))
    return x.not_(x.coalesce(near, neither))


def _without(
    connection: duckdb.DuckDBPyConnection,
    empty: Measurement,
    table: str,
    key: tuple[str, ...],
    *,
    among: list[exp.Expr],
    found: exp.Expr,
) -> Iterator[Measurement]:
    """Count by day the keys of some rows of a table without a match, with three examples."""
    counted = fetch(
        connection,
        """SELECT on_day, count(*) FILTER (NOT found), count(*), min(named, 3) FILTER (NOT found) FROM (
             SELECT named, min(on_day) AS on_day, bool_or(found) AS found FROM (
               SELECT concat_ws('/', $key) AS named, $day AS on_day, $found AS found FROM $table WHERE $among)
             GROUP BY 1)
           GROUP BY 1 ORDER BY 1""",
        key=x.columns(key, table),
        day=x.column(c.DAY, table),
        found=found,
        table=x.table(table),
        among=x.all_of(*among),
    )
    for day, rows, of, examples in counted:
        yield empty._replace(day=day, rows=rows, of=of, examples="; ".join(examples or ()))


def measure_constraints(
    connection: duckdb.DuckDBPyConnection, table: str, utility: UtilitySpec, *, since: date
) -> Iterator[Measurement]:
    """Measure the hard constraints of a policy on a relation of impressions or candidates with their day.

    A context's constraint is measured on the rows that match the context. Constraints on missing columns are
    omitted.
    """
    wanted: list[tuple[HardConstraint, Mapping[str, object]]] = [
        (one, {}) for one in utility.hard_constraints
    ]
    wanted += [(one, context.when) for context in utility.contexts for one in context.hard_constraints]
    asked = [name for one, when in wanted for name in (*one.condition.columns, *when)]
    present = {one.subject for one in measure_columns(connection, table, asked)}
    reached = x.ge(x.column(c.DAY), x.day_start(since))
    for constraint, when in wanted:
        columns = constraint.condition.columns
        if not {*columns, *when} <= present:
            continue
        meets = x.all_of(exp.true(), *(_is_one_of(name, values) for name, values in when.items()))
        counted = fetch(
            connection,
            """SELECT $day, $kept, $unknown, count(*) FROM $table WHERE $reached AND $meets
               GROUP BY 1 ORDER BY 1""",
            day=x.column(c.DAY),
            kept=count_if(keeps(constraint)),
            unknown=count_if(x.any_of(*(x.is_null(x.column(column)) for column in columns))),
            table=x.table(table),
            reached=reached,
            meets=meets,
        )
        for day, kept, unknown, rows in counted:
            yield Measurement(m.KEPT, constraint.name, "", day, kept, rows, float(unknown))
        for column in columns:
            yield _nulls(connection, table, column, x.all_of(reached.copy(), meets.copy()))


def keeps(constraint: HardConstraint) -> exp.Expr:
    """Condition that a constraint keeps a row, whose columns are known."""
    condition = constraint.condition
    value: exp.Expr = x.column(condition.column)
    number = x.finite(value.copy())
    if condition.set_column is not None:
        wanted = exp.convert(condition.contains) if condition.contains is not None else _without_nan(value)
        found = x.call("LIST_CONTAINS", x.column(condition.set_column), wanted)
        holds: exp.Expr = x.when(x.not_null(wanted.copy()), found)  # an empty list contains no null either
    elif condition.other_column is not None:
        compare = x.eq if condition.equals_column else x.gt if condition.above_column else x.lt
        holds = compare(*(_without_nan(x.column(name)) for name in condition.columns))
    elif condition.above is not None:
        holds = x.gt(number, x.number(condition.above))
    elif condition.below is not None:
        holds = x.lt(number, x.number(condition.below))
    else:
        holds = _is_one_of(condition.column, condition.operands)
    return x.coalesce(holds if constraint.keeps else x.not_(exp.Paren(this=holds)), exp.false())


def _without_nan(value: exp.Expr) -> exp.Expr:
    """Return a value of any type with NaN replaced by null; DuckDB orders NaN above every number."""
    number = exp.TryCast(this=value.copy(), to=exp.DataType.build("DOUBLE"))
    return x.when(x.not_(x.coalesce(exp.IsNan(this=number), exp.false())), value)


def _is_one_of(name: str, values: object) -> exp.Expr:
    operands = list(values) if isinstance(values, tuple | list) else [values]
    column: exp.Expr = x.column(name)
    if any(isinstance(operand, str) for operand in operands):
        column = x.cast(column, "VARCHAR")
    return exp.In(this=column, expressions=[exp.convert(operand) for operand in operands])


def _nulls(connection: duckdb.DuckDBPyConnection, table: str, column: str, where: exp.Expr) -> Measurement:
    unknown = x.is_null(x.column(column))
    ((nulls, rows),) = fetch(
        connection,
        "SELECT $nulls, count(*) FROM $table WHERE $where",
        nulls=count_if(unknown),
        table=x.table(table),
        where=where,
    )
    examples = find_examples(connection, table, x.all_of(unknown.copy(), where.copy()), count=nulls)
    return Measurement(m.CONSTRAINT_NULLS, column, rows=nulls, of=rows, examples=examples)


def numeric_columns(contracts: Contracts) -> tuple[str, ...]:
    """Return the columns that are read as numbers: features, values, and columns of policies and training."""
    surface = contracts.surface
    wanted = wanted_columns(contracts, first_release=True)
    asked = [one.column for one in wanted if kinds.NUMBER in one.kinds and kinds.STRING not in one.kinds]
    return tuple(dict.fromkeys((*surface.features.numeric, *surface.values, *asked)))


def first_day_in_reach(contracts: Contracts, as_of: datetime) -> date:
    """Return a lower bound for the first day of any slice of a retrain as of an instant.

    Between two slices, and after the last, lie a task's windows, each at most its maturity.
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
    names : columns; missing columns and columns without floats are omitted.
    before : only rows shown earlier count.
    reached_from : the first day that a training slice can include.
    prefix : prefix of the reported column names.
    """
    kinds_of = {one.subject: one.value for one in measure_columns(connection, table, names)}
    floats = [name for name in names if kinds_of.get(name) == kinds.NUMBER]
    for statistic, reached in ((m.INFINITE, True), (m.INFINITE_EARLIER, False)):
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
        for (name, condition), count in zip(infinite.items(), counted, strict=True):
            broken = x.all_of(condition.copy(), where.copy())
            examples = find_examples(connection, table, broken, count=count)
            yield Measurement(statistic, f"{prefix}{name}", rows=count, of=rows, examples=examples)
