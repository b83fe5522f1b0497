"""KuaiRand-Pure imported whole or not at all, what the surface makes of it; and the real ten days, where they are."""

import shutil
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from tasks.contracts.load import load_surface
from tasks.datasets.kuairand import import_kuairand
from tasks.datasets.kuairand_files import COLUMNS, LOG
from tasks.datasets.kuairand_sql import FEEDBACK
from tasks.labels import build as labels
from tasks.labels.export import export
from tasks.stores.workspace import Workspace
from tasks.training.slices import plan_slices
from tests.datasets.kuairand_tables import LOG_NAME, Download, contents, moment, read, run, write_csv
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
