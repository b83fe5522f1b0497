"""The relations of a session: the days and files they need, and a form of credit that changes no label."""

import logging
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.labels.compile import label_query
from tasks.labels.query import Form, Horizon, cut_near, find_files, find_label_days, make_credit_tables
from tasks.logs import rows
from tasks.logs.tables import LogTables
from tests.labels.engine import tasks
from tests.logs.small_log import Shop, at, contracts, events, impressions, instants

CLICKS = tasks(click={"positive": {"event": "click", "within": "PT2H", "match": ["user_id"]}})
MANY = 400


def crowd(home: Path, *users: str) -> Shop:
    """Show 400 items, one a minute, in turn to users who click on each."""
    minutes = [n / 60 for n in range(MANY)]
    ids = {"user_id": [users[n % len(users)] for n in range(MANY)], "item_id": [1] * MANY}
    shown = pa.table(
        {
            "request_id": [f"q{n}" for n in range(MANY)],
            "shown_at": instants(*minutes),
            "kind": ["x"] * MANY,
            **ids,
        }
    )
    clicked = pa.table({"event": ["click"] * MANY, "happened_at": instants(*minutes), **ids})
    return Shop(home, contracts(CLICKS)).put("impressions", shown).put("events", clicked)


def credited(log: LogTables, form: Form | None = None) -> list[tuple[object, ...]]:
    """Credit a log's clicks: in this form, else in the one that is chosen."""
    as_of = at(1000)
    assert isinstance(as_of, datetime)
    query = label_query(CLICKS, Horizon.whole(as_of), log=log.log)
    for name in (rows.SHOWN, rows.KNOWN):
        log.create(name, query.rows[name], view=True)
    if form is None:
        make_credit_tables(log, query.creditings["click"])
    else:
        for name, relation in query.creditings["click"][0].relations(form).items():
            log.create(name, relation)
    return log.connection.execute("FROM click__credited ORDER BY ALL").fetchall()


def test_one_user_with_everything_is_scanned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "equipoise")
    with crowd(tmp_path, "u").opened(1000) as log:
        assert len(credited(log)) == MANY
    assert "click__credited by scan: 160000 pairs of 400 windows and 400 signals" in caplog.text


def test_users_with_a_little_each_are_joined(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "equipoise")
    with crowd(tmp_path, *(f"u{n}" for n in range(MANY // 2))).opened(1000) as log:
        credited(log)
    assert "click__credited by join" in caplog.text


@pytest.mark.parametrize("users", [1, 7, MANY])
def test_the_choice_changes_nothing(tmp_path: Path, users: int) -> None:
    with crowd(tmp_path, *(f"u{n}" for n in range(users))).opened(1000) as log:
        chosen = credited(log)
        assert len(chosen) == MANY
        assert all(credited(log, form) == chosen for form in Form)


def test_only_what_the_labels_join_is_left(shop: Shop) -> None:
    shop.contracts = contracts(CLICKS)
    shop.put("impressions", impressions()).put("events", events())
    with shop.opened(1000) as log:
        credited(log)
        left = log.connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, 'click')"
        )
        assert left.fetchall() == [("click__credited",)]


def day(n: int) -> date:
    return date(2024, 3, n)


@pytest.mark.parametrize(
    ("credit", "impressions_read", "events_read"),
    [
        ("every", (5, 5), (5, 7)),
        ("last_touch", (5, 7), (5, 9)),
        ("first_touch", (3, 5), (3, 7)),
    ],
)
def test_impressions_that_compete_and_events_in_their_windows_are_read(
    credit: str, impressions_read: tuple[int, int], events_read: tuple[int, int]
) -> None:
    spec = tasks(buy={"positive": {"event": "buy", "within": "P2D", "credit": credit}})
    days = find_label_days(spec, [day(5)])
    assert days.write == [rows.DayRange(day(5), day(5))]
    assert days.impressions == [rows.DayRange(*map(day, impressions_read))]
    assert days.events == [rows.DayRange(*map(day, events_read))]


def test_only_files_that_may_hold_rows_of_the_days_are_read(shop: Shop) -> None:
    shop.contracts = contracts(CLICKS)
    shop.put("impressions", impressions().slice(0, 4), impressions().slice(4, 2))
    with shop.opened() as log:
        files = find_files(log, find_label_days(CLICKS, [day(2)]))
    assert [file.path.name for file in files["impressions"]] == ["1.parquet"]
    assert [file.path.name for file in files["events"]] == ["0.parquet"]


def test_near_a_day_the_same_keys_are_repeated(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(shown_at=instants(40, 0, 1, 1, 31, 31)))
    as_of = at(1000)
    assert isinstance(as_of, datetime)
    with shop.opened() as log:
        cut_near(log, find_label_days(CLICKS, [day(1) + timedelta(days=1)]), as_of=as_of)
        repeated = log.fetch("SELECT request_id, item_id FROM repeated ORDER BY ALL")
    assert repeated == [("q", 1), ("q", 2), ("s", 1), ("s", 2)]
