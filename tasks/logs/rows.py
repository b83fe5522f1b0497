"""Selection of the rows of a build: known before the as-of, one per key and one per event_id.

::

    repeated            keys of more than one impression
    first_of_repeated   the earliest impression of each of those; ties: lowest position, then other columns
    shown               all selected impressions
    written             all impressions with a key on the days to write, including duplicates
    repeated_events     ids of more than one known event
    first_events        the event of each of those that was known first; ties: happened_at, then other columns
    known               all selected events

Other rows lie at or after the as-of, had not arrived by then, repeat an event, or are invalid; invalid rows
go to the quarantine under one of four rules. The event that was known first stays selected at every later
as-of, so a copy that arrives later changes no label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

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
"""Quarantine rules for invalid rows."""

CUT = (REPEATED, FIRST, REPEATED_EVENTS, FIRST_EVENTS)
"""Relations that are computed from the whole log for any days of a build."""

Cut = datetime | None
"""The as-of that cuts a file's rows; None if all of them lie before it and no comparison is needed."""


_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DayRange:
    """Days from ``first`` to ``last``, inclusive.

    Examples
    --------
    >>> date(2026, 3, 2) in DayRange(date(2026, 3, 1), date(2026, 3, 2))
    True
    """

    first: date = date.min
    last: date = date.max

    @classmethod
    def spread(cls, days: Iterable[date], *, before: timedelta, after: timedelta) -> "list[DayRange]":
        """Return the ranges of days that contain every instant from ``before`` a day to ``after`` it.

        Examples
        --------
        >>> days = [date(2024, 3, 5), date(2024, 3, 7)]
        >>> DayRange.spread(days, before=timedelta(), after=timedelta(hours=30))
        [DayRange(first=datetime.date(2024, 3, 5), last=datetime.date(2024, 3, 9))]
        """
        ranges: list[DayRange] = []
        for day in sorted(days):
            first = (day_start(day) - before).date()
            last = (day_start(day) + _DAY + after - timedelta(microseconds=1)).date()
            if ranges and first <= ranges[-1].last + _DAY:
                ranges[-1] = cls(ranges[-1].first, max(last, ranges[-1].last))
            else:
                ranges.append(cls(first, last))
        return ranges

    @property
    def days(self) -> list[date]:
        """Every day of the range.

        Examples
        --------
        >>> [str(day) for day in DayRange(date(2024, 2, 28), date(2024, 3, 1)).days]
        ['2024-02-28', '2024-02-29', '2024-03-01']
        """
        return [self.first + n * _DAY for n in range((self.last - self.first).days + 1)]

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def has_key(table: str | None, as_of: x.AsOf) -> exp.Expr:
    """Condition that an impression was shown before the as-of and has its whole key."""
    return x.all_of(
        x.lt(x.column(c.SHOWN_AT, table), x.instant(as_of)),
        *(x.not_null(x.column(k, table)) for k in c.IMPRESSION_KEY),
    )


def takes_part(cut: Cut) -> exp.Expr:
    """Condition that an impression has its whole key and was shown before the cut."""
    if cut is not None:
        return has_key(None, cut)
    return x.all_of(*(x.not_null(x.column(name)) for name in (c.SHOWN_AT, *c.IMPRESSION_KEY)))


def lacks_key(cut: Cut) -> exp.Expr:
    """Condition that an impression has no time, or was shown before the cut without its whole key."""
    shown = x.column(c.SHOWN_AT)
    lacking = x.any_of(*(x.is_null(x.column(k)) for k in c.IMPRESSION_KEY))
    if cut is not None:
        lacking = x.all_of(x.lt(shown.copy(), x.instant(cut)), lacking)
    return x.any_of(x.is_null(shown), lacking)


def is_known(cut: Cut, *, ingested: bool) -> exp.Expr:
    """Condition that an event has a time, and happened and arrived before the cut."""
    if cut is None:
        return x.not_null(x.column(c.HAPPENED_AT))
    return known_as_of(cut, ingested=ingested)


def lacks_event(cut: Cut, *, ingested: bool) -> exp.Expr:
    """Condition that an event has no name or no time, and is known as of the cut; see ``is_known``."""
    nameless = x.all_of(x.is_null(x.column(c.EVENT)), is_known(cut, ingested=ingested))
    timeless = x.is_null(x.column(c.HAPPENED_AT))
    if cut is not None and ingested:
        timeless = x.all_of(timeless, _arrived(cut))
    return x.any_of(timeless, nameless)


def repeated_keys(as_of: x.AsOf, among: str = IMPRESSIONS) -> exp.Select:
    """Return the keys of more than one impression."""
    keys = x.columns(c.IMPRESSION_KEY)
    query = x.select(keys, x.table(among), where=[has_key(among, as_of)], group=x.columns(c.IMPRESSION_KEY))
    query.set("having", exp.Having(this=x.gt(exp.Count(this=exp.Star()), x.integer(1))))
    return query


def number_duplicates(table: str, names: Sequence[str]) -> exp.Window:
    """Return the number of a row among those with its key; row number 1 is selected."""
    rest = [n for n in names if n not in {*c.IMPRESSION_KEY, c.SHOWN_AT, c.POSITION}]
    order = [c.SHOWN_AT, *((c.POSITION,) if c.POSITION in names else ()), *rest]
    earliest_first = [x.ascending(column) for column in x.columns(order, table)]
    return x.row_number(x.columns(c.IMPRESSION_KEY, table), earliest_first)


