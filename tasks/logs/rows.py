"""Which rows of the log take part in a build: known before the as-of, one of each key and of each event_id.

::

    repeated            keys that more than one impression has
    first_of_repeated   of those, the earliest impression; ties: lowest position, then the other columns
    shown               every impression that takes part
    written             every impression of the days to write that has a key, duplicates included
    repeated_events     ids that more than one known event has
    first_events        of those, the event that was known first; ties: happened_at, then the other columns
    known               every event that takes part

Other rows lie at or after the as-of, had not arrived by then, repeat the event of their id, or are bad: these
go to the quarantine under one of four rules. The event that was known first stays so at every later as-of, so
that a copy that arrives later changes no label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.sql import expressions as x

IMPRESSIONS = "impressions"
EVENTS = "events"
CANDIDATES = "candidates"
REPEATED = "repeated"
FIRST = "first_of_repeated"
DUPLICATES = "duplicates"
SHOWN = "shown"
WRITTEN = "written"
KNOWN = "known"
REPEATED_EVENTS, DUPLICATE_EVENTS = "repeated_events", "duplicate_events"
FIRST_EVENTS, CONFLICTING_EVENTS = "first_events", "conflicting_events"
PLACE = "_place"

REPEATED_KEY, NO_KEY, NO_EVENT = "repeated_key", "no_key", "no_event"
CONFLICTING_EVENT = "conflicting_event"
"""The rules by which a row is bad."""

CUT = (REPEATED, FIRST, REPEATED_EVENTS, FIRST_EVENTS)
"""Relations that are found in the whole log, whatever days a build reads."""

Cut = datetime | None
"""The as-of that cuts a file's rows; None where all of them lie before it, so that no time is compared."""


@dataclass(frozen=True)
class DayRange:
    """Days from ``first`` to ``last``, both included.

    Examples
    --------
    >>> date(2026, 3, 2) in DayRange(date(2026, 3, 1), date(2026, 3, 2))
    True
    """

    first: date = date.min
    last: date = date.max

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def has_key(table: str | None, as_of: x.AsOf) -> exp.Expr:
    """Return that an impression was shown before the as-of and has its whole key."""
    return x.all_of(
        x.lt(x.column(c.SHOWN_AT, table), x.instant(as_of)),
        *(x.not_null(x.column(k, table)) for k in c.IMPRESSION_KEY),
    )


def takes_part(cut: Cut) -> exp.Expr:
    """Return that an impression has its whole key and was shown before the cut."""
    if cut is not None:
        return has_key(None, cut)
    return x.all_of(*(x.not_null(x.column(name)) for name in (c.SHOWN_AT, *c.IMPRESSION_KEY)))


def lacks_key(cut: Cut) -> exp.Expr:
    """Return that an impression has no time, or was shown before the cut and lacks a part of its key."""
    shown = x.column(c.SHOWN_AT)
    lacking = x.any_of(*(x.is_null(x.column(k)) for k in c.IMPRESSION_KEY))
    if cut is not None:
        lacking = x.all_of(x.lt(shown.copy(), x.instant(cut)), lacking)
    return x.any_of(x.is_null(shown), lacking)


def is_known(cut: Cut, *, ingested: bool) -> exp.Expr:
    """Return that an event has a time, and had happened and arrived before the cut."""
    if cut is None:
        return x.not_null(x.column(c.HAPPENED_AT))
    return known_as_of(cut, ingested=ingested)


def lacks_event(cut: Cut, *, ingested: bool) -> exp.Expr:
    """Return that an event has no name or no time, and is known as of the cut; see ``is_known``."""
    nameless = x.all_of(x.is_null(x.column(c.EVENT)), is_known(cut, ingested=ingested))
    timeless = x.is_null(x.column(c.HAPPENED_AT))
    if cut is not None and ingested:
        timeless = x.all_of(timeless, _arrived(cut))
    return x.any_of(timeless, nameless)


def repeated_keys(as_of: x.AsOf, among: str = IMPRESSIONS) -> exp.Select:
    """Return the keys that more than one impression has."""
    keys = x.columns(c.IMPRESSION_KEY)
    query = x.select(keys, x.table(among), where=[has_key(among, as_of)], group=x.columns(c.IMPRESSION_KEY))
    query.set("having", exp.Having(this=x.gt(exp.Count(this=exp.Star()), x.integer(1))))
    return query


