"""The SQL of the KuaiRand import: stage the files once, then one query a table and day.

::

    log ─> rows (every line, with its day) ───────────────────────────────> IMPRESSIONS of day d
            └> views (one a user, video and instant) ─> pasts (days < d) ─────┘
                └> EVENTS of day d: feedback when a view is over, and the day's visits

A past has one row for each day on which somebody (a user) or something (a video, an author, ...) occurs,
and holds what was counted on the days before; the rates are mixed with the rate of all on those days. Sums
are of whole numbers: a parallel sum of fractions depends on the order of its threads.
"""
# ruff: noqa: S608 - the statements are made of this module's own names; what comes from outside is a parameter

from collections.abc import Mapping, Sequence
from typing import Final

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
"""Our event: the log's flag."""

STAYS: Final[Mapping[str, str]] = {"comment": "comment_stay_ms", "profile_enter": "profile_stay_ms"}
"""The stay at whose end an event is dated; the others are dated at the end of the play."""

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
"""Whose past is counted: its key, and the feedback whose rates are features."""

SMOOTHING: Final = 20
"""How many impressions with the rate of all every rate is mixed with."""

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

VIDEOS: Final = """
CREATE TABLE videos AS
SELECT video_id AS item_id, author_id, video_type, upload_type, music_id, music_type::INTEGER AS music_type,
       nullif(split_part(tag, ',', 1), '') AS tag, upload_dt, video_duration,
       server_width / nullif(server_height, 0) AS width_to_height
FROM video_features
"""

_FLAGS: Final = ", ".join(f"bool_or(coalesce({flag}, FALSE)) AS {flag}" for flag in FEEDBACK.values())

VIEWS: Final = f"""
CREATE TABLE views AS
WITH seen AS (
    SELECT user_id, item_id, shown_at, day, request_id, min(tab) AS tab, max(play_ms) AS play_ms,
           max(comment_stay_ms) AS comment_stay_ms, max(profile_stay_ms) AS profile_stay_ms, {_FLAGS}
    FROM rows GROUP BY user_id, item_id, shown_at, day, request_id
)
SELECT seen.*, author_id, music_id, videos.tag, upload_type
FROM seen LEFT JOIN videos USING (item_id)
"""
"""Lines of one user, video and instant are one view: what any of them says happened."""

DAYS: Final = "SELECT DISTINCT day FROM rows ORDER BY day"


def past(name: str, key: Sequence[str]) -> str:
    """Write the statement that counts a past: by key and day, the sums over the days before."""
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


_HOT: Final = ", ".join(f"onehot_feat{n}" for n in range(18))

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
"""Feedback when its view is over; a user's visit of the day, known from the first impression on."""

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
