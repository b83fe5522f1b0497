"""The profile of a log as of an instant: rows by day with a fingerprint, and counts of omitted rows.

A fingerprint is the sum of the rows' hashes. It does not depend on their order, and changes if rows of an
earlier build have changed. The profile is computed from the files' summaries. Rows are read again only if a
key may be repeated or an event arrived late.

Impressions with the same key are found without grouping the whole log.

::

    a key twice in one file        its summary lists the requests and the number of extra rows
    a key in two files             possible only for requests in two files, the ``spread_requests``;
                                   a build stores these, so the next one compares new files only
    suspects                       the impressions of all these requests, in the relevant files
    repeated, duplicates, shown    selection among the suspects: see ``LogTables.cut``
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlglot import exp

from tasks import columns as c
from tasks.errors import DataError
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.rows import (
    CONFLICTING_EVENT,
    CONFLICTING_EVENTS,
    DUPLICATE_EVENTS,
    EVENTS,
    IMPRESSIONS,
    NO_EVENT,
    NO_KEY,
    PLACE,
    REPEATED_KEY,
    DaySum,
    LogDays,
    is_known,
    known_since,
)
from tasks.logs.summaries import Summaries, SummaryTable, make_request_view, of_requests, row_hash
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores.files import sha256

_COMPARED = "SELECT name, summary FROM summaries WHERE facet = 'compared' AND number IS NULL"
_SPREAD = """
    CREATE OR REPLACE TEMP TABLE spread_requests AS
    SELECT number FROM requests GROUP BY 1 HAVING count(*) > 1
"""
_SPREAD_BY_NEW = """
    CREATE OR REPLACE TEMP TABLE spread_requests AS
    SELECT number FROM summaries WHERE facet = 'compared' AND number IS NOT NULL
    UNION
    SELECT number FROM requests WHERE number IN (SELECT number FROM new_requests)
    GROUP BY 1 HAVING count(*) > 1
"""
_STORE_COMPARED = """
    COPY (SELECT 'compared' AS facet, NULL::DATE AS day, name, number, NULL::BIGINT AS n,
                 NULL::DECIMAL(38, 0) AS total, $summary AS summary
          FROM (SELECT NULL::VARCHAR AS name, number FROM spread_requests
                UNION ALL SELECT unnest([$names]), NULL)) TO $to (FORMAT parquet)
"""
_SPREAD_OVER = """
    SELECT DISTINCT summary FROM requests WHERE number IN (SELECT number FROM spread_requests)
"""
_SUSPECT_REQUESTS = """
    CREATE OR REPLACE TEMP TABLE suspect_requests AS
    SELECT number FROM spread_requests
    UNION SELECT number FROM impressions_now WHERE facet = 'extra' AND summary IN ($summaries)
"""
_EXTRAS_IN_FILES = """
    SELECT day, sum(n), sum(total) FROM $name
    WHERE facet = 'extra' AND number NOT IN (SELECT number FROM spread_requests) GROUP BY 1
"""
_EXTRAS_BETWEEN_FILES = """
    SELECT $day, count(*), sum($hashed)::DECIMAL(38, 0) FROM $duplicates WHERE $extra GROUP BY 1