def number_duplicates(table: str, names: Sequence[str]) -> exp.Window:
    """Return the number of a row among those of its key: the row of number 1 takes part."""
    rest = [n for n in names if n not in {*c.IMPRESSION_KEY, c.SHOWN_AT, c.POSITION}]
    order = [c.SHOWN_AT, *((c.POSITION,) if c.POSITION in names else ()), *rest]
    earliest_first = [x.ascending(column) for column in x.columns(order, table)]
    return x.row_number(x.columns(c.IMPRESSION_KEY, table), earliest_first)


def duplicates(as_of: x.AsOf, names: Sequence[str], among: str = IMPRESSIONS) -> exp.Select:
    """Return every impression with a repeated key and its ``_place``, the number among those of its key."""
    place = x.alias(number_duplicates(among, names), PLACE)
    return x.select(
        [*x.columns(names, among), place],
        x.table(among),
        joins=[(x.table(REPEATED), x.eq_columns(c.IMPRESSION_KEY, among, REPEATED))],
        where=[has_key(among, as_of)],
    )


def first_of_repeated(as_of: x.AsOf, names: Sequence[str]) -> exp.Select:
    """Return of each repeated key the impression that takes part."""
    return first_of(x.subquery(duplicates(as_of, names), "placed"), names)


def first_of(placed: exp.Expr, names: Sequence[str]) -> exp.Select:
    """Return the rows whose ``_place`` is 1."""
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
    """Return the impressions that have a key, of some days or of all, duplicates included.

    Credit by window may start from them: windows of duplicate rows are never joined.
    """
    where = [has_key(None, as_of), *_within(c.SHOWN_AT, days)]
    return x.select(x.columns(names), x.table(IMPRESSIONS), where=where)


def known_events(
    as_of: x.AsOf,
    names: Sequence[str],
    events: Sequence[str] | None,
    days: Sequence[DayRange] | None = None,
    *,
    wanted: Sequence[str] | None = None,
) -> exp.Query:
    """Return the events that are known as of the instant, those of one id once.

    Parameters
    ----------
    events
        The names that count; None for any name.
    names
        Columns of the events table; with ``ingested_at`` among them, an event counts from then on, and with
        ``event_id`` among them ``repeated_events`` and ``first_events`` are needed.
    wanted
        The columns to return; by default those that labels are made from.
    """
    wanted = wanted or [n for n in names if n not in {c.INGESTED_AT, c.EVENT_ID}]
    if c.EVENT_ID not in names:
        return x.select(x.columns(wanted), x.table(EVENTS), where=_known_of(as_of, names, events, days))
    single = x.select(
        x.columns(wanted, EVENTS),
        x.table(EVENTS),
        joins=[(x.table(REPEATED_EVENTS), x.eq_columns([c.EVENT_ID], EVENTS, REPEATED_EVENTS))],
        left=True,
        where=[
            *_known_of(as_of, names, events, days, EVENTS),
            x.is_null(x.column(c.EVENT_ID, REPEATED_EVENTS)),
        ],
    )
    first = x.select(
        x.columns(wanted), x.table(FIRST_EVENTS), where=[_named(events), *_within(c.HAPPENED_AT, days)]
    )
    return exp.Union(this=single, expression=first, distinct=False)


def _known_of(
    as_of: x.AsOf,
    names: Sequence[str],
    events: Sequence[str] | None,
    days: Sequence[DayRange] | None,
    table: str | None = None,
) -> list[exp.Expr]:
    known = known_as_of(as_of, ingested=c.INGESTED_AT in names, table=table)
    return [known, _named(events, table), *_within(c.HAPPENED_AT, days, table)]


def _named(events: Sequence[str] | None, table: str | None = None) -> exp.Expr:
    event = x.column(c.EVENT, table)
    return x.not_null(event) if events is None else x.one_of(event, events)


