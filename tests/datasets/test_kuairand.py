"""KuaiRand-Pure imported whole or not at all, what the surface makes of it; and the real ten days, where they are."""

import json
import shutil
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.contracts.load import load_surface
from tasks.datasets.kuairand import COLUMNS, FEEDBACK, LOG, SMOOTHING, USERS, VIDEOS, import_kuairand
from tasks.errors import DataError
from tasks.labels import build as labels
from tasks.labels.show import export
from tasks.stores.workspace import Workspace
from tasks.training.slices import plan_slices
from tests.datasets.kuairand_tables import (
    LOG_NAME,
    Download,
    contents,
    happened,
    milliseconds,
    moment,
    read,
    run,
    shown,
    write_csv,
)
from tests.datasets.named_columns import matched_columns, named_columns
from tests.shared_data import KUAIRAND, needs_kuairand

SURFACES = Path(__file__).parents[2] / "surfaces"


# -- what the surface makes of it -----------------------------------------------------------------------------


def build(download: Download, folder: Path, as_of: datetime) -> tuple[labels.LabelsResult, pd.DataFrame]:
    run(download, folder)
    workspace = Workspace.open("short_video", surfaces=SURFACES, home=folder)
    built = labels.run(workspace, as_of=as_of)
    out = folder / "labels.parquet"
    export(workspace, out=out, format="parquet")
    return built, pq.read_table(out).to_pandas().set_index(["request_id", "item_id"])


def test_the_label_of_a_repeated_video_holds_the_feedback_of_every_view_of_the_day(tmp_path: Path) -> None:
    made = Download.of()
    made.shows(1, 100, moment(0, 1), "is_click")
    made.shows(1, 100, moment(0, 1), "is_click")
    made.shows(1, 100, moment(0, 22), "is_like")
    made.shows(1, 100, moment(1, 2), "is_hate")
    made.shows(2, 101, moment(5, 20))  # the log goes on
    built, rows = build(made, tmp_path, moment(6, 0))
    assert built.quarantined["repeated_key"] == 2
    assert list(rows.loc[("1/2022-04-25", 100), ["click", "like", "hate"]]) == [1, 1, 0]
    assert list(rows.loc[("1/2022-04-26", 100), ["click", "like", "hate"]]) == [0, 0, 1]


def test_a_return_is_a_visit_on_the_next_day_for_every_video_of_the_request(tmp_path: Path) -> None:
    made = Download.of(users=(1, 2, 3))
    made.shows(1, 100, moment(0, 0))
    made.shows(1, 101, moment(1, 0) - timedelta(milliseconds=1))
    made.shows(1, 100, moment(2, 0) - timedelta(milliseconds=1))
    made.shows(2, 100, moment(0, 9))
    made.shows(2, 100, moment(2, 9))
    made.shows(3, 100, moment(0, 9), "is_click")
    made.shows(3, 101, moment(5, 20))  # the log goes on
    _, rows = build(made, tmp_path, moment(6, 0))
    assert rows.return_1d.dropna().to_dict() == {
        ("1/2022-04-25", 100): 1,
        ("1/2022-04-25", 101): 1,
        ("1/2022-04-26", 100): 0,
        ("2/2022-04-25", 100): 0,
        ("2/2022-04-27", 100): 0,
        ("3/2022-04-25", 100): 0,
    }


def test_a_return_is_unknown_until_the_next_day_is_over(download: Download, tmp_path: Path) -> None:
    _, rows = build(download, tmp_path, moment(2, 12))
    assert set(rows.loc["1/2022-04-26"].return_1d__status) == {"immature"}
    assert list(rows.loc[("1/2022-04-25", 100), ["return_1d__status", "return_1d"]]) == ["observed", 1]


def test_the_surface_finds_every_column_that_it_names(download: Download, tmp_path: Path) -> None:
    contracts = load_surface(SURFACES, "short_video")
    run(download, tmp_path)
    assert named_columns(contracts) <= set(read(tmp_path, "impressions").columns)
    assert matched_columns(contracts) <= set(read(tmp_path, "events").columns)
    assert contracts.tasks.events == {*FEEDBACK, "visit"}


