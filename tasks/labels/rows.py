"""Which rows of the log take part in a build: known before the as-of, one impression a key.

::

    repeated    keys that more than one impression has
    first       of those, the earliest impression; ties: lowest position, then the other columns in order
    shown       every impression that takes part
    known       every event that takes part
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlglot import exp

from tasks import columns as c
from tasks.labels import expressions as x

IMPRESSIONS = "impressions"
EVENTS = "events"
REPEATED = "repeated"
FIRST = "first_of_repeated"
_PLACE = "_place"


@dataclass(frozen=True)
class DayRange:
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date


def has_key(table: str, as_of: x.AsOf) -> exp.Expr:
    """Return that an impression was shown before the as-of and has its whole key."""
    before = exp.LT(this=x.column(c.SHOWN_AT, table), expression=x.instant(as_of))
    return exp.and_(before, *(x.not_null(x.column(k, table)) for k in c.IMPRESSION_KEY))


def repeated_keys(as_of: x.AsOf) -> exp.Select:
    """Return the keys that more than one impression has."""
    keys = x.columns(c.IMPRESSION_KEY)
    more = exp.GT(this=exp.Count(this=exp.Star()), expression=x.integer(1))
    found = exp.select(*keys).from_(x.table(IMPRESSIONS)).where(has_key(IMPRESSIONS, as_of))
    return found.group_by(*x.columns(c.IMPRESSION_KEY)).having(more)


def placed_twins(as_of: x.AsOf, names: Sequence[str]) -> exp.Select:
    """Return every impression with a repeated key and its ``_place`` among them: 1 is the one that stays."""
    rest = [n for n in names if n not in {*c.IMPRESSION_KEY, c.SHOWN_AT, c.POSITION}]
    order = [c.SHOWN_AT, *((c.POSITION,) if c.POSITION in names else ()), *rest]
    place = x.place(
        x.columns(c.IMPRESSION_KEY, IMPRESSIONS), [x.ascending(o) for o in x.columns(order, IMPRESSIONS)]
    )
    return (
        exp.select(*x.columns(names, IMPRESSIONS), x.named(place, _PLACE))
        .from_(x.table(IMPRESSIONS))
        .join(x.table(REPEATED), on=x.equal(c.IMPRESSION_KEY, IMPRESSIONS, REPEATED))
        .where(has_key(IMPRESSIONS, as_of))
    )


def first_of_repeated(as_of: x.AsOf, names: Sequence[str]) -> exp.Select:
    """Return the impressions that stay of those with a repeated key."""
    twins = placed_twins(as_of, names).subquery(x.name("placed"))
    return exp.select(*x.columns(names)).from_(twins).where(x.column(_PLACE).eq(x.integer(1)))


def shown_impressions(as_of: x.AsOf, names: Sequence[str], days: Sequence[DayRange] | None) -> exp.Query:
    """Return the impressions that take part, of some days or of all."""
    twin = (
        exp.select(exp.Literal.number(1))
        .from_(x.table(REPEATED))
        .where(x.equal(c.IMPRESSION_KEY, REPEATED, IMPRESSIONS))
    )
    single = exp.select(*x.columns(names, IMPRESSIONS)).from_(x.table(IMPRESSIONS))
    single = single.where(
        has_key(IMPRESSIONS, as_of), *_within(c.SHOWN_AT, days), exp.not_(exp.Exists(this=twin))
    )
    first = exp.select(*x.columns(names)).from_(x.table(FIRST)).where(*_within(c.SHOWN_AT, days))
    return exp.union(single, first, distinct=False)


def known_events(
    as_of: x.AsOf, names: Sequence[str], events: Sequence[str], days: Sequence[DayRange] | None
) -> exp.Select:
    """Return the events of the given names that are known as of the instant.

    Parameters
    ----------
    names
        Columns of the events table to keep; where it has ``ingested_at``, an event counts from then on.
    """
    query = exp.select(*x.columns(n for n in names if n != c.INGESTED_AT)).from_(x.table(EVENTS))
    query = query.where(known_as_of(as_of, ingested=c.INGESTED_AT in names), *_within(c.HAPPENED_AT, days))
    return query.where(x.one_of(x.column(c.EVENT), events))


def known_as_of(as_of: x.AsOf, *, ingested: bool) -> exp.Expr:
    """Return that an event had happened, and had arrived where that is logged."""
    happened = exp.LT(this=x.column(c.HAPPENED_AT), expression=x.instant(as_of))
    if not ingested:
        return happened
    arrived = x.column(c.INGESTED_AT)
    return exp.and_(
        happened,
        exp.or_(x.is_null(arrived), exp.LT(this=arrived.copy(), expression=x.instant(as_of))),
    )


def in_days(name: str, days: Sequence[DayRange]) -> exp.Expr:
    """Return that an instant lies in one of the ranges of UTC days."""
    return exp.or_(*(_in_range(name, r) for r in days))


def _within(name: str, days: Sequence[DayRange] | None) -> list[exp.Expr]:
    return [in_days(name, days)] if days is not None else []


def _in_range(name: str, days: DayRange) -> exp.Expr:
    column = x.column(name)
    return exp.and_(
        exp.GTE(this=column, expression=x.day_start(days.first)),
        exp.LT(this=column.copy(), expression=x.day_end(days.last)),
    )