"""


def find_spread_requests(table: SummaryTable, summaries: Summaries, as_of: datetime) -> None:
    """Create the relation ``spread_requests``: hashes of requests with rows in several files.

    A build stores the compared summaries and the requests; the next build compares only new summaries. The
    relation may contain requests that are no longer in several files, which only costs time.
    """
    log, names = table.log, {one.name: one for one in summaries.of_files}
    compared = dict(log.fetch(_COMPARED))
    make_request_view(log, "requests", summaries.of_files)
    if compared and compared.keys() <= names.keys():
        make_request_view(log, "new_requests", (one for name, one in names.items() if name not in compared))
        log.connection.execute(_SPREAD_BY_NEW)
    else:
        log.connection.execute(_SPREAD)
    settled = sorted(n for n, one in names.items() if log.is_settled(IMPRESSIONS, one.file, as_of))
    if not settled or settled == sorted(compared):
        table.kept.update(compared.values())
    elif log.is_kept(IMPRESSIONS):
        summary = sha256("\n".join(settled).encode())[:32]
        to = table.computed(summary, IMPRESSIONS)
        names_of_settled = [x.text(name) for name in settled]
        log.connection.execute(
            x.fill(_STORE_COMPARED, summary=x.text(summary), names=names_of_settled, to=x.text(to))
        )
        table.kept.add(summary)


def cut_files(log: LogTables, summaries: Summaries, files: Iterable[File], as_of: datetime) -> None:
    """Cut the log for a build that reads only some of its files.

    The cut finds the repeated keys in those files, and those of spread requests in all files.
    """
    wanted = set(files)
    if log.fetch("SELECT count(*) FROM spread_requests")[0][0]:
        wanted |= set(summaries.files(name for (name,) in log.fetch(_SPREAD_OVER)))
    read = [one for one in summaries.of_files if one.file in wanted]
    log.connection.execute(
        x.fill(_SUSPECT_REQUESTS, summaries=[x.text(one.name) for one in read] or [exp.Null()])
    )
    log.view("suspect_files", IMPRESSIONS, [one.file for one in read])
    only_these = of_requests("suspect_requests")
    log.create("suspects", x.select([exp.Star()], x.table("suspect_files"), where=[only_these]))
    log.cut(as_of, among="suspects")


def count_extras(log: LogTables, name: str, *, before: datetime | None = None) -> list[tuple[date, int, int]]:
    """Return by day the number of impressions omitted as duplicates, and the sum of their hashes."""
    in_files = log.fetch(_EXTRAS_IN_FILES, name=x.table(name))
    shown = x.column(c.SHOWN_AT)
    extra = [x.gt(x.column(rows.PLACE), x.integer(1)), of_requests("spread_requests")]
    between = log.fetch(
        _EXTRAS_BETWEEN_FILES,
        day=x.utc_day(shown),
        hashed=row_hash(log, IMPRESSIONS),
        duplicates=x.table(rows.DUPLICATES),
        extra=x.all_of(*extra, *([x.lt(shown.copy(), x.instant(before))] if before else [])),
    )
    return [(day, int(n), int(total)) for day, n, total in (*in_files, *between)]


_FAULTS: Final = {
    REPEATED_KEY: "with a repeated request_id and item_id",
    NO_KEY: "without request_id, item_id or shown_at",
    NO_EVENT: "without event or happened_at",
    CONFLICTING_EVENT: "that differ under one event_id",
}
"""Description of the invalid rows of each quarantine rule."""


@dataclass(frozen=True)
class Counts:
    """Number of rows of a log table by treatment; the parts add up to ``rows``.

    ``future``: rows at or after the as-of. ``not_arrived``: rows that happened before it and arrived later.
    ``repeated``: rows equal to the event with the same id.
    """

    rows: int
    kept: int
    future: int
    not_arrived: int
    quarantined: dict[str, int]
    repeated: int = 0

    def __str__(self) -> str:
        """Format the non-zero counts."""
        named = {"kept": self.kept, "after the as-of": self.future, "not arrived yet": self.not_arrived}
        named |= {"repeated": self.repeated}
        named |= {_FAULTS[rule]: n for rule, n in self.quarantined.items()}
        counted = ", ".join(f"{n:,} {what}" for what, n in named.items() if n)
        return f"{self.rows:,} rows ({counted or 'none kept'})"

    def __post_init__(self) -> None:
        parts = self.kept + self.future + self.not_arrived + self.repeated + sum(self.quarantined.values())
        if parts != self.rows:
            raise DataError(f"Rows do not add up: {self.rows:,} read, {parts:,} accounted for: {self}")


MOST_UNKNOWN: Final = 100
"""Maximum number of unknown event names that are reported; a log may contain a million."""


@dataclass(frozen=True)
class LogProfile:
    """A log as of an instant.

    ``arrived_early``: number of events that arrived before they happened, which indicates a wrong clock.
    ``bad_files``: by table, new files with a row without key, name or time. ``unknown_events``: the most
    frequent event names that no task reads, in decreasing order.
    """

    impressions: Counts
    events: Counts
    days: LogDays
    unknown_events: dict[str, int]
    arrived_early: int
    summaries: Mapping[str, Summaries]
    bad_files: Mapping[str, tuple[File, ...]]


def profile_log(table: SummaryTable, *, as_of: datetime, previous: datetime | None) -> LogProfile:
    """Profile a log as of an instant, and cut its new files there: see ``cut_files``."""
    log, now = table.log, table.find(as_of, previous)
    log.cut_events(as_of)
    find_spread_requests(table, now[IMPRESSIONS], as_of)
    cut_files(log, now[IMPRESSIONS], now[IMPRESSIONS].new, as_of)
    impressions = _impressions(log, now[IMPRESSIONS])
    if not impressions.kept:
        query = "SELECT min($at) FROM $table"
        ((first,),) = log.fetch(query, at=x.column(c.SHOWN_AT), table=x.table(IMPRESSIONS))
        raise DataError(
            f"impressions: none has a key and was shown before {as_of.isoformat()}; "
            f"the first was shown at {first}. Build as of a later instant"
        )
    return LogProfile(
        impressions=impressions,
        events=_events(log, now[EVENTS]),
        days=_by_day(log, as_of, previous),
        unknown_events=_unknown_events(log),
        arrived_early=_count(log, EVENTS, "early"),
        summaries=now,
        bad_files={table: _bad_files(log, summaries) for table, summaries in now.items()},
    )


def _count(log: LogTables, table: str, name: str | None = None) -> int:
    """Count the rows of a table under a name of the summaries; without a name, its valid rows."""
    counted = "facet = 'count' AND name = $name" if name else "facet = 'day'"
    query = f"SELECT coalesce(sum(n), 0) FROM $now WHERE {counted}"  # noqa: S608 - one of two constants
    ((count,),) = log.fetch(query, now=x.table(f"{table}_now"), name=x.text(name))
    return int(count)


def _impressions(log: LogTables, summaries: Summaries) -> Counts:
    total, later, bad = (_count(log, IMPRESSIONS, name) for name in ("rows", "later", "bad"))
    ahead = sum(file.rows for file in summaries.future)
    extra = sum(n for _, n, _ in count_extras(log, "impressions_now"))
    kept = _count(log, IMPRESSIONS) - extra
    return Counts(total + ahead, kept, later + ahead, 0, {REPEATED_KEY: extra, NO_KEY: bad})


def _events(log: LogTables, summaries: Summaries) -> Counts:
    total, later, bad = (_count(log, EVENTS, name) for name in ("rows", "later", "bad"))
    ahead, known = sum(file.rows for file in summaries.future), _count(log, EVENTS)
    quarantined, extra = {NO_EVENT: bad}, sum(n for *_, n, _ in _repeated_events(log))
    if log.log.has_event_ids:
        query = "SELECT count(*) FROM $conflicting"
        ((quarantined[CONFLICTING_EVENT],),) = log.fetch(query, conflicting=x.table(CONFLICTING_EVENTS))
    return Counts(
        rows=total + ahead,
        kept=known - extra,
        future=later + ahead,
        not_arrived=total - later - bad - known,
        quarantined=quarantined,
        repeated=extra - quarantined.get(CONFLICTING_EVENT, 0),
    )


def _repeated_events(log: LogTables, *, before: datetime | None = None) -> list[tuple[date, str, int, int]]:
    """Return by day and name the number of repeated events, and the sum of their hashes."""
    if not log.log.has_event_ids:
        return []
    known = x.lt(known_since(log.log.events), x.instant(before)) if before else exp.true()
    sums = log.fetch(
        """SELECT $day, $event, count(*), sum($hashed)::DECIMAL(38, 0) FROM $duplicates WHERE $extra
           GROUP BY 1, 2""",
        day=x.utc_day(x.column(c.HAPPENED_AT)),
        event=x.column(c.EVENT),
        hashed=row_hash(log, EVENTS),
        duplicates=x.table(DUPLICATE_EVENTS),
        extra=x.all_of(x.gt(x.column(PLACE), x.integer(1)), known),
    )
    return [(day, event, int(n), int(total)) for day, event, n, total in sums]


def _by_day(log: LogTables, as_of: datetime, previous: datetime | None) -> LogDays:
    impressions, events = _impression_days(log, "impressions_now"), _event_days(log, "events_now")
    if previous is None:
        return LogDays(impressions, events)
    return LogDays(
        impressions,
        events,
        _impression_days(log, "impressions_before", before=previous),
        _event_days(log, "events_before", before=previous),
        late=_late(log, as_of, previous),
    )


def _impression_days(log: LogTables, name: str, before: datetime | None = None) -> dict[date, DaySum]:
    sums = log.fetch(
        "SELECT day, sum(n), sum(total) FROM $name WHERE facet = 'day' GROUP BY 1 ORDER BY 1",
        name=x.table(name),
    )
    days = {day: DaySum(int(n), int(total)) for day, n, total in sums}
    for day, n, total in count_extras(log, name, before=before):
        days[day] = DaySum(days[day].rows - n, days[day].sum - total)
    return {day: total for day, total in days.items() if total.rows}


def _event_days(log: LogTables, name: str, before: datetime | None = None) -> dict[tuple[date, str], DaySum]:
    """Return the events that tasks read, by day and name."""
    sums = log.fetch(
        """SELECT day, name, sum(n), sum(total) FROM $summaries
           WHERE facet = 'day' AND $bearing GROUP BY 1, 2 ORDER BY 1, 2""",
        summaries=x.table(name),
        bearing=x.one_of(x.column("name"), sorted(log.contracts.tasks.events)),
    )
    days = {(day, event): DaySum(int(n), int(total)) for day, event, n, total in sums}
    for day, event, n, total in _repeated_events(log, before=before):
        if (day, event) in days:
            days[day, event] = DaySum(days[day, event].rows - n, days[day, event].sum - total)
    return {stream: of_day for stream, of_day in days.items() if of_day.rows}


def _late(log: LogTables, as_of: datetime, previous: datetime) -> frozenset[tuple[date, str]]:
    """Return day and name of the events that happened before the previous build but were unknown to it."""
    if not log.log.has_arrival:
        return frozenset()
    files = [f for f in log.views[EVENTS].table.files if not log.is_settled(EVENTS, f, previous)]
    log.view("late_files", EVENTS, files)
    happened = x.lt(x.column(c.HAPPENED_AT), x.instant(previous))
    bearing = x.one_of(x.column(c.EVENT), sorted(log.contracts.tasks.events))
    known, not_then = is_known(as_of, ingested=True), x.not_(is_known(previous, ingested=True))
    late = log.fetch(
        "SELECT DISTINCT $at::DATE, $event FROM late_files WHERE $late",
        at=x.column(c.HAPPENED_AT),
        event=x.column(c.EVENT),
        late=x.all_of(happened, bearing, known, not_then),
    )
    return frozenset(late)


def _unknown_events(log: LogTables) -> dict[str, int]:
    counts = log.fetch(
        "SELECT name, sum(n) AS n FROM events_now WHERE facet = 'day' AND $strange GROUP BY 1 "
        "ORDER BY n DESC, name LIMIT $most",
        strange=x.not_(x.one_of(x.column("name"), sorted(log.contracts.tasks.events))),
        most=x.integer(MOST_UNKNOWN),
    )
    return {name: int(n) for name, n in counts}


def _bad_files(log: LogTables, summaries: Summaries) -> tuple[File, ...]:
    bad = log.fetch(
        "SELECT DISTINCT summary FROM $now WHERE facet = 'count' AND name = 'bad' AND n > 0",
        now=x.table(f"{summaries.table}_now"),
    )
    new = set(summaries.new)
    return tuple(file for file in summaries.files(name for (name,) in bad) if file in new)
