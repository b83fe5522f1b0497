"""Thirty days of a log that is healthy but for one thing: exactly the rule that guards against it fails, and says what it found.

Events are counted by name and day; clocks and items that disagree with the impressions are named.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from tasks.errors import DataError
from tasks.evaluation.evidence import Finding
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores.workspace import Workspace
from tasks.validation.measure import measure, measure_events
from tasks.validation.measurements import Measurement
from tests.feeds import mini
from tests.feeds.daily_log import DAYS, EVENTS, DailyLog, on
from tests.labels.engine import tasks


@pytest.fixture
def log(tmp_path: Path) -> DailyLog:
    return DailyLog.healthy(tmp_path)


def only(failures: dict[tuple[str, str], Finding], suite: str, rule: str) -> Finding:
    """Return the one failure, which must be of this rule."""
    assert set(failures) == {(suite, rule)}
    return failures[suite, rule]


def test_a_healthy_log_fails_nothing(log: DailyLog) -> None:
    assert log.failures() == {}


def test_a_log_of_two_days_fails_nothing(log: DailyLog) -> None:
    assert log.failures(as_of=on(2)) == {}


def test_a_day_that_is_not_over_is_not_held_against_whole_days(log: DailyLog) -> None:
    assert log.failures(as_of=on(20, 3)) == {}


def test_a_day_without_impressions_in_the_middle_is_a_warning(log: DailyLog) -> None:
    log.drop("impressions", lambda row: on(15) <= row["shown_at"] < on(16))
    found = only(log.failures(), "impressions", "no_day_left_out")
    assert (found.severity, found.observed) == ("warning", "2026-03-17: no row")


def test_a_day_ten_times_its_neighbours_is_a_warning(log: DailyLog) -> None:
    for n in range(9 * 40):
        shown = log.impressions[2 * 40 * 8]
        log.impressions.append({**shown, "request_id": f"again-{n}", "shown_at": on(8, 12)})
        log.impressions.append(
            {**shown, "request_id": f"again-{n}", "item_id": "second", "shown_at": on(8, 12)}
        )
    found = log.failures()["impressions", "daily_volume_as_usual"]
    assert found.severity == "warning"
    assert found.observed.startswith("impressions 2026-03-10: 804, usual ")


def test_an_event_stream_that_stops_is_critical(log: DailyLog) -> None:
    log.drop("events", lambda row: row["event"] == "hide" and row["happened_at"] >= on(24))
    found = log.failures()["events", "event_streams_to_go_on"]
    assert (found.severity, found.subject) == ("critical", "hide")
    assert found.observed == "hide: no event from 2026-03-26 to 2026-03-30, 54 were usual"


def test_hides_that_are_missing_for_a_day_in_the_middle_are_critical(log: DailyLog) -> None:
    log.drop("events", lambda row: row["event"] == "hide" and on(12) <= row["happened_at"] < on(13))
    found = log.failures()["events", "negative_events_every_day"]
    assert (found.severity, found.subject) == ("critical", "hide_7d")
    assert found.observed == "2026-03-14: no hide of hide_7d in 80 rows, 10 were expected"


def test_hides_that_are_missing_on_the_newest_day_that_must_have_arrived_are_critical(log: DailyLog) -> None:
    """A maturity of a day beyond the window: the events of a day are awaited until the end of the next."""
    log.drop("events", lambda row: row["event"] == "hide" and row["happened_at"] >= on(28))
    found = only(log.failures(), "events", "negative_events_every_day")
    assert found.observed == "2026-03-30: no hide of hide_7d in 82 rows, 11 were expected"


def test_hides_that_meet_no_impression_of_a_mature_day_are_critical(log: DailyLog) -> None:
    for row in log.events:
        if row["event"] == "hide" and on(12) <= row["happened_at"] < on(13):
            row["user_id"] = f"account-{row['user_id']}"
    found = log.failures()["labels", "negative_labels_every_day"]
    assert (found.severity, found.subject) == ("critical", "hide_7d")
    assert found.observed == "2026-03-14: no positive hide_7d in 80 rows, 10 were expected"


def test_a_user_with_many_requests_is_named_with_what_leaving_them_out_changes(log: DailyLog) -> None:
    for day in range(DAYS):
        for n in (1, 2, 3):  # each clicks its first item
            log.request(day, n, name="robot-")
    for row in (*log.impressions, *log.events):
        row["user_id"] = "robot" if row["request_id"].startswith("robot-") else row["user_id"]
    found = only(log.failures(), "impressions", "no_user_with_too_many_requests")
    assert found.severity == "warning"
    # 910 of 2,460 labels are clicks; with the robot's 90 of 180 more, 1,000 of 2,640
    assert found.observed == (
        "user robot: 90 of 1,320 requests (6.8%); without this user click_1h 0.379 to 0.37, hide_7d 0.121 to 0.13"
    )


def test_a_stream_that_was_silent_for_days_and_came_back_is_a_warning(log: DailyLog) -> None:
    log.drop("events", lambda row: row["event"] == "click" and on(10) <= row["happened_at"] < on(12))
    found = only(log.failures(), "events", "no_silent_day")
    assert (found.severity, found.observed) == (
        "warning", "click: no event from 2026-03-12 to 2026-03-13, 60 were usual",
    )  # fmt: skip


def test_events_before_their_impression_are_counted_and_a_warning(log: DailyLog) -> None:
    for row in [row for row in log.events if row["event"] == "click"][200:205]:
        row["happened_at"] -= timedelta(minutes=10)
    found = only(log.failures(), "events", "events_after_their_impression")
    assert (found.severity, found.subject) == ("warning", "click")
    assert found.observed.startswith("click: 5 of 910 rows (for example r6-")


def test_an_event_that_arrived_before_it_happened_is_a_warning(log: DailyLog) -> None:
    row = log.events[100]
    row["ingested_at"] = row["happened_at"] - timedelta(seconds=1)
    found = only(log.failures(), "events", "arrival_after_happening")
    assert found.severity == "warning"
    assert found.observed.startswith("ingested_at: 1 of 1,230 rows (for example ")


def test_items_that_events_name_in_another_way_are_a_warning(log: DailyLog) -> None:
    for row in log.events:
        row["item_id"] = f"item-{row['item_id']}"
    found = log.failures()["events", "events_of_shown_items"]
    assert found.severity == "warning"
    assert found.observed.startswith("item_id: 1,230 of 1,230 rows (for example item-")


def test_events_of_a_few_items_that_were_never_shown_are_only_counted(log: DailyLog) -> None:
    log.event("click", {**log.impressions[5], "item_id": "ghost"})
    assert log.failures() == {}


def test_one_user_with_a_million_events_is_a_warning(log: DailyLog) -> None:
    n = 1_000_000
    seconds = np.linspace(0, DAYS * 86_400 - 1, n).astype(np.int64)
    times = pa.array((int(on(0).timestamp()) + seconds) * 1_000_000).cast(pa.timestamp("us", "UTC"))
    robot = {"event": pa.repeat("click", n), "happened_at": times, "user_id": pa.repeat("robot", n)}
    nothing = {
        name: pa.nulls(n, EVENTS.field(name).type) for name in ("item_id", "request_id", "ingested_at")
    }
    found = only(log.failures(events=pa.table({**robot, **nothing})), "events", "no_user_to_have_too_much")
    assert found.severity == "warning"
    assert found.observed == "user robot: 1,000,000 of 1,001,230 rows (99.9%); allowed 5.0%"


def test_an_event_name_that_no_contract_knows_and_is_close_to_one_is_a_warning(log: DailyLog) -> None:
    log.event("clik", log.impressions[5])
    found = only(log.failures(), "events", "no_strange_event")
    assert (found.severity, found.observed) == ("warning", "clik: 1 events (is it 'click'?)")


def test_an_event_name_that_is_new_is_a_warning(log: DailyLog) -> None:
    for shown in log.impressions[-20:]:
        log.event("tap", shown)
    found = only(log.failures(), "events", "no_strange_event")
    assert (found.severity, found.observed) == ("warning", "tap: 20 events since 2026-03-31")


def test_events_of_another_surface_are_only_told(log: DailyLog) -> None:
    for shown in log.impressions[::10]:
        log.event("tap", shown)
    assert log.failures() == {}


def test_a_log_that_ended_days_ago_is_a_warning(log: DailyLog) -> None:
    failures = log.failures(as_of=on(DAYS + 1, 12))
    assert set(failures) == {("impressions", "fresh_rows"), ("events", "fresh_rows")}
    assert failures["events", "fresh_rows"].severity == "warning"
    assert "allowed 24.0 hours" in failures["events", "fresh_rows"].observed


def test_rows_without_a_key_are_a_warning_when_they_are_many(log: DailyLog) -> None:
    for n in range(30):
        log.impressions.append({**log.impressions[80 * n], "request_id": None})
    found = only(log.failures(), "impressions", "few_rows_in_quarantine")
    assert found.severity == "warning"
    assert found.observed.startswith('no_key: 30 of 2,490 rows (for example {"request_id":null')


def test_a_base_rate_that_jumps_is_a_warning(log: DailyLog) -> None:
    clicked = {row["item_id"] for row in log.events}
    for row in [
        row for row in log.impressions if row["shown_at"] >= on(27) and row["item_id"] not in clicked
    ]:
        log.event("click", row)
    failures = log.failures()
    found = failures["labels", "base_rates_as_usual"]
    assert found.severity == "warning"
    assert found.observed.startswith("click_1h 2026-03-29: ")
    assert ("labels", "base_rates_within_bounds") not in failures


def test_labels_that_no_longer_apply_are_a_warning(log: DailyLog) -> None:
    for row in log.impressions:
        row["visible"] = row["shown_at"] < on(28) or row["price"] < 4
    found = only(log.failures(), "labels", "status_shares_as_usual")
    assert found.severity == "warning"
    assert "click_1h not_applicable 2026-03-30: " in found.observed


@pytest.mark.parametrize("name", ["price", "brand"], ids=["a feature", "a column with a cap"])
def test_a_column_that_goes_missing_is_a_warning(log: DailyLog, name: str) -> None:
    for row in log.impressions[::2]:
        row[name] = None if row["shown_at"] >= on(29) else row[name]
    found = log.failures()["impressions", "null_shares_as_usual"]
    assert (found.severity, found.subject) == ("warning", name)


def test_a_segment_value_that_vanished_and_its_successor_are_a_warning(log: DailyLog) -> None:
    for row in log.impressions:
        row["kind"] = "d" if row["kind"] == "c" and row["shown_at"] >= on(29) else row["kind"]
    found = log.failures()["impressions", "segment_values_to_stay"]
    assert found.severity == "warning"
    assert found.observed.startswith("kind 'c' vanished on 2026-03-31: 33.")
    assert "kind 'd' appeared on 2026-03-31: 33." in found.observed


def test_a_feature_whose_values_moved_is_a_warning(log: DailyLog) -> None:
    for row in log.impressions:
        row["price"] += 20 * (row["shown_at"] >= on(29))
    found = only(log.failures(), "impressions", "distributions_to_stay")
    assert found.severity == "warning"
    assert found.observed.startswith("price 2026-03-31: ")


def test_no_event_is_measured_that_had_not_happened_or_arrived(
    mini_surfaces: Path, mini_world: Path, tmp_path: Path
) -> None:
    workspace = mini.with_log(mini_surfaces, mini_world, tmp_path, days=mini.DAYS)
    snapshot = labels.run(workspace, as_of=mini.AS_OF).snapshot
    frame = measure(workspace, LabelStore(workspace.store, mini.NAME).snapshot(snapshot))["events"]
    whole = ds.dataset(mini_world / "events").to_table()
    known = pc.and_(
        pc.less(whole["happened_at"], mini.AS_OF),
        pc.fill_null(pc.less(whole["ingested_at"], mini.AS_OF), True),
    )
    counted = frame[frame["statistic"].isin(["rows", "unknown_name"])]["rows"].sum()
    assert counted == pc.sum(known).as_py() < len(whole)


def test_a_snapshot_of_other_tasks_is_refused(log: DailyLog) -> None:
    workspace = log.write()
    snapshot = labels.build_snapshot(workspace, as_of=on(DAYS))
    file = workspace.surfaces / "shop" / "tasks.yaml"
    file.write_text(file.read_text().replace("click_1h", "click_60m"))
    for other in ("surface", "utility"):
        file = workspace.surfaces / "shop" / f"{other}.yaml"
        file.write_text(file.read_text().replace("click_1h", "click_60m"))
    with pytest.raises(DataError, match="Unknown column 'click_60m' in label snapshot"):
        measure(Workspace.open("shop", surfaces=workspace.surfaces, home=workspace.home), snapshot)


AS_OF = datetime(2026, 3, 3, tzinfo=UTC)
TASKS = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    hide={"family": "negative", "positive": {"event": "hide", "within": "PT12H"}, "maturity": "PT36H"},
    bounced={"family": "negative", "compose": {"all_of": ["click"], "none_of": ["hide"]}},
)
COLUMNS = ("event", "happened_at", "ingested_at", "request_id", "item_id", "user_id")


@pytest.fixture
def engine(engine: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Two impressions of one request at noon; a click and a view five minutes later."""
    engine.execute(
        """CREATE TABLE labels AS SELECT 'r1' AS request_id, item_id,
             TIMESTAMPTZ '2026-03-01 12:00:00Z' AS shown_at, DATE '2026-03-01' AS ds
           FROM (VALUES ('i1'), ('i2')) AS items(item_id)"""
    )
    engine.execute("CREATE VIEW shown_items AS SELECT item_id FROM labels")
    engine.execute(
        """CREATE TABLE known_events (event VARCHAR, happened_at TIMESTAMPTZ, ingested_at TIMESTAMPTZ,
             request_id VARCHAR, item_id VARCHAR, user_id VARCHAR)"""
    )
    add(engine, "click", "12:05", "12:06", "i1")
    add(engine, "view", "12:05", "12:06", "i2")
    return engine


