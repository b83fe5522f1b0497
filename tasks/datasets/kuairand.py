"""KuaiRand-Pure (short videos, spring 2022) as log tables for the surface ``short_video``.

**Feedback has no time of its own.** A line of the log says when a video was shown (``time_ms``), how long it
was played, how long its comments and its author's profile were open, and what the user did. Feedback is
dated when the play or stay that it belongs to is over, so never before it happened::

    shown_at ──── play ────┤ click, long_view, like, follow, forward, hate
                           ├── comment stay ──┤ comment
                           ├── profile stay ──┤ profile_enter

A play counts for ten times the video's duration at most, and a play or stay for an hour at most.

**A request is a user's day** (UTC); ``request_id`` is ``user/day``, and feedback names its request. The one
truly delayed outcome is a user's return: a ``visit`` says that the user was there on a day. It is dated at
the last millisecond before its day (the log's times are whole milliseconds): within a day of every impression
of the day before, and before all of its own. Nobody knew it before the day's first impression, which is its
``ingested_at``.

**Every line becomes an impression**, a repeated one too: the label build keeps the first of a key and puts
the others into quarantine. Lines of one user, video and instant are one view with the feedback of any of
them. What a user does at a later view of a video on the same day belongs to the impression that is kept.
All of it is counted.

Only ``time_ms`` tells time: ``date`` and ``hourmin`` are Beijing's and at times a day late. Every feature of
an impression stands in the user's or video's table or is counted on days before its own. The statistics of
the whole month (``video_features_statistic_pure.csv``) would tell the future; they are not read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from tasks.datasets import kuairand_files, tables
from tasks.datasets import kuairand_sql as sql
from tasks.datasets.kuairand_files import Files, find_files, load_files
from tasks.datasets.publishing import begin, find_finished, make_recipe, publish

PLAYS: Final = 10
"""How many times its duration a video is played at most, as far as an event's time and a mean go."""
LONGEST_MS: Final = 3_600_000
"""The longest play or stay."""


@dataclass(frozen=True)
class KuaiRandResult:
    """What an import wrote and what it found odd; ``reused`` when its own earlier output was whole.

    ``impressions`` counts the log's lines. Three counts are of lines that the label build will put into
    quarantine: ``exact_duplicates`` equal another line in every column, ``near_duplicates`` in user, video
    and instant, ``repeated_views`` show a user the same video later on the same day. Feedback of those is of
    use within a day of the first view; what comes later (``feedback_a_day_late``) is in no label.
    """

    first_day: str
    last_day: str
    impressions: int
    requests: int
    users: int
    videos: int
    feedback_events: int
    visits: int
    exact_duplicates: int
    near_duplicates: int
    repeated_views: int
    feedback_of_repeated_views: int
    feedback_a_day_late: int
    dated_another_day: int
    without_duration: int
    played_over_ten_times: int
    play_times_capped: int
    long_views_without_click: int
    likes_without_click: int
    liked_and_hated: int
    randomly_exposed: int
    without_user_features: int
    without_video_features: int
    live_streamer_unknown: int
    reused: bool = False


def import_kuairand(*, source: Path, out: Path, threads: int = 2, memory: str = "4GB") -> KuaiRandResult:
    """Write ``out/impressions/<day>.parquet`` and ``out/events/<day>.parquet``, a file each for every day.

    Equal input gives equal bytes. Output appears only when whole; killed anywhere and run again, it ends in
    the same state. What an equal import left whole is reused.

    Parameters
    ----------
    source : the folder of the public download, or its ``data``; files may be gzipped.
    out : folder of the surface's log tables.
    threads, memory : DuckDB's limits.

    Raises
    ------
    DataError
        A file is missing, empty, no CSV with commas, holds a column too many or too few, a value of another
        type, a line without user, video or time, or a user or video twice.
    """
    files = find_files(source)
    recipe = _recipe(files)
    if (done := find_finished(out, recipe)) is not None:
        return KuaiRandResult(**done)
    work = begin(out)
    with tables.connect(work, threads=threads, memory=memory) as session:
        _stage(session, files)
        days = [day for (day,) in session.execute(sql.DAYS).fetchall()]
        by_day = {day.isoformat(): {"day": day} for day in days}
        tables.write_files(session, sql.IMPRESSIONS, work / "impressions", by_day)
        tables.write_files(session, sql.EVENTS, work / "events", by_day)
        first, last = (day.isoformat() for day in (days[0], days[-1]))
        result = KuaiRandResult(first_day=first, last_day=last, **_counts(session, work))
    publish(work, out, recipe, result)
    return result


def _stage(session: duckdb.DuckDBPyConnection, files: Files) -> None:
    load_files(session, files)
    session.execute(sql.ROWS, {"longest_ms": LONGEST_MS, "plays": PLAYS})
    session.execute(sql.VIDEOS)
    session.execute(sql.VIEWS)
    session.execute(sql.past("all", ()))
    for name, (key, _) in sql.PASTS.items():
        session.execute(sql.past(name, key))


def _counts(session: duckdb.DuckDBPyConnection, work: Path) -> dict[str, Any]:
    happened = {"files": str(work / "events" / "*.parquet")}
    return tables.count(session, (sql.COUNTS, None), (sql.EVENT_COUNTS, happened))


def _recipe(files: Files) -> str:
    modules = (Path(module) for module in (__file__, kuairand_files.__file__, sql.__file__, tables.__file__))
    return make_recipe(duckdb.__version__, [*modules, *(path for found in files.values() for path in found)])
