"""KuaiRand-Pure (short videos, spring 2022) as log tables for the surface ``short_video``.

Files of the download; the layout is public and fixed, so additional and missing columns are refused::

    data/log_standard_*_pure.csv[.gz]          impressions and feedback; one or more files
    data/user_features_pure.csv[.gz]           one row per user
    data/video_features_basic_pure.csv[.gz]    one row per video

**Feedback has no time of its own.** A line of the log contains the time at which a video was shown
(``time_ms``), and how long the video, its comments and its author's profile were open. Feedback is dated at
the end of the play or stay that it belongs to, so never before it happened::

    shown_at ──── play ────┤ click, long_view, like, follow, forward, hate
                           ├── comment stay ──┤ comment
                           ├── profile stay ──┤ profile_enter

A play counts for at most ten times the video's duration, and a play or stay for at most an hour.

**A request is a user's day** (UTC); ``request_id`` is ``user/day``, and feedback names its request. The only
delayed outcome is a user's return: a ``visit`` on a day is dated at the last millisecond before that day. It
therefore lies within a day of every impression of the day before, and before all impressions of its own day.
Its ``ingested_at`` is the day's first impression.

**Every line becomes an impression**, including repeated ones: the label build selects the first of a key and
quarantines the others. Lines with the same user, video and instant are one view with the feedback of all of
them. Feedback on a later view of a video on the same day belongs to the selected impression.

The files are staged once; then each table and day is one query::

    log ─> rows (every line, with its day) ───────────────────────────────> IMPRESSIONS of day d
            └> views (one per user, video, instant) ──> pasts (days < d) ─────┘
                └> EVENTS of day d: feedback at the end of a view, and the day's visits

A past has one row for each day on which a user, a video, an author, ... occurs, with the counts of earlier
days. Rates are smoothed towards the overall rate on those days. Sums are of integers, because a parallel sum
of fractions depends on the order of its threads.

Only ``time_ms`` is read as time: ``date`` and ``hourmin`` are Beijing time and sometimes a day late. The
statistics of the whole month (``video_features_statistic_pure.csv``) would leak the future and are not read.
"""

# ruff: noqa: S608 - statements contain only the names below; paths, types and values are parameters

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import duckdb

from tasks.datasets import publishing
from tasks.errors import DataError, unknown

LOG: Final = "log_standard_*_pure.csv"
USERS: Final = "user_features_pure.csv"
VIDEOS: Final = "video_features_basic_pure.csv"

Files = Mapping[str, Sequence[Path]]

_FLAGS: Final = (
    *("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view"),
    *("is_profile_enter", "is_rand"),
)

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    LOG: {
        **dict.fromkeys(("user_id", "video_id", "date", "hourmin", "time_ms"), "BIGINT"),
        **dict.fromkeys(("play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"), "BIGINT"),
        **dict.fromkeys(_FLAGS, "BOOLEAN"),
        "tab": "INTEGER",
    },
    USERS: {
        "user_id": "BIGINT",
        "user_active_degree": "VARCHAR",
        **dict.fromkeys(("is_lowactive_period", "is_live_streamer", "is_video_author"), "INTEGER"),
        **dict.fromkeys(("follow_user_num", "fans_user_num", "friend_user_num", "register_days"), "BIGINT"),
        **dict.fromkeys(("follow_user_num_range", "fans_user_num_range"), "VARCHAR"),
        **dict.fromkeys(("friend_user_num_range", "register_days_range"), "VARCHAR"),
        **{f"onehot_feat{n}": "DOUBLE" for n in range(18)},
    },
    VIDEOS: {
        **dict.fromkeys(("video_id", "author_id", "music_id"), "BIGINT"),
        **dict.fromkeys(("video_type", "upload_type", "tag"), "VARCHAR"),
        "upload_dt": "DATE",
        **dict.fromkeys(("visible_status", "video_duration", "server_width", "server_height"), "DOUBLE"),
        "music_type": "DOUBLE",
    },
}
"""Columns of each kind of file, with the types that they are read as."""

_TABLES: Final = {LOG: "log", USERS: "user_features", VIDEOS: "video_features"}
_REQUIRED: Final = {LOG: ("user_id", "video_id", "time_ms"), USERS: ("user_id",), VIDEOS: ("video_id",)}

