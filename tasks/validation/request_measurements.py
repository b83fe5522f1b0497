"""What is measured of requests: positions, the user of each, and candidates beside the impressions.

::

    position          rows whose position is no whole number from 1
    users             requests with several users
    shown             candidates with ``shown``, by day
    unmatched         impressions without a shown candidate, and shown candidates without an impression
    no_candidates     requests of impressions without any candidate

Candidates are compared from the first day that has some, in days that a slice can reach.
"""

from collections.abc import Iterator
from datetime import date

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.logs.rows import CANDIDATES, IMPRESSIONS
from tasks.sql import expressions as x
from tasks.sql.templates import Part
from tasks.validation.label_measurements import LABELS
from tasks.validation.measurements import (
    NO_CANDIDATES,
    POSITION,
    SHOWN,
    UNMATCHED,
    USERS,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
)

REACHED = "reached_candidates"
"""Candidates of the days that a slice can reach, each with its day."""


def measure_requests(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[Measurement]:
    """Count odd positions and requests with several users of a relation of impressions or candidates."""
    if measure_columns(connection, table, [c.POSITION]):
        position = x.column(c.POSITION)
        odd = x.any_of(
            x.lt(position, x.integer(1)),
            exp.NEQ(this=position.copy(), expression=x.call("FLOOR", position.copy())),
        )
        ((rows, of),) = fetch(
            connection,
            "SELECT $odd, count($position) FROM $table",
            odd=count_if(odd),
            position=position.copy(),
            table=x.table(table),
        )
        key = {name: x.column(name) for name in (*c.IMPRESSION_KEY, c.POSITION)}
        examples = find_examples(connection, table, odd.copy(), key) if rows else ""
        yield Measurement(POSITION, c.POSITION, rows=rows, of=of, examples=examples)
    yield _users(connection, table)


def _users(connection: duckdb.DuckDBPyConnection, table: str) -> Measurement:
    """Count requests with several users; as many pairs as requests prove that there is none."""
    parts: dict[str, Part] = {
        "request": x.column(c.REQUEST_ID), "user": x.column(c.USER_ID), "table": x.table(table)
    }  # fmt: skip
    ((pairs, requests),) = fetch(
        connection,
        """SELECT count(DISTINCT hash($request, $user)), count(DISTINCT hash($request)) FROM $table
           WHERE $request IS NOT NULL AND $user IS NOT NULL""",
        **parts,
    )
    if pairs == requests:
        return Measurement(USERS, c.REQUEST_ID, of=requests)
    ((broken, examples),) = fetch(
        connection,
        """SELECT count(*), min(named, 3) FROM (
             SELECT concat($request, ' of ', min($user), ' and ', max($user)) AS named
             FROM $table WHERE $request IS NOT NULL GROUP BY $request HAVING count(DISTINCT $user) > 1)""",
        **parts,
    )
    return Measurement(USERS, c.REQUEST_ID, rows=broken, of=requests, examples="; ".join(examples or ()))


def measure_candidates(connection: duckdb.DuckDBPyConnection, *, since: date) -> Iterator[Measurement]:
    """Compare the candidates with the impressions of the labels; needs ``reached_candidates``.

    Parameters
    ----------
    since : the first day that a slice can reach.
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
        yield Measurement(SHOWN, c.SHOWN, "", on, n, of)
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
        (Measurement(UNMATCHED, IMPRESSIONS), LABELS, c.IMPRESSION_KEY, [within, has_any], has_shown),
        (Measurement(UNMATCHED, CANDIDATES), REACHED, c.IMPRESSION_KEY, [is_shown, until], is_impression),
        (Measurement(NO_CANDIDATES, c.REQUEST_ID), LABELS, (c.REQUEST_ID,), [within.copy()], has_any.copy()),
    ):
        yield _without(connection, empty, table, key, among=among, found=found)


def _without(
    connection: duckdb.DuckDBPyConnection,
    empty: Measurement,
    table: str,
    key: tuple[str, ...],
    *,
    among: list[exp.Expr],
    found: exp.Expr,
) -> Measurement:
    """Count the keys of some rows of a table for which nothing is found, with three of them."""
    ((rows, of, examples),) = fetch(
        connection,
        """SELECT count(*) FILTER (NOT found), count(*), min(named, 3) FILTER (NOT found) FROM (
             SELECT named, bool_or(found) AS found FROM (
               SELECT concat_ws('/', $key) AS named, $found AS found FROM $table WHERE $among)
             GROUP BY 1)""",
        key=x.columns(key, table),
        found=found,
        table=x.table(table),
        among=x.all_of(*among),
    )
    return empty._replace(rows=rows, of=of, examples="; ".join(examples or ()))