def repeated_events(as_of: x.AsOf, names: Sequence[str], among: str = EVENTS) -> exp.Select:
    """Return the ids that more than one known event has."""
    event_id = x.column(c.EVENT_ID)
    query = x.select([event_id], x.table(among), where=_identified(as_of, names), group=[event_id.copy()])
    query.set("having", exp.Having(this=x.gt(exp.Count(this=exp.Star()), x.integer(1))))
    return query


def duplicate_events(as_of: x.AsOf, names: Sequence[str], among: str = EVENTS) -> exp.Select:
    """Return every known event with a repeated id and its ``_place``, 1 for the one that was known first."""
    rest = [n for n in names if n not in {c.EVENT_ID, c.INGESTED_AT, c.HAPPENED_AT}]
    order = [known_since(names, among), *x.columns((c.HAPPENED_AT, *rest), among)]
    place = x.row_number([x.column(c.EVENT_ID, among)], [x.ascending(key) for key in order])
    return x.select(
        [*x.columns(names, among), x.alias(place, PLACE)],
        x.table(among),
        joins=[(x.table(REPEATED_EVENTS), x.eq_columns([c.EVENT_ID], among, REPEATED_EVENTS))],
        where=_identified(as_of, names, among),
    )


def first_events(as_of: x.AsOf, names: Sequence[str]) -> exp.Select:
    """Return of each repeated id the event that takes part."""
    return first_of(x.subquery(duplicate_events(as_of, names), "placed"), names)


def conflicting_events(names: Sequence[str], content: Sequence[str]) -> exp.Select:
    """Return the events that differ from the first of their id in a column that labels are made from."""
    same = [
        exp.NullSafeEQ(this=x.column(n, DUPLICATE_EVENTS), expression=x.column(n, FIRST_EVENTS))
        for n in content
        if n not in {c.EVENT_ID, c.INGESTED_AT}
    ]
    return x.select(
        x.columns(names, DUPLICATE_EVENTS),
        x.table(DUPLICATE_EVENTS),
        joins=[(x.table(FIRST_EVENTS), x.eq_columns([c.EVENT_ID], DUPLICATE_EVENTS, FIRST_EVENTS))],
        where=[x.not_(x.all_of(*same))],
    )


def known_since(names: Sequence[str], table: str | None = None) -> exp.Expr:
    """Return the instant after which an event is known: when it happened, or arrived where that is later."""
    happened = x.column(c.HAPPENED_AT, table)
    if c.INGESTED_AT not in names:
        return happened
    arrived = x.column(c.INGESTED_AT, table)
    return x.when(x.gt(arrived, happened), arrived.copy(), happened.copy())


def _identified(as_of: x.AsOf, names: Sequence[str], table: str | None = None) -> list[exp.Expr]:
    known = known_as_of(as_of, ingested=c.INGESTED_AT in names, table=table)
    return [known, *(x.not_null(x.column(name, table)) for name in (c.EVENT, c.EVENT_ID))]


def known_as_of(as_of: x.AsOf, *, ingested: bool, table: str | None = None) -> exp.Expr:
    """Return that an event had happened, and had arrived where that is logged."""
    happened = x.lt(x.column(c.HAPPENED_AT, table), x.instant(as_of))
    return x.all_of(happened, _arrived(as_of, table)) if ingested else happened


def in_days(name: str, days: Sequence[DayRange], table: str | None = None) -> exp.Expr:
    """Return that an instant lies in one of the ranges of UTC days."""
    return x.any_of(*(_in_range(x.column(name, table), r) for r in days))


def _arrived(as_of: x.AsOf, table: str | None = None) -> exp.Expr:
    arrived = x.lt(x.column(c.INGESTED_AT, table), x.instant(as_of))
    return x.any_of(x.is_null(x.column(c.INGESTED_AT, table)), arrived)


def _within(name: str, days: Sequence[DayRange] | None, table: str | None = None) -> list[exp.Expr]:
    return [in_days(name, days, table)] if days is not None else []


def _in_range(column: exp.Column, days: DayRange) -> exp.Expr:
    ends = x.day_start(days.last + timedelta(days=1))
    return x.all_of(x.ge(column, x.day_start(days.first)), x.lt(column.copy(), ends))