FEEDBACK: Final[Mapping[str, str]] = {
    "click": "is_click",
    "long_view": "long_view",
    "like": "is_like",
    "follow": "is_follow",
    "comment": "is_comment",
    "forward": "is_forward",
    "profile_enter": "is_profile_enter",
    "hate": "is_hate",
}
"""Flag of the log by event name."""

STAYS: Final[Mapping[str, str]] = {"comment": "comment_stay_ms", "profile_enter": "profile_stay_ms"}
"""The stay whose end dates an event; other events are dated at the end of the play."""

_FREQUENT: Final = ("click", "long_view", "like", "profile_enter")

PASTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "user": (("user_id",), tuple(FEEDBACK)),
    "video": (("item_id",), tuple(FEEDBACK)),
    "author": (("author_id",), _FREQUENT),
    "music": (("music_id",), _FREQUENT),
    "tag": (("tag",), _FREQUENT),
    "upload_type": (("upload_type",), _FREQUENT),
    "user_tab": (("user_id", "tab"), _FREQUENT),
}
"""Pasts: the key of each, and the feedback whose rates are features."""

SMOOTHING: Final = 20
"""Weight of the overall rate in every smoothed rate, in impressions."""

ROWS: Final = """
CREATE TABLE rows AS
WITH timed AS (SELECT *, make_timestamptz(time_ms * 1000) AS shown_at FROM log)
SELECT *, video_id AS item_id, shown_at::DATE AS day, user_id || '/' || shown_at::DATE AS request_id,
       least(greatest(coalesce(play_time_ms, 0), 0), $longest_ms,
             CASE WHEN duration_ms > 0 THEN duration_ms * $plays ELSE $longest_ms END) AS play_ms,
       least(greatest(coalesce(comment_stay_time, 0), 0), $longest_ms) AS comment_stay_ms,
       least(greatest(coalesce(profile_stay_time, 0), 0), $longest_ms) AS profile_stay_ms
FROM timed
"""

_VIDEO_TABLE: Final = """
CREATE TABLE videos AS
SELECT video_id AS item_id, author_id, video_type, upload_type, music_id, music_type::INTEGER AS music_type,
       nullif(split_part(tag, ',', 1), '') AS tag, upload_dt, video_duration,
       server_width / nullif(server_height, 0) AS width_to_height
FROM video_features
"""

_ANY_FLAG: Final = ", ".join(f"bool_or(coalesce({flag}, FALSE)) AS {flag}" for flag in FEEDBACK.values())

VIEWS: Final = f"""
CREATE TABLE views AS
WITH seen AS (
    SELECT user_id, item_id, shown_at, day, request_id, min(tab) AS tab, max(play_ms) AS play_ms,
           max(comment_stay_ms) AS comment_stay_ms, max(profile_stay_ms) AS profile_stay_ms, {_ANY_FLAG}
    FROM rows GROUP BY user_id, item_id, shown_at, day, request_id
)
SELECT seen.*, author_id, music_id, videos.tag, upload_type
FROM seen LEFT JOIN videos USING (item_id)
"""
"""Lines with the same user, video and instant are one view with the feedback of all of them."""

DAYS: Final = "SELECT DISTINCT day FROM rows ORDER BY day"
_HOT: Final = ", ".join(f"onehot_feat{n}" for n in range(18))
_LINE: Final = ", ".join(
    (
        "user_id", "item_id", "shown_at", "date", "hourmin", "tab", "is_rand", "play_time_ms", "duration_ms",
        "profile_stay_time", "comment_stay_time", *FEEDBACK.values(),
    )
)  # fmt: skip

