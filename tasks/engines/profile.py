"""What a log holds as of an instant: rows by day with a fingerprint, and what is left out, counted.

A fingerprint is the sum of the rows' hashes: it does not depend on their order, and tells whether rows that
an earlier build read have changed since. All of it is put together from the files' summaries; rows are read
again only where a key may be repeated or an event arrived late.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.engines.checks import CANDIDATES
from tasks.engines.columns import File
from tasks.engines.duckdb import TWINS, LogTables
from tasks.engines.participation import arrives, known
from tasks.engines.summaries import Summaries, is_settled, opened, request_hash, row_hash, summarise
from tasks.errors import DataError
from tasks.labels import expressions as x
from tasks.labels import rows
from tasks.labels.coverage import DaySum, LogDays
from tasks.labels.rows import EVENTS, IMPRESSIONS
from tasks.location import Location

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
    """A log as of an instant.

    ``arrived_early`` counts the events that had arrived before they happened: a clock is wrong. ``bad_files``
    are, by table, the files that hold a row for the quarantine besides repeated keys.
    """

    impressions: Counts
    events: Counts
    days: LogDays
    unknown_events: dict[str, int]
    unknown_items: Unknown
    arrived_early: int
    bad_files: Mapping[str, tuple[File, ...]]


def profile(log: LogTables, *, folder: Location, as_of: datetime, previous: datetime | None) -> LogProfile:
    """Look at a log as of an instant, and cut it there: see ``LogTables.cut``.

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
    tables = [IMPRESSIONS, EVENTS, *([CANDIDATES] if log.candidates else [])]
    now = {table: summarise(log, folder, table=table, as_of=as_of) for table in tables}
    for table, summaries in now.items():
        opened(log, f"{table}_now", summaries)
    _cut(log, now[IMPRESSIONS], as_of)
    impressions = _impressions(log, now[IMPRESSIONS])
    if not impressions.kept:
        raise DataError(
            f"impressions: none has a key and was shown before {as_of.isoformat()}; "
            f"the first was shown at {_first(log)}. Build as of a later instant"
        )
    return LogProfile(
        impressions=impressions,
        events=_events(log, now[EVENTS]),
        days=_by_day(log, folder, as_of, previous),
        unknown_events=_unknown_events(log),
        unknown_items=_unknown_items(log, tables),
        arrived_early=_count(log, EVENTS, "early"),
        bad_files={table: _bad_files(log, now[table]) for table in (IMPRESSIONS, EVENTS)},
    )


_SUSPECT_REQUESTS = """
    CREATE OR REPLACE TEMP TABLE suspect_requests AS
    SELECT number FROM impressions_now WHERE facet = 'request' GROUP BY 1 HAVING count(*) > 1
    UNION SELECT number FROM impressions_now WHERE facet = 'repeated'
"""
_SUSPECT_SUMMARIES = """
    SELECT DISTINCT summary FROM impressions_now
    WHERE facet = 'request' AND number IN (FROM suspect_requests)
"""


def _cut(log: LogTables, found: Summaries, as_of: datetime) -> None:
    """Cut the log, and look for repeated keys only in the files and requests that may have some."""
    log.connection.execute(_SUSPECT_REQUESTS)
    paths = {path for (path,) in log.fetch(_SUSPECT_SUMMARIES)}
    files = [one.file for one in found.of_files if str(one.path) in paths]
    log.view("suspect_files", IMPRESSIONS, files)
    suspect = exp.In(
        this=request_hash(), query=exp.Subquery(this=x.select([exp.Star()], x.table("suspect_requests")))
    )
    log.create("suspects", x.select([exp.Star()], x.table("suspect_files"), where=[suspect]))
    log.cut(as_of, among="suspects")


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
    ahead, extra = sum(file.rows for file in found.future), sum(n for _, n, *_ in _extras(log, None))
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