def add(
    engine: duckdb.DuckDBPyConnection, event: str, at: str, known: str, item: str, *, day: int = 1
) -> None:
    times = [f"2026-03-0{day} {time}:00Z" for time in (at, known)]
    engine.execute("INSERT INTO known_events VALUES (?, ?, ?, 'r1', ?, 'ana')", [event, *times, item])


def measure_one(engine: duckdb.DuckDBPyConnection, statistic: str) -> list[Measurement]:
    measured = measure_events(engine, COLUMNS, tasks=TASKS, as_of=AS_OF)
    return [one for one in measured if one.statistic == statistic]


def test_rows_are_counted_by_name_and_day_and_unknown_names_apart(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "click", "12:05", "12:06", "i2", day=2)
    days = [(one.subject, one.day, one.rows) for one in measure_one(engine, "rows")]
    assert days == [("click", date(2026, 3, 1), 1), ("click", date(2026, 3, 2), 1)]
    assert [one.subject for one in measure_one(engine, "unknown_name")] == ["view"]


def test_an_event_at_the_as_of_is_from_the_future(engine: duckdb.DuckDBPyConnection) -> None:
    assert measure_one(engine, "future")[0].rows == 0
    add(engine, "click", "00:00", "00:01", "i1", day=3)
    assert (measure_one(engine, "future")[0].rows, measure_one(engine, "future")[0].of) == (1, 3)


def test_an_event_before_its_impression_is_named_by_the_impressions_key(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    add(engine, "click", "11:59", "12:00", "i2")
    click, view = measure_one(engine, "before_impression")
    assert (click.subject, click.rows, click.of, click.examples) == ("click", 1, 2, "r1/i2")
    assert (view.subject, view.rows) == ("view", 0)


def test_an_item_that_was_never_shown_is_named(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "click", "12:05", "12:06", "ghost")
    (strange,) = measure_one(engine, "item_never_shown")
    assert (strange.rows, strange.of, strange.examples) == (1, 3, "ghost")


def test_negative_events_are_counted_of_a_days_impressions_once_they_must_have_arrived(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """A composite cost of events that everybody makes is judged by its labels alone."""
    assert [(one.subject, one.value, one.rows, one.of) for one in measure_one(engine, "negatives")] == [
        ("hide", "hide", 0, 2)
    ]
    early = measure_events(engine, COLUMNS, tasks=TASKS, as_of=AS_OF - timedelta(seconds=1))
    assert not [one for one in early if one.statistic == "negatives"]