COUNTS: Final = f"""
WITH lines AS (SELECT DISTINCT {_LINE} FROM rows),
keys AS (SELECT request_id, item_id, min(shown_at) AS first_at FROM views GROUP BY request_id, item_id),
repeated AS (
    SELECT * FROM views JOIN keys USING (request_id, item_id) WHERE shown_at > first_at
)
SELECT count(*) AS impressions, count(DISTINCT request_id) AS requests, count(DISTINCT user_id) AS users,
       count(DISTINCT item_id) AS videos,
       count(*) - (SELECT count(*) FROM lines) AS exact_duplicates,
       (SELECT count(*) FROM lines) - (SELECT count(*) FROM views) AS near_duplicates,
       (SELECT count(*) FROM repeated) AS repeated_views,
       (SELECT coalesce(sum({" + ".join(f"{flag}::INTEGER" for flag in FEEDBACK.values())}), 0) FROM repeated)
           AS feedback_of_repeated_views,
       (SELECT count(*) FROM repeated
        WHERE shown_at + to_milliseconds(play_ms + comment_stay_ms + profile_stay_ms)
              >= first_at + INTERVAL 1 DAY
          AND ({" OR ".join(FEEDBACK.values())})) AS feedback_a_day_late,
       count(*) FILTER (strftime(shown_at + INTERVAL 8 HOUR, '%Y%m%d') <> date::VARCHAR) AS dated_another_day,
       count(*) FILTER (duration_ms <= 0) AS without_duration,
       count(*) FILTER (play_time_ms > 10 * duration_ms) AS played_over_ten_times,
       count(*) FILTER (play_ms < play_time_ms) AS play_times_capped,
       count(*) FILTER (long_view AND NOT is_click) AS long_views_without_click,
       count(*) FILTER (is_like AND NOT is_click) AS likes_without_click,
       count(*) FILTER (is_like AND is_hate) AS liked_and_hated,
       count(*) FILTER (is_rand) AS randomly_exposed,
       count(*) FILTER (user_id NOT IN (SELECT user_id FROM user_features)) AS without_user_features,
       count(*) FILTER (item_id NOT IN (SELECT item_id FROM videos)) AS without_video_features,
       (SELECT count(*) FROM user_features WHERE is_live_streamer NOT IN (0, 1)) AS live_streamer_unknown
FROM rows
"""

EVENT_COUNTS: Final = """
SELECT count(*) FILTER (event <> 'visit') AS feedback_events, count(*) FILTER (event = 'visit') AS visits
FROM read_parquet($files)
"""

PLAYS: Final = 10
"""Maximum plays of a video, in multiples of its duration, for event times and means."""

LONGEST_MS: Final = 3_600_000
"""Maximum length of a play or stay."""


def find_files(source: Path) -> Files:
    """Find the download's files in a folder or its ``data``, and check their headers.

    Raises
    ------
    DataError
        The folder or a file is missing, a file is empty, or its header does not match the download's.
    """
    if not source.is_dir():
        raise DataError(
            f"{source} is not a folder. Name the folder of the KuaiRand-Pure download (--source)."
        )
    folder = source / "data" if (source / "data").is_dir() else source
    files = {pattern: _matching(folder, pattern) for pattern in COLUMNS}
    for pattern, found in files.items():
        for path in found:
            _check_header(path, COLUMNS[pattern])
    return files


def _matching(folder: Path, pattern: str) -> list[Path]:
    found = sorted([*folder.glob(pattern), *folder.glob(f"{pattern}.gz")])
    if not found:
        here = sorted(path.name for path in folder.glob("*.csv*"))
        raise DataError(f"{folder} holds no {pattern}[.gz]. {unknown('file', pattern, here)}")
    if len({path.name.removesuffix(".gz") for path in found}) < len(found):
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder} holds {names}: the same lines twice. Keep each file plain or gzipped.")
    return [publishing.require_file(path) for path in found]


def _check_header(path: Path, columns: Mapping[str, str]) -> None:
    line = publishing.read_first_line(path)
    if not line.strip():
        raise DataError(f"{path} is empty. Its first line should be {','.join(columns)}")
    found = next(csv.reader([line]))
    if len(found) == 1:
        raise DataError(
            f"{path} has no comma in its first line: '{line.strip()[:80]}'. Columns are expected to be"
            f" separated by commas: {','.join(columns)}"
        )
    for name in found:
        if name not in columns:
            raise DataError(unknown("column", name, columns, where=str(path)))
    if lacking := [name for name in columns if name not in found]:
        raise DataError(f"{path} lacks column {', '.join(lacking)}. It holds {', '.join(found)}.")
    if len(set(found)) < len(found):
        raise DataError(f"{path} names a column twice: {', '.join(found)}.")