def test_the_ten_days_leave_four_to_train_on_and_two_for_the_return() -> None:
    contracts = load_surface(SURFACES, "short_video")
    days = [date(2022, 4, 24) + timedelta(days=n) for n in range(11)]
    planned = plan_slices(contracts, datetime(2022, 5, 5, tzinfo=UTC), days)
    returns = planned.tasks.pop("return_1d").to_json()
    fast = {
        "train": ["2022-04-24", "2022-04-27"],
        "calibrate": ["2022-04-29", "2022-04-30"],
        "test": ["2022-05-02", "2022-05-03"],
    }
    assert set(planned.tasks) == set(FEEDBACK)
    assert all(slices.to_json() == fast for slices in planned.tasks.values())
    assert returns == {
        "train": ["2022-04-24", "2022-04-25"],
        "calibrate": ["2022-04-27", "2022-04-28"],
        "test": ["2022-05-01", "2022-05-02"],
    }


# -- one import, whole or not at all --------------------------------------------------------------------------


def test_equal_input_gives_equal_bytes_in_any_order_on_any_threads(
    download: Download, tmp_path: Path
) -> None:
    run(download, tmp_path / "a", threads=1)
    for rows in (download.log, download.users, download.videos):
        rows.reverse()
    run(download, tmp_path / "b", threads=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_gzipped_or_plain_the_data_folder_itself_or_the_one_above_it_is_all_one(
    download: Download, tmp_path: Path
) -> None:
    run(download, tmp_path)
    packed = download.write(tmp_path / "packed", gzipped=True)
    import_kuairand(source=packed / "data", out=tmp_path / "other" / "logs" / "short_video")
    assert contents(tmp_path / "other") == contents(tmp_path)


def test_several_logs_are_read_as_one(download: Download, tmp_path: Path) -> None:
    run(download, tmp_path)
    parts = download.write(tmp_path / "parts")
    for name, lines in (("4_08_to_4_21", download.log[:2]), ("4_22_to_5_08", download.log[2:])):
        write_csv(parts / "data" / f"log_standard_{name}_pure.csv", COLUMNS[LOG], lines)
    (parts / "data" / LOG_NAME).unlink()
    import_kuairand(source=parts, out=tmp_path / "other" / "logs" / "short_video")
    assert contents(tmp_path / "other") == contents(tmp_path)


def test_columns_may_stand_in_any_order(download: Download, tmp_path: Path) -> None:
    run(download, tmp_path)
    turned = download.write(tmp_path / "turned")
    columns = dict(reversed(list(COLUMNS[LOG].items())))
    write_csv(turned / "data" / LOG_NAME, columns, download.log)
    import_kuairand(source=turned, out=tmp_path / "other" / "logs" / "short_video")
    assert contents(tmp_path / "other") == contents(tmp_path)


def test_a_second_import_reuses_what_is_whole_and_other_data_are_imported_anew(
    download: Download, tmp_path: Path
) -> None:
    first, second = run(download, tmp_path), run(download, tmp_path)
    assert (first.reused, second.reused) == (False, True)
    assert second.impressions == first.impressions
    download.shows(2, 100, moment(3))
    assert not run(download, tmp_path).reused


def test_what_a_killed_import_left_is_mended(download: Download, tmp_path: Path) -> None:
    run(download, tmp_path)
    whole = contents(tmp_path)
    logs = tmp_path / "logs" / "short_video"
    (logs / ".importing" / "impressions").mkdir(parents=True)
    (logs / ".importing" / "impressions" / "2022-04-25.parquet").write_bytes(b"half")
    shutil.rmtree(logs / "events")
    assert not run(download, tmp_path).reused
    assert contents(tmp_path) == whole
    assert not (logs / ".importing").exists()


# -- the real ten days ----------------------------------------------------------------------------------------


@needs_kuairand
def test_the_real_dirt_comes_through_with_counts(tmp_path: Path) -> None:
    counts = asdict(import_kuairand(source=KUAIRAND, out=tmp_path / "logs"))
    assert counts == {
        "first_day": "2022-04-24",
        "last_day": "2022-05-04",
        "impressions": 171_671,
        "requests": 89_843,
        "users": 24_076,
        "videos": 6_075,
        "feedback_events": 135_677,
        "visits": 89_843,
        "exact_duplicates": 4_390,
        "near_duplicates": 349,
        "repeated_views": 730,
        "feedback_of_repeated_views": 344,
        "feedback_a_day_late": 0,
        "dated_another_day": 1_539,
        "without_duration": 2_646,
        "played_over_ten_times": 2_181,
        "play_times_capped": 33,
        "long_views_without_click": 169,
        "likes_without_click": 528,
        "liked_and_hated": 2,
        "randomly_exposed": 0,
        "without_user_features": 0,
        "without_video_features": 0,
        "live_streamer_unknown": 21_127,
        "reused": False,
    }


def refused(source: Path, tmp_path: Path) -> str:
    with pytest.raises(DataError) as caught:
        import_kuairand(source=source, out=tmp_path / "logs")
    assert not list((tmp_path / "logs").glob("[!.]*"))
    return str(caught.value)


def test_a_command_without_a_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "kuairand", "--out", str(tmp_path)]) == 2
    assert "Download it and name its folder (--source DIR)" in capsys.readouterr().err


