"""What the queries make of KuaiRand-Pure's lines: impressions, feedback with its times, features of earlier days."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.datasets.kuairand_sql import FEEDBACK, SMOOTHING
from tests.datasets.kuairand_tables import (
    Download,
    contents,
    happened,
    milliseconds,
    moment,
    read,
    run,
    shown,
)

# -- impressions ----------------------------------------------------------------------------------------------


def test_a_request_is_a_users_day_in_utc(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0, 23.9))
    made.shows(1, 101, moment(1, 0.1))
    run(made, tmp_path)
    assert list(read(tmp_path, "impressions").request_id) == ["1/2022-04-25", "1/2022-04-26"]
    assert sorted(contents(tmp_path))[2:] == [
        "impressions/2022-04-25.parquet",
        "impressions/2022-04-26.parquet",
    ]


def test_an_impression_is_shown_at_the_millisecond_of_the_log(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0) + timedelta(milliseconds=7), date=20220501, hourmin=300)
    result = run(made, tmp_path)
    impressions = pq.read_table(tmp_path / "logs/short_video/impressions/2022-04-25.parquet")
    assert impressions.schema.field("shown_at").type == pa.timestamp("us", tz="UTC")
    assert impressions["shown_at"].to_pylist() == [moment(0) + timedelta(milliseconds=7)]
    assert result.dated_another_day == 1


def test_there_is_no_position_and_no_feedback_beside_an_impression(
    download: Download, tmp_path: Path
) -> None:
    run(download, tmp_path)
    columns = set(read(tmp_path, "impressions"))
    assert not columns & {"position", "play_time_ms", *FEEDBACK, *FEEDBACK.values()}


def test_the_tables_of_user_and_video_travel_with_the_impression(download: Download, tmp_path: Path) -> None:
    download.videos[0] |= {"video_duration": None, "music_type": None, "tag": None}
    download.users[0] |= {"onehot_feat4": None, "is_live_streamer": -124}
    run(download, tmp_path)
    row = shown(tmp_path, 1, 100, 0)
    assert (row.author_id, row.video_type, row.upload_type, row.video_age_days) == (
        70,
        "NORMAL",
        "ShortImport",
        15,
    )
    assert (row.user_active_degree, row.register_days, row.hour, row.tab) == ("full_active", 500, 12, 1)
    assert pd.isna(row.tag)
    assert row[["live_streamer", "onehot_feat4", "music_type"]].isna().all()
    assert shown(tmp_path, 1, 101, 0).tag == "39"


def test_the_duration_is_the_logs_else_the_videos_else_unknown(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0), duration_ms=30_000)
    made.shows(1, 101, moment(0), duration_ms=0)
    made.shows(2, 101, moment(0), duration_ms=-5)
    result = run(made, tmp_path)
    assert shown(tmp_path, 1, 100, 0).duration_seconds == 30
    assert shown(tmp_path, 1, 101, 0).duration_seconds == 20
    assert result.without_duration == 2


# -- times of feedback ----------------------------------------------------------------------------------------


def test_feedback_is_dated_when_the_play_is_over(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0), *FEEDBACK.values(), play_time_ms=12_345)
    run(made, tmp_path)
    for event in FEEDBACK:
        assert happened(tmp_path, event) == [moment(0) + timedelta(milliseconds=12_345)]


def test_a_comment_waits_for_the_end_of_its_stay_and_so_does_a_profile(tmp_path: Path) -> None:
    made = Download.of()
    stays = {"play_time_ms": 1_000, "comment_stay_time": 5_000, "profile_stay_time": 2_000}
    made.shows(1, 100, moment(0), *FEEDBACK.values(), **stays)
    run(made, tmp_path)
    assert happened(tmp_path, "comment") == [moment(0) + timedelta(seconds=6)]
    assert happened(tmp_path, "profile_enter") == [moment(0) + timedelta(seconds=3)]
    assert happened(tmp_path, "like") == [moment(0) + timedelta(seconds=1)]


@pytest.mark.parametrize(
    ("duration", "played", "counted"),
    [
        (2_000, 20_000, timedelta(seconds=20)),
        (2_000, 20_001, timedelta(seconds=20)),
        (0, 900_000, timedelta(minutes=15)),
        (0, 90_000_000, timedelta(hours=1)),
        (1_000_000, 9_000_000, timedelta(hours=1)),
        (2_000, -7, timedelta()),
        (2_000, None, timedelta()),
    ],
)
def test_an_absurd_play_is_capped(tmp_path: Path, duration: int, played: int | None, counted: Any) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0), "is_click", play_time_ms=played, duration_ms=duration)
    result = run(made, tmp_path)
    assert happened(tmp_path, "click") == [moment(0) + counted]
    assert result.play_times_capped == (played is not None and timedelta(milliseconds=played) > counted)


def test_a_visit_is_a_users_day_known_from_its_first_impression_on(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 101, moment(1, 20))
    made.shows(1, 100, moment(1, 9))
    run(made, tmp_path)
    (visit,) = read(tmp_path, "events").to_dict("records")
    assert (visit["event"], visit["user_id"]) == ("visit", 1)
    assert visit["happened_at"] == moment(1, 0) - timedelta(milliseconds=1)
    assert visit["ingested_at"] == moment(1, 9)


# -- lines that say the same, or nearly -----------------------------------------------------------------------


def test_every_line_becomes_an_impression_and_is_counted_by_its_kind(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0), "is_click")
    made.shows(1, 100, moment(0), "is_click")
    made.shows(1, 100, moment(0), "is_click", hourmin=2100)
    made.shows(1, 100, moment(0, 18), "is_like", "is_follow")
    made.shows(1, 100, moment(1, 9))
    result = run(made, tmp_path)
    assert len(read(tmp_path, "impressions")) == result.impressions == 5
    assert (result.exact_duplicates, result.near_duplicates, result.repeated_views) == (1, 1, 1)
    assert (result.feedback_of_repeated_views, result.feedback_a_day_late) == (2, 0)


def test_lines_of_one_instant_are_one_view_with_the_feedback_of_any(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0), "is_click", play_time_ms=0)
    made.shows(1, 100, moment(0), "is_click", "long_view", play_time_ms=19_000)
    run(made, tmp_path)
    events = read(tmp_path, "events")
    assert sorted(events.event) == ["click", "long_view", "visit"]
    assert happened(tmp_path, "click") == [moment(0) + timedelta(seconds=19)]


def test_feedback_names_the_request_of_its_view(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0), "is_click")
    made.shows(1, 100, moment(0, 23.9999), "is_like", play_time_ms=60_000)
    run(made, tmp_path)
    named = read(tmp_path, "events").query("event != 'visit'")
    assert dict(zip(named.event, named.request_id, strict=True)) == {
        "click": "1/2022-04-25",
        "like": "1/2022-04-25",
    }


def test_feedback_later_than_any_window_is_counted(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0, 0))
    made.shows(1, 100, moment(1, 0) - timedelta(seconds=1), "is_like", play_time_ms=1_000)
    assert run(made, tmp_path).feedback_a_day_late == 1


# -- features -------------------------------------------------------------------------------------------------


def test_rates_are_of_earlier_days_and_mixed_with_the_rate_of_all(download: Download, tmp_path: Path) -> None:
    run(download, tmp_path)
    second, third = shown(tmp_path, 1, 101, 1), shown(tmp_path, 2, 101, 2)
    of_all = 2 / 3
    assert second.user_click_rate == pytest.approx((1 + SMOOTHING * of_all) / (2 + SMOOTHING))
    assert second.video_click_rate == pytest.approx((0 + SMOOTHING * of_all) / (1 + SMOOTHING))
    assert (second.user_shown, second.video_shown, second.user_play_seconds) == (2, 1, 11.5)
    assert third.user_click_rate == pytest.approx((1 + SMOOTHING * 3 / 4) / (1 + SMOOTHING))
    assert (third.user_shown, third.video_shown, third.author_shown) == (0.5, 1, 2)
    assert (third.user_days_share, third.days_since_user) == (0.5, 2)


def test_on_the_first_day_nothing_is_known(download: Download, tmp_path: Path) -> None:
    run(download, tmp_path)
    first = shown(tmp_path, 2, 100, 0)
    rates = [name for name in first.index if name.endswith("_rate")]
    assert len(rates) > 30
    assert first[[*rates, "days_since_user", "user_play_seconds"]].isna().all()
    assert first.user_shown == first.video_shown == 0


def test_a_repeated_line_counts_once_in_the_past(tmp_path: Path) -> None:
    made = Download.of()
    for _ in range(3):
        made.shows(1, 100, moment(0), "is_click")
    made.shows(1, 100, moment(1))
    run(made, tmp_path)
    assert shown(tmp_path, 1, 100, 1).user_shown == 1


@pytest.mark.parametrize("day", [0, 1, 2])
def test_what_happens_on_a_day_changes_no_feature_of_that_day_or_before(
    download: Download, tmp_path: Path, day: int
) -> None:
    run(download, tmp_path / "before")
    for line in download.log:
        shown_ms = line["time_ms"]
        assert isinstance(shown_ms, int)
        if shown_ms >= milliseconds(moment(day, 0)):
            line.update(dict.fromkeys(FEEDBACK.values(), 1), play_time_ms=199_000, comment_stay_time=5)
    run(download, tmp_path / "after")
    before, after = contents(tmp_path / "before"), contents(tmp_path / "after")
    files = [f"impressions/{moment(d):%F}.parquet" for d in range(3)]
    assert all(before[name] == after[name] for name in files[: day + 1])
    assert all(before[name] != after[name] for name in files[day + 1 :])


def test_what_is_shown_on_a_day_changes_no_feature_of_that_day_or_before(
    download: Download, tmp_path: Path
) -> None:
    run(download, tmp_path / "before")
    download.shows(2, 101, moment(1, 3), "is_click")
    run(download, tmp_path / "after")
    was, now = (shown(tmp_path / folder, 1, 101, 1) for folder in ("before", "after"))
    assert was.equals(now)


# -- dirt -----------------------------------------------------------------------------------------------------


def test_contradictions_are_kept_and_counted(tmp_path: Path) -> None:
    made = Download.of()
    made.users[0]["is_live_streamer"] = -124
    made.shows(1, 100, moment(0), "long_view")
    made.shows(1, 101, moment(0), "is_like", "is_hate")
    made.shows(2, 100, moment(0), "is_click", play_time_ms=300_000, duration_ms=20_000)
    made.shows(2, 101, moment(0), is_rand=1, play_time_ms=5, duration_ms=0)
    counts = asdict(run(made, tmp_path))
    assert len(read(tmp_path, "impressions")) == 4
    assert {name: counts[name] for name in counts if counts[name] == 1} == {
        "long_views_without_click": 1,
        "likes_without_click": 1,
        "liked_and_hated": 1,
        "play_times_capped": 1,
        "randomly_exposed": 1,
        "without_duration": 1,
        "live_streamer_unknown": 1,
    }
    assert counts["played_over_ten_times"] == 2


def test_users_and_videos_that_no_table_knows_are_kept_and_counted(
    download: Download, tmp_path: Path
) -> None:
    download.shows(9, 999, moment(0), "is_click")
    result = run(download, tmp_path)
    assert (result.without_user_features, result.without_video_features) == (1, 1)
    assert shown(tmp_path, 9, 999, 0)[["register_days", "author_id", "video_type", "tag"]].isna().all()