def load_files(session: duckdb.DuckDBPyConnection, files: Files) -> None:
    """Create the tables ``log``, ``user_features`` and ``video_features``.

    Raises
    ------
    DataError
        A value does not match its column's type, a file has no rows, or a key is missing or repeated.
    """
    for pattern, found in files.items():
        table = _TABLES[pattern]
        for number, path in enumerate(found):
            into = f"INSERT INTO {table} BY NAME" if number else f"CREATE TABLE {table} AS"
            _load(session, into, path, COLUMNS[pattern])
        _check_rows(session, pattern, found)


def _load(session: duckdb.DuckDBPyConnection, into: str, path: Path, columns: Mapping[str, str]) -> None:
    order = next(csv.reader([publishing.read_first_line(path)]))
    typed = {name: columns[name] for name in order}
    read = "read_csv($path, columns = $columns, header = true, delim = ',', quote = '\"', nullstr = '')"
    try:
        session.execute(f"{into} SELECT * FROM {read}", {"path": str(path), "columns": typed})
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _check_rows(session: duckdb.DuckDBPyConnection, pattern: str, found: Sequence[Path]) -> None:
    table, names = _TABLES[pattern], ", ".join(path.name for path in found)
    required = _REQUIRED[pattern]
    unkeyed = " OR ".join(f"{name} IS NULL" for name in required)
    query = f"SELECT count(*), count(*) FILTER ({unkeyed}), count(DISTINCT {required[0]}) FROM {table}"
    rows, without_key, distinct = session.execute(query).fetchall()[0]
    where = f"{found[0].parent}: {names}"
    if not rows:
        raise DataError(f"{where} holds no row below its header.")
    if without_key:
        raise DataError(f"{where}: {without_key} of {rows} rows have no {' or '.join(required)}.")
    if pattern != LOG and distinct < rows:
        raise DataError(f"{where}: {rows - distinct} rows repeat a {required[0]}; one row each is expected.")


def past(name: str, key: Sequence[str]) -> str:
    """Return the statement that counts a past: by key and day, the sums over the days before."""
    group = ", ".join((*key, "day"))
    apart = f"PARTITION BY {', '.join(key)}" if key else ""
    sums = ", ".join(
        f"sum(count(*) FILTER ({flag})) OVER before AS {event}_n" for event, flag in FEEDBACK.items()
    )
    return f"""
    CREATE TABLE past_{name} AS
    SELECT {group}, {sums}, sum(count(*)) OVER before AS shown_n, sum(sum(play_ms)) OVER before AS play_ms,
           count(*) OVER before AS days_n, max(day) OVER before AS last_day
    FROM views GROUP BY {group}
    WINDOW before AS ({apart} ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    """


def _features() -> str:
    return ", ".join(
        feature
        for name, (_, events) in PASTS.items()
        for feature in (
            f"coalesce(past_{name}.shown_n, 0) / greatest(days_before, 1) AS {name}_shown",
            *(_rate(name, event) for event in events),
        )
    )


def _rate(name: str, event: str) -> str:
    own, n = (f"coalesce(past_{name}.{counted}_n, 0)" for counted in (event, "shown"))
    of_all = f"past_all.{event}_n / past_all.shown_n"
    return f"({own} + {SMOOTHING} * {of_all}) / ({n} + {SMOOTHING}) AS {name}_{event}_rate"


def _joins() -> str:
    return "\n".join(
        f"LEFT JOIN past_{name} ON past_{name}.day = shown.day AND "
        + " AND ".join(f"past_{name}.{column} = shown.{column}" for column in key)
        for name, (key, _) in PASTS.items()
    )


IMPRESSIONS: Final = f"""
WITH shown AS (
    SELECT request_id, user_id, item_id, shown_at, day, tab, duration_ms, author_id, music_id, music_type,
           video_type, upload_type, videos.tag, upload_dt, video_duration, width_to_height,
           date_diff('day', (SELECT min(day) FROM rows), day) AS days_before
    FROM rows LEFT JOIN videos USING (item_id) WHERE day = $day
)
SELECT request_id, shown.user_id, shown.item_id, shown_at, shown.tab, hour(shown_at)::INTEGER AS hour,
       shown.author_id, video_type, shown.upload_type, shown.music_id, music_type, shown.tag,
       coalesce(CASE WHEN duration_ms > 0 THEN duration_ms END, video_duration) / 1000 AS duration_seconds,
       width_to_height, date_diff('day', upload_dt, shown.day)::INTEGER AS video_age_days,
       user_active_degree, CASE WHEN is_live_streamer IN (0, 1) THEN is_live_streamer END AS live_streamer,
       is_video_author AS video_author, follow_user_num, fans_user_num, friend_user_num, register_days,
       {_HOT},
       coalesce(past_user.days_n, 0) / greatest(days_before, 1) AS user_days_share,
       date_diff('day', past_user.last_day, shown.day)::INTEGER AS days_since_user,
       past_user.play_ms / past_user.shown_n / 1000 AS user_play_seconds,
       past_video.play_ms / past_video.shown_n / 1000 AS video_play_seconds,
       {_features()}
FROM shown LEFT JOIN user_features USING (user_id)
LEFT JOIN past_all ON past_all.day = shown.day
{_joins()}
ORDER BY request_id, shown_at, item_id, tab, duration_ms
"""


