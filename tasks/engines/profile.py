"""What a log holds as of an instant: rows by day with a fingerprint, and what is left out, counted.

A fingerprint is the sum of the rows' hashes: it does not depend on their order, and tells whether rows that
an earlier build read have changed since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.engines.checks import CANDIDATES
from tasks.engines.duckdb import TWINS, LogTables
from tasks.errors import DataError
from tasks.labels import expressions as x
from tasks.labels import rows
from tasks.labels.compile import event_columns
from tasks.labels.coverage import DaySum, LogDays

EXAMPLES = 3
REPEATED_KEY, NO_KEY, NO_EVENT = "repeated_key", "no_key", "no_event"


@dataclass(frozen=True)
class Counts:
    """Every row of a log table by what became of it; the parts add up to ``rows``.

    ``future`` rows lie at or after the as-of, ``not_arrived`` ones happened before it and arrived later.
    """

    rows: int
    kept: int
    future: int
    not_arrived: int
    quarantined: dict[str, int]

    def __str__(self) -> str:
        """Write the counts that are not zero."""
        named = {"kept": self.kept, "from the future": self.future, "not arrived yet": self.not_arrived}
        named |= {rule.replace("_", " "): n for rule, n in self.quarantined.items()}
        counted = ", ".join(f"{n:,} {what}" for what, n in named.items() if n)
        return f"{self.rows:,} rows ({counted or 'none kept'})"

    def __post_init__(self) -> None:
        parts = self.kept + self.future + self.not_arrived + sum(self.quarantined.values())
        if parts != self.rows:
            raise DataError(f"Rows do not add up: {self.rows:,} read, {parts:,} accounted for: {self}")


@dataclass(frozen=True)
class Unknown:
    """Rows that no impression or contract knows of, with a few of the values."""

    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class LogProfile:
    """A log as of an instant."""

    impressions: Counts
    events: Counts
    days: LogDays
    unknown_events: dict[str, int]
    unknown_items: Unknown


def profile(log: LogTables, *, as_of: datetime, previous: datetime | None) -> LogProfile:
    """Look at every row as of an instant; needs ``log.cut(as_of)``.

    Parameters
    ----------
    previous
        The as-of of the store's last build: rows known then are also summed by themselves.

    Raises
    ------
    DataError
        No impression was shown before the as-of.
    """
    impressions = _impressions(log, as_of)
    if not impressions.kept:
        ((first,),) = log.fetch(
            "SELECT min($at) FROM $table", at=x.column(c.SHOWN_AT), table=x.table(rows.IMPRESSIONS)
        )
        raise DataError(
            f"impressions: none has a key and was shown before {as_of.isoformat()}; "
            f"the first was shown at {first}. Build as of a later instant"
        )
    return LogProfile(
        impressions,
        _events(log, as_of),
        _by_day(log, as_of, previous),
        _unknown_events(log, as_of),
        _unknown_items(log, as_of),
    )


def no_key(as_of: datetime) -> exp.Expr:
    """Return that an impression lacks a part of its key or its time, and is none of the future's."""
    shown = x.column(c.SHOWN_AT)
    lacking = x.any_of(*(x.is_null(x.column(k)) for k in c.IMPRESSION_KEY))
    return x.any_of(x.is_null(shown), x.all_of(x.before(shown.copy(), x.instant(as_of)), lacking))


def no_event(log: LogTables, as_of: datetime) -> exp.Expr:
    """Return that an event has no name or no time, and is known as of the instant."""
    nameless = x.all_of(x.is_null(x.column(c.EVENT)), _known(log, as_of))
    timeless = x.is_null(x.column(c.HAPPENED_AT))
    if c.INGESTED_AT in log.log.events:
        arrived = x.any_of(
            x.is_null(x.column(c.INGESTED_AT)), x.before(x.column(c.INGESTED_AT), x.instant(as_of))
        )
        timeless = x.all_of(timeless, arrived)
    return x.any_of(timeless, nameless)


def _known(log: LogTables, as_of: datetime) -> exp.Expr:
    return rows.known_as_of(as_of, ingested=c.INGESTED_AT in log.log.events)


def _impressions(log: LogTables, as_of: datetime) -> Counts:
    ((total, later, keyless, with_key),) = log.fetch(
        """SELECT count(*), count(*) FILTER ($future), count(*) FILTER ($no_key), count(*) FILTER ($has_key)
           FROM $table""",
        future=x.from_on(x.column(c.SHOWN_AT), x.instant(as_of)),
        no_key=no_key(as_of),
        has_key=rows.has_key(rows.IMPRESSIONS, as_of),
        table=x.table(rows.IMPRESSIONS),
    )
    ((extra,),) = log.fetch(
        "SELECT count(*) FROM $twins WHERE $place > 1", twins=x.table(TWINS), place=x.column(rows.PLACE)
    )
    return Counts(total, with_key - extra, later, 0, {REPEATED_KEY: extra, NO_KEY: keyless})