def duplicates(as_of: x.AsOf, names: Sequence[str], among: str = IMPRESSIONS) -> exp.Select:
    """Return all impressions with a repeated key, with ``_place``, their number among those with the key."""
    place = x.alias(number_duplicates(among, names), PLACE)
    return x.select(
        [*x.columns(names, among), place],
        x.table(among),
        joins=[(x.table(REPEATED), x.eq_columns(c.IMPRESSION_KEY, among, REPEATED))],
        where=[has_key(among, as_of)],
    )


def first_of_repeated(as_of: x.AsOf, names: Sequence[str]) -> exp.Select:
    """Return the selected impression of each repeated key."""
    return first_of(x.subquery(duplicates(as_of, names), "placed"), names)


def first_of(placed: exp.Expr, names: Sequence[str]) -> exp.Select:
    """Return the rows whose ``_place`` is 1."""
    return x.select(x.columns(names), placed, where=[x.eq(x.column(PLACE), x.integer(1))])


def shown_impressions(as_of: x.AsOf, names: Sequence[str], days: Sequence[DayRange] | None) -> exp.Query:
    """Return the selected impressions of some days or of all."""
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
    """Return all impressions with a key on some days or on all, including duplicates.

    Credit by window may use them, because windows of duplicate rows are never joined.
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
    """Return the known events as of the instant, once per id.

    Parameters
    ----------
    events
        The names of the events; None for any name.
    names
        Columns of the events table. With ``ingested_at`` among them, an event is known from its arrival on.
        With ``event_id`` among them, ``repeated_events`` and ``first_events`` are required.
    wanted
        The columns to return; by default those that labels depend on.
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
    """Return the ids of more than one known event."""
    event_id = x.column(c.EVENT_ID)
    query = x.select([event_id], x.table(among), where=_identified(as_of, names), group=[event_id.copy()])
    query.set("having", exp.Having(this=x.gt(exp.Count(this=exp.Star()), x.integer(1))))
    return query


def duplicate_events(as_of: x.AsOf, names: Sequence[str], among: str = EVENTS) -> exp.Select:
    """Return all known events with a repeated id, with ``_place``, 1 for the one that was known first."""
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
    """Return the selected event of each repeated id."""
    return first_of(x.subquery(duplicate_events(as_of, names), "placed"), names)


def conflicting_events(names: Sequence[str], content: Sequence[str]) -> exp.Select:
    """Return the events that differ from the first of their id in a column that labels depend on."""
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
    """Return the instant at which an event becomes known: the later of happening and arrival."""
    happened = x.column(c.HAPPENED_AT, table)
    if c.INGESTED_AT not in names:
        return happened
    arrived = x.column(c.INGESTED_AT, table)
    return x.when(x.gt(arrived, happened), arrived.copy(), happened.copy())


def _identified(as_of: x.AsOf, names: Sequence[str], table: str | None = None) -> list[exp.Expr]:
    known = known_as_of(as_of, ingested=c.INGESTED_AT in names, table=table)
    return [known, *(x.not_null(x.column(name, table)) for name in (c.EVENT, c.EVENT_ID))]


def known_as_of(as_of: x.AsOf, *, ingested: bool, table: str | None = None) -> exp.Expr:
    """Condition that an event has happened and, if arrival is logged, has arrived."""
    happened = x.lt(x.column(c.HAPPENED_AT, table), x.instant(as_of))
    return x.all_of(happened, _arrived(as_of, table)) if ingested else happened


def in_days(name: str, days: Sequence[DayRange], table: str | None = None) -> exp.Expr:
    """Condition that an instant lies in one of the ranges of UTC days."""
    return x.any_of(*(_in_range(x.column(name, table), r) for r in days))


def _arrived(as_of: x.AsOf, table: str | None = None) -> exp.Expr:
    arrived = x.lt(x.column(c.INGESTED_AT, table), x.instant(as_of))
    return x.any_of(x.is_null(x.column(c.INGESTED_AT, table)), arrived)


def _within(name: str, days: Sequence[DayRange] | None, table: str | None = None) -> list[exp.Expr]:
    return [in_days(name, days, table)] if days is not None else []


def _in_range(column: exp.Column, days: DayRange) -> exp.Expr:
    ends = x.day_start(days.last + timedelta(days=1))
    return x.all_of(x.ge(column, x.day_start(days.first)), x.lt(column.copy(), ends))


Stream = tuple[date, str]
"""The events of one name on a day."""


@dataclass(frozen=True)
class DaySum:
    """Number of rows of a day, and the sum of their hashes."""

    rows: int
    sum: int


@dataclass(frozen=True)
class LogDays:
    """The log by day as of a build, and the same for the rows that the previous build knew.

    ``late``: streams with events that happened before the previous build and arrived after it.
    """

    impressions: Mapping[date, DaySum]
    events: Mapping[Stream, DaySum]
    impressions_before: Mapping[date, DaySum] = field(default_factory=dict)
    events_before: Mapping[Stream, DaySum] = field(default_factory=dict)
    late: frozenset[Stream] = frozenset()


def day_start(day: date) -> datetime:
    """Return the first instant of a UTC day.

    Examples
    --------
    >>> day_start(date(2026, 3, 2)).isoformat()
    '2026-03-02T00:00:00+00:00'
    """
    return datetime.combine(day, time(), UTC)
