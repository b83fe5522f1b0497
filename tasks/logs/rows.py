"""Which rows of the log take part in a build: known before the as-of, one impression a key.

::

    repeated            keys that more than one impression has
    first_of_repeated   of those, the earliest impression; ties: lowest position, then the other columns
    shown               every impression that takes part
    written             where labels alone are wanted: every impression of their days that has a key
    known               every event that takes part
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.sql import expressions as x

IMPRESSIONS = "impressions"
EVENTS = "events"
REPEATED = "repeated"
FIRST = "first_of_repeated"
SHOWN = "shown"
WRITTEN = "written"
KNOWN = "known"
PLACE = "_place"


@dataclass(frozen=True)
class DayRange:
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date


def has_key(table: str | None, as_of: x.AsOf) -> exp.Expr:
    """Return that an impression was shown before the as-of and has its whole key."""
    return x.all_of(
        x.lt(x.column(c.SHOWN_AT, table), x.instant(as_of)),
        *(x.not_null(x.column(k, table)) for k in c.IMPRESSION_KEY),
    )


def repeated_keys(as_of: x.AsOf, among: str = IMPRESSIONS) -> exp.Select:
    """Return the keys that more than one impression has.

    Parameters
    ----------
    among
        A relation that holds every impression whose key may be repeated.
    """
    keys = x.columns(c.IMPRESSION_KEY)
    query = x.select(keys, x.table(among), where=[has_key(among, as_of)], group=x.columns(c.IMPRESSION_KEY))
    query.set("having", exp.Having(this=x.gt(exp.Count(this=exp.Star()), x.integer(1))))
    return query


def place_of_twin(table: str, names: Sequence[str]) -> exp.Window:
    """Return a row's place among those of its key: 1 is the one that stays."""
    rest = [n for n in names if n not in {*c.IMPRESSION_KEY, c.SHOWN_AT, c.POSITION}]
    order = [c.SHOWN_AT, *((c.POSITION,) if c.POSITION in names else ()), *rest]
    earliest_first = [x.ascending(column) for column in x.columns(order, table)]
    return x.row_number(x.columns(c.IMPRESSION_KEY, table), earliest_first)


def placed_twins(as_of: x.AsOf, names: Sequence[str], among: str = IMPRESSIONS) -> exp.Select:
    """Return every impression with a repeated key and its ``_place`` among them."""
    place = x.alias(place_of_twin(among, names), PLACE)
    return x.select(
        [*x.columns(names, among), place],
        x.table(among),
        joins=[(x.table(REPEATED), x.eq_columns(c.IMPRESSION_KEY, among, REPEATED))],
        where=[has_key(among, as_of)],
    )


def first_of_repeated(as_of: x.AsOf, names: Sequence[str]) -> exp.Select:
    """Return the impressions that stay of those with a repeated key."""
    return first_of(x.subquery(placed_twins(as_of, names), "placed"), names)


def first_of(placed: exp.Expr, names: Sequence[str]) -> exp.Select:
    """Return the rows of the first ``_place``."""
    return x.select(x.columns(names), placed, where=[x.eq(x.column(PLACE), x.integer(1))])


def shown_impressions(as_of: x.AsOf, names: Sequence[str], days: Sequence[DayRange] | None) -> exp.Query:
    """Return the impressions that take part, of some days or of all."""
    alone = x.is_null(x.column(c.REQUEST_ID, REPEATED))
    single = x.select(
        x.columns(names, IMPRESSIONS),
        x.table(IMPRESSIONS),
        joins=[(x.table(REPEATED), x.eq_columns(c.IMPRESSION_KEY, IMPRESSIONS, REPEATED))],
        left=True,
        where=[has_key(IMPRESSIONS, as_of), *_within(c.SHOWN_AT, days, IMPRESSIONS), alone],
    )
    first = x.select(x.columns(names), x.table(FIRST), where=_within(c.SHOWN_AT, days))
    return exp.Union(this=single, expression=first, distinct=False)


def written_impressions(as_of: x.AsOf, names: Sequence[str], days: Sequence[DayRange] | None) -> exp.Select:
    """Return the impressions that have a key, of some days or of all, repeated keys and all.

    Credit by window may start from them: a window of a row that is one too many is asked for by none.
    """
    return x.select(
        x.columns(names),
        x.table(IMPRESSIONS),
        where=[has_key(None, as_of), *_within(c.SHOWN_AT, days)],
    )


def known_events(
    as_of: x.AsOf, names: Sequence[str], events: Sequence[str], days: Sequence[DayRange] | None
) -> exp.Select:
    """Return the events of the given names that are known as of the instant.

    Parameters
    ----------
    names
        Columns of the events table to keep; where it has ``ingested_at``, an event counts from then on.
    """
    wanted = [n for n in names if n != c.INGESTED_AT]
    named = x.one_of(x.column(c.EVENT), events)
    known = known_as_of(as_of, ingested=c.INGESTED_AT in names)
    return x.select(x.columns(wanted), x.table(EVENTS), where=[known, named, *_within(c.HAPPENED_AT, days)])


def known_as_of(as_of: x.AsOf, *, ingested: bool) -> exp.Expr:
    """Return that an event had happened, and had arrived where that is logged."""
    happened = x.lt(x.column(c.HAPPENED_AT), x.instant(as_of))
    if not ingested:
        return happened
    arrived = x.lt(x.column(c.INGESTED_AT), x.instant(as_of))
    return x.all_of(happened, x.any_of(x.is_null(x.column(c.INGESTED_AT)), arrived))


def in_days(name: str, days: Sequence[DayRange], table: str | None = None) -> exp.Expr:
    """Return that an instant lies in one of the ranges of UTC days."""
    return x.any_of(*(_in_range(x.column(name, table), r) for r in days))


def _within(name: str, days: Sequence[DayRange] | None, table: str | None = None) -> list[exp.Expr]:
    return [in_days(name, days, table)] if days is not None else []


def _in_range(column: exp.Column, days: DayRange) -> exp.Expr:
    ends = x.day_start(days.last + timedelta(days=1))
    return x.all_of(x.ge(column, x.day_start(days.first)), x.lt(column.copy(), ends))