def _events(log: LogTables, as_of: datetime) -> Counts:
    ((total, later, nothing, kept),) = log.fetch(
        """SELECT count(*), count(*) FILTER ($future), count(*) FILTER ($no_event), count(*) FILTER ($named)
           FROM $table""",
        future=x.from_on(x.column(c.HAPPENED_AT), x.instant(as_of)),
        no_event=no_event(log, as_of),
        named=x.all_of(x.not_null(x.column(c.EVENT)), _known(log, as_of)),
        table=x.table(rows.EVENTS),
    )
    return Counts(total, kept, later, total - later - nothing - kept, {NO_EVENT: nothing})


def _by_day(log: LogTables, as_of: datetime, previous: datetime | None) -> LogDays:
    before = x.before(x.column(c.SHOWN_AT), x.instant(previous)) if previous else exp.false()
    impressions = _sums(log, rows.SHOWN, c.SHOWN_AT, log.log.impressions, exp.true(), before)
    known_before = _known(log, previous) if previous else exp.false()
    named = x.one_of(x.column(c.EVENT), sorted(log.contracts.tasks.events))
    bearing = x.all_of(_known(log, as_of), named)
    wanted = [n for n in event_columns(log.contracts.tasks, log.log) if n != c.INGESTED_AT]
    events = _sums(log, rows.EVENTS, c.HAPPENED_AT, wanted, bearing, known_before)
    return LogDays(
        impressions={day: now for day, now, _ in impressions},
        events={day: now for day, now, _ in events},
        impressions_before={day: then for day, _, then in impressions if then.rows},
        events_before={day: then for day, _, then in events if then.rows},
        late=_late(log, previous, bearing) if previous else frozenset(),
    )


def _sums(
    log: LogTables, table: str, at: str, names: Sequence[str], which: exp.Expr, before: exp.Expr
) -> list[tuple[date, DaySum, DaySum]]:
    found = log.fetch(
        """SELECT $at::DATE, count(*), sum(h), count(*) FILTER (earlier), sum(h) FILTER (earlier)
           FROM (SELECT $at, hash($names) AS h, $before AS earlier FROM $table WHERE $which)
           GROUP BY 1 ORDER BY 1""",
        at=x.column(at),
        names=x.columns(names),
        before=before,
        table=x.table(table),
        which=which,
    )
    return [(day, DaySum(n, int(s)), DaySum(m, int(t or 0))) for day, n, s, m, t in found]


def _late(log: LogTables, previous: datetime, bearing: exp.Expr) -> frozenset[date]:
    """Return the days of events that had happened at the previous build and were not known then."""
    happened = x.before(x.column(c.HAPPENED_AT), x.instant(previous))
    found = log.fetch(
        "SELECT DISTINCT $at::DATE FROM $table WHERE $late",
        at=x.column(c.HAPPENED_AT),
        table=x.table(rows.EVENTS),
        late=x.all_of(happened, bearing.copy(), x.negated(_known(log, previous))),
    )
    return frozenset(day for (day,) in found)


def _unknown_events(log: LogTables, as_of: datetime) -> dict[str, int]:
    known = x.one_of(x.column(c.EVENT), sorted(log.contracts.tasks.events))
    found = log.fetch(
        "SELECT $event, count(*) FROM $table WHERE $strange GROUP BY 1 ORDER BY 1",
        event=x.column(c.EVENT),
        table=x.table(rows.EVENTS),
        strange=x.all_of(x.negated(known), _known(log, as_of)),
    )
    return dict(found)


def _unknown_items(log: LogTables, as_of: datetime) -> Unknown:
    """Count the events whose item no impression or candidate before the as-of has."""
    if c.ITEM_ID not in log.log.events:
        return Unknown(0, ())
    before = x.before(x.column(c.SHOWN_AT), x.instant(as_of))
    tables = [rows.IMPRESSIONS, *([CANDIDATES] if log.candidates else [])]
    known = [x.select([x.column(c.ITEM_ID)], x.table(table), where=[before.copy()]) for table in tables]
    ((count, examples),) = log.fetch(
        """SELECT coalesce(sum(n), 0), list($item ORDER BY $item)
           FROM (SELECT $item, count(*) AS n FROM $events
                 WHERE $which AND $item IS NOT NULL GROUP BY 1) AS named
           ANTI JOIN (SELECT DISTINCT $item FROM ($known)) AS known USING ($item)""",
        item=x.column(c.ITEM_ID),
        events=x.table(rows.EVENTS),
        which=_known(log, as_of),
        known=known[0] if len(known) == 1 else exp.Union(this=known[0], expression=known[1], distinct=False),
    )
    return Unknown(int(count), tuple(str(item) for item in (examples or ())[:EXAMPLES]))
