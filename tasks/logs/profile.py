"""What a log holds as of an instant: rows by day with a fingerprint, and what is left out, counted.

A fingerprint is the sum of the rows' hashes: it does not depend on their order, and tells whether rows that
an earlier build read have changed since. All of it is put together from the files' summaries; rows are read
again only where a key may be repeated or an event arrived late.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from tasks import columns as c
from tasks.errors import DataError
from tasks.logs.columns import File
from tasks.logs.days import DaySum, LogDays
from tasks.logs.duplicate_keys import cut_files, extras, find_spread_requests
from tasks.logs.participation import arrives, known
from tasks.logs.rows import EVENTS, IMPRESSIONS
from tasks.logs.summaries import Summaries, is_settled, summarise
from tasks.logs.summary_relations import opened
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores.location import Location

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
class LogProfile:
    """A log as of an instant.

    ``arrived_early`` counts the events that had arrived before they happened: a clock is wrong. ``bad_files``
    are, by table, the new files that hold a row without key, name or time.
    """

    impressions: Counts
    events: Counts
    days: LogDays
    unknown_events: dict[str, int]
    arrived_early: int
    summaries: Mapping[str, Summaries]
    bad_files: Mapping[str, tuple[File, ...]]


def profile(log: LogTables, *, folder: Location, as_of: datetime, previous: datetime | None) -> LogProfile:
    """Look at a log as of an instant, and cut it there as far as its new files go: see ``cut_files``.

    Parameters
    ----------
    folder
        Where the files' summaries are kept.
    previous
        The as-of of the store's last build: rows known then are also summed by themselves.

    Raises
    ------
    DataError
        No impression was shown before the as-of.
    """
    now = summarise(log, folder, as_of=as_of)
    before = summarise(log, folder, as_of=previous) if previous else {}
    opened(log, {f"{t}_now": now[t] for t in now} | {f"{t}_before": before[t] for t in before})
    find_spread_requests(log, now[IMPRESSIONS], folder, as_of)
    cut_files(log, now[IMPRESSIONS], now[IMPRESSIONS].new, as_of)
    impressions = _impressions(log, now[IMPRESSIONS])
    if not impressions.kept:
        raise DataError(
            f"impressions: none has a key and was shown before {as_of.isoformat()}; "
            f"the first was shown at {_first(log)}. Build as of a later instant"
        )
    return LogProfile(
        impressions=impressions,
        events=_events(log, now[EVENTS]),
        days=_by_day(log, as_of, previous),
        unknown_events=_unknown_events(log),
        arrived_early=_count(log, EVENTS, "early"),
        summaries=now,
        bad_files={table: _bad_files(log, found) for table, found in now.items()},
    )


def _count(log: LogTables, table: str, name: str) -> int:
    found = log.fetch(
        "SELECT coalesce(sum(n), 0) FROM $now WHERE facet = 'count' AND name = $name",
        now=x.table(f"{table}_now"),
        name=x.text(name),
    )
    return int(found[0][0])


def _kept(log: LogTables, table: str) -> int:
    found = log.fetch("SELECT coalesce(sum(n), 0) FROM $now WHERE facet = 'day'", now=x.table(f"{table}_now"))
    return int(found[0][0])


def _impressions(log: LogTables, found: Summaries) -> Counts:
    total, later, keyless = (_count(log, IMPRESSIONS, name) for name in ("rows", "later", "bad"))
    ahead, extra = (
        sum(file.rows for file in found.future),
        sum(n for _, n, _ in extras(log, "impressions_now")),
    )
    kept = _kept(log, IMPRESSIONS) - extra
    return Counts(total + ahead, kept, later + ahead, 0, {REPEATED_KEY: extra, NO_KEY: keyless})


def _events(log: LogTables, found: Summaries) -> Counts:
    total, later, nothing = (_count(log, EVENTS, name) for name in ("rows", "later", "bad"))
    ahead, kept = sum(file.rows for file in found.future), _kept(log, EVENTS)
    waiting = total - later - nothing - kept
    return Counts(total + ahead, kept, later + ahead, waiting, {NO_EVENT: nothing})


def _first(log: LogTables) -> datetime | None:
    found = log.fetch("SELECT min($at) FROM $table", at=x.column(c.SHOWN_AT), table=x.table(IMPRESSIONS))
    first: datetime | None = found[0][0]
    return first


def _by_day(log: LogTables, as_of: datetime, previous: datetime | None) -> LogDays:
    impressions, events = _impression_days(log, "impressions_now"), _event_days(log, "events_now")
    if previous is None:
        return LogDays(impressions, events)
    return LogDays(
        impressions,
        events,
        _impression_days(log, "impressions_before", before=previous),
        _event_days(log, "events_before"),
        late=_late(log, as_of, previous),
    )


def _impression_days(log: LogTables, name: str, before: datetime | None = None) -> dict[date, DaySum]:
    found = log.fetch(
        "SELECT day, sum(n), sum(total) FROM $name WHERE facet = 'day' GROUP BY 1 ORDER BY 1",
        name=x.table(name),
    )
    days = {day: DaySum(int(n), int(total)) for day, n, total in found}
    for day, n, total in extras(log, name, before=before):
        days[day] = DaySum(days[day].rows - n, days[day].sum - total)
    return {day: total for day, total in days.items() if total.rows}


def _event_days(log: LogTables, name: str) -> dict[tuple[date, str], DaySum]:
    """Return by day and name the events that some task reads."""
    found = log.fetch(
        """SELECT day, name, sum(n), sum(total) FROM $summaries
           WHERE facet = 'day' AND $bearing GROUP BY 1, 2 ORDER BY 1, 2""",
        summaries=x.table(name),
        bearing=x.one_of(x.column("name"), sorted(log.contracts.tasks.events)),
    )
    return {(day, event): DaySum(int(n), int(total)) for day, event, n, total in found}


def _late(log: LogTables, as_of: datetime, previous: datetime) -> frozenset[tuple[date, str]]:
    """Return day and name of the events that had happened at the previous build and were not known then."""
    if not arrives(log):
        return frozenset()
    files = [f for f in log.views[EVENTS].table.files if not is_settled(log, EVENTS, f, previous)]
    log.view("late_files", EVENTS, files)
    happened = x.lt(x.column(c.HAPPENED_AT), x.instant(previous))
    bearing = x.one_of(x.column(c.EVENT), sorted(log.contracts.tasks.events))
    found = log.fetch(
        "SELECT DISTINCT $at::DATE, $event FROM late_files WHERE $late",
        at=x.column(c.HAPPENED_AT),
        event=x.column(c.EVENT),
        late=x.all_of(happened, bearing, known(log, as_of), x.not_(known(log, previous))),
    )
    return frozenset(found)


def _unknown_events(log: LogTables) -> dict[str, int]:
    found = log.fetch(
        "SELECT name, sum(n) FROM events_now WHERE facet = 'day' AND $strange GROUP BY 1 ORDER BY 1",
        strange=x.not_(x.one_of(x.column("name"), sorted(log.contracts.tasks.events))),
    )
    return {name: int(n) for name, n in found}


def _bad_files(log: LogTables, found: Summaries) -> tuple[File, ...]:
    bad = log.fetch(
        "SELECT DISTINCT summary FROM $now WHERE facet = 'count' AND name = 'bad' AND n > 0",
        now=x.table(f"{found.table}_now"),
    )
    new = set(found.new)
    return tuple(file for file in found.files(path for (path,) in bad) if file in new)