def _feedback(event: str, flag: str) -> str:
    over = " + ".join(["play_ms", *([STAYS[event]] if event in STAYS else [])])
    return f"""
    SELECT '{event}' AS event, shown_at + to_milliseconds({over}) AS happened_at,
           NULL::TIMESTAMPTZ AS ingested_at, user_id, item_id, request_id
    FROM views WHERE day = $day AND {flag}
    """


EVENTS: Final = (
    "\nUNION ALL\n".join(_feedback(event, flag) for event, flag in FEEDBACK.items())
    + """
    UNION ALL
    SELECT 'visit', $day::DATE::TIMESTAMPTZ - INTERVAL 1 MILLISECOND, min(shown_at), user_id, NULL, NULL
    FROM views WHERE day = $day GROUP BY user_id
    ORDER BY happened_at, user_id, event, item_id
    """
)
"""Feedback at the end of its view, and a user's visit of the day, known from the first impression on."""


@dataclass(frozen=True)
class KuaiRandResult:
    """Counts and anomalies of an import; ``reused`` if its own earlier output was complete.

    ``impressions`` counts the log's lines. Three counts are of lines that the label build will quarantine:
    ``exact_duplicates`` equal another line in every column, ``near_duplicates`` in user, video and instant,
    and ``repeated_views`` show a user the same video later on the same day. Feedback on those counts within a
    day of the first view; later feedback (``feedback_a_day_late``) is in no label.
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
    """Write ``out/impressions/<day>.parquet`` and ``out/events/<day>.parquet``, one file per day.

    Equal input gives equal bytes. Output appears only when complete; after a killed run, a second run gives
    the same result. Complete output of an equal import is reused.

    Parameters
    ----------
    source : the folder of the public download, or its ``data``; files may be gzipped.
    out : folder of the surface's log tables.
    threads, memory : DuckDB's limits.

    Raises
    ------
    DataError
        A file is missing, empty or not a comma-separated CSV, has missing or additional columns, a value of
        another type, a line without user, video or time, or a repeated user or video.
    """
    files = find_files(source)
    data = chain.from_iterable(files.values())
    recipe = publishing.make_recipe(duckdb.__version__, [Path(__file__), *data])
    if (done := publishing.find_finished(out, recipe)) is not None:
        return KuaiRandResult(**done)
    work = publishing.begin(out)
    with publishing.connect(work, threads=threads, memory=memory) as session:
        _stage(session, files)
        days = [day for (day,) in session.execute(DAYS).fetchall()]
        by_day = {day.isoformat(): {"day": day} for day in days}
        publishing.write_files(session, IMPRESSIONS, work / "impressions", by_day)
        publishing.write_files(session, EVENTS, work / "events", by_day)
        first, last = (day.isoformat() for day in (days[0], days[-1]))
        happened = {"files": str(work / "events" / "*.parquet")}
        counts = publishing.count(session, (COUNTS, None), (EVENT_COUNTS, happened))
        result = KuaiRandResult(first_day=first, last_day=last, **counts)
    publishing.publish(work, out, recipe, result)
    return result


def _stage(session: duckdb.DuckDBPyConnection, files: Files) -> None:
    load_files(session, files)
    session.execute(ROWS, {"longest_ms": LONGEST_MS, "plays": PLAYS})
    session.execute(_VIDEO_TABLE)
    session.execute(VIEWS)
    session.execute(past("all", ()))
    for name, (key, _) in PASTS.items():
        session.execute(past(name, key))