def _by_day(log: LogTables, folder: Location, as_of: datetime, previous: datetime | None) -> LogDays:
    extras = _extras(log, previous)
    now = {day: (n, total) for day, n, total, _, _ in extras}
    impressions, events = _impression_days(log, "impressions_now", now), _event_days(log, "events_now")
    if previous is None:
        return LogDays(impressions, events)
    for table in (IMPRESSIONS, EVENTS):
        opened(log, f"{table}_before", summarise(log, folder, table=table, as_of=previous))
    then = {day: (n, total) for day, _, _, n, total in extras}
    return LogDays(
        impressions,
        events,
        _impression_days(log, "impressions_before", then),
        _event_days(log, "events_before"),
        late=_late(log, as_of, previous),
    )


def _extras(log: LogTables, previous: datetime | None) -> list[tuple[date, int, int, int, int]]:
    """Return by day how many impressions repeat a key, and the sum of their hashes: now, and before."""
    before = x.before(x.column(c.SHOWN_AT), x.instant(previous)) if previous else exp.false()
    found = log.fetch(
        """SELECT $at::DATE, count(*), sum($hashed), count(*) FILTER ($before), sum($hashed) FILTER ($before)
           FROM $twins WHERE $place > 1 GROUP BY 1""",
        at=x.column(c.SHOWN_AT),
        hashed=row_hash(log, IMPRESSIONS),
        before=before,
        twins=x.table(TWINS),
        place=x.column(rows.PLACE),
    )
    return [(day, n, int(total), m, int(then or 0)) for day, n, total, m, then in found]


def _impression_days(log: LogTables, name: str, extras: Mapping[date, tuple[int, int]]) -> dict[date, DaySum]:
    found = log.fetch(
        "SELECT day, sum(n), sum(total) FROM $name WHERE facet = 'day' GROUP BY 1 ORDER BY 1",
        name=x.table(name),
    )
    days = {}
    for day, n, total in found:
        more, their_sum = extras.get(day, (0, 0))
        if n > more:
            days[day] = DaySum(int(n) - more, int(total) - their_sum)
    return days


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
    happened = x.before(x.column(c.HAPPENED_AT), x.instant(previous))
    bearing = x.one_of(x.column(c.EVENT), sorted(log.contracts.tasks.events))
    found = log.fetch(
        "SELECT DISTINCT $at::DATE, $event FROM late_files WHERE $late",
        at=x.column(c.HAPPENED_AT),
        event=x.column(c.EVENT),
        late=x.all_of(happened, bearing, known(log, as_of), x.negated(known(log, previous))),
    )
    return frozenset(found)


def _unknown_events(log: LogTables) -> dict[str, int]:
    found = log.fetch(
        "SELECT name, sum(n) FROM events_now WHERE facet = 'day' AND $strange GROUP BY 1 ORDER BY 1",
        strange=x.negated(x.one_of(x.column("name"), sorted(log.contracts.tasks.events))),
    )
    return {name: int(n) for name, n in found}


def _unknown_items(log: LogTables, tables: Iterable[str]) -> Unknown:
    """Count the events whose item no impression or candidate before the as-of has."""
    shown = [
        x.select(
            [x.column("number")], x.table(f"{table}_now"), where=[x.same(x.column("facet"), x.text("item"))]
        )
        for table in tables
        if table != EVENTS
    ]
    ((count, examples),) = log.fetch(
        """SELECT coalesce(sum(n), 0), min(name, $examples)
           FROM (SELECT number, name, sum(n) AS n FROM events_now WHERE facet = 'item' GROUP BY ALL) AS named
           ANTI JOIN ($shown) AS shown USING (number)""",
        examples=x.integer(EXAMPLES),
        shown=shown[0] if len(shown) == 1 else exp.Union(this=shown[0], expression=shown[1], distinct=False),
    )
    return Unknown(int(count), tuple(examples or ()))


def _bad_files(log: LogTables, found: Summaries) -> tuple[File, ...]:
    rows_of = log.fetch(
        "SELECT DISTINCT summary FROM $now WHERE facet = 'count' AND name = 'bad' AND n > 0",
        now=x.table(f"{found.table}_now"),
    )
    bad = {path for (path,) in rows_of}
    return tuple(one.file for one in found.of_files if str(one.path) in bad)