def test_the_command_prints_every_count(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = download.write(tmp_path / "source")
    assert (
        main(["import", "kuairand", "--source", str(source), "--out", str(tmp_path / "logs"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["impressions"] == 6


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere is not a folder" in refused(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize("name", [LOG_NAME, USERS, VIDEOS])
def test_a_missing_file_is_named_with_what_is_there_and_the_nearest(
    download: Download, tmp_path: Path, name: Any
) -> None:
    source = download.write(tmp_path)
    (source / "data" / name).rename(source / "data" / name.replace("_pure", "_prue"))
    said = refused(source, tmp_path)
    assert f"data holds no {name.replace('4_25_to_5_04', '*')}[.gz]" in said
    assert f"Did you mean '{name.replace('_pure', '_prue')}'?" in said


def test_a_file_both_plain_and_gzipped_is_refused(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    download.write(tmp_path, gzipped=True)
    assert "the same lines twice" in refused(source, tmp_path)


def test_an_unknown_column_is_named_with_the_nearest_known(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    log = source / "data" / LOG_NAME
    log.write_text(log.read_text().replace("is_click", "is_clik"))
    said = refused(source, tmp_path)
    assert f"Unknown column 'is_clik' in {log}" in said
    assert "Did you mean 'is_click'?" in said


def test_a_missing_column_is_named_with_what_is_there(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    columns = {name: kind for name, kind in COLUMNS[USERS].items() if name != "register_days"}
    users = [{name: row[name] for name in columns} for row in download.users]
    write_csv(source / "data" / USERS, columns, users)
    assert f"{USERS} lacks column register_days. It holds user_id," in refused(source, tmp_path)


def test_another_delimiter_is_named_with_the_line_that_shows_it(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    write_csv(source / "data" / VIDEOS, COLUMNS[VIDEOS], download.videos, delimiter=";")
    said = refused(source, tmp_path)
    assert f"{VIDEOS} has no comma in its first line: 'video_id;author_id;" in said


def test_an_empty_file_is_named_with_the_header_that_it_should_have(
    download: Download, tmp_path: Path
) -> None:
    source = download.write(tmp_path)
    (source / "data" / LOG_NAME).write_text("")
    assert f"{LOG_NAME} is empty. Its first line should be user_id,video_id" in refused(source, tmp_path)


def test_a_header_without_rows_is_refused(download: Download, tmp_path: Path) -> None:
    download.log.clear()
    assert "holds no row below its header" in refused(download.write(tmp_path), tmp_path)


def test_a_file_that_only_calls_itself_gzipped_is_named(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    (source / "data" / LOG_NAME).rename(source / "data" / f"{LOG_NAME}.gz")
    assert f"{LOG_NAME}.gz is not a gzipped CSV in UTF-8" in refused(source, tmp_path)


@pytest.mark.parametrize(("column", "value"), [("time_ms", "noon"), ("is_click", 7), ("user_id", "u1")])
def test_a_value_of_another_type_is_named_with_its_file(
    download: Download, tmp_path: Path, column: str, value: int | str
) -> None:
    download.log[3][column] = value
    said = refused(download.write(tmp_path), tmp_path)
    assert f"{LOG_NAME} cannot be read" in said
    assert str(value) in said


@pytest.mark.parametrize("column", ["user_id", "video_id", "time_ms"])
def test_a_line_of_nobody_of_nothing_or_of_no_time_is_refused_and_counted(
    download: Download, tmp_path: Path, column: str
) -> None:
    download.log[2][column] = ""
    said = refused(download.write(tmp_path), tmp_path)
    assert f"{LOG_NAME}: 1 of 6 rows have no user_id or video_id or time_ms" in said


def test_a_user_that_stands_twice_is_refused(download: Download, tmp_path: Path) -> None:
    download.users.append(download.users[0])
    assert "1 rows repeat a user_id" in refused(download.write(tmp_path), tmp_path)


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
