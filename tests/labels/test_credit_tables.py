"""The form in which credit is found: by what was counted, and of no consequence for the labels."""

import logging
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.labels.compile import label_query
from tasks.labels.credit import Form
from tasks.labels.credit_tables import credit
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


def made(log: LogTables, form: Form | None = None) -> list[tuple[object, ...]]:
    """Credit a log's clicks: in this form, else in the one that is chosen."""
    as_of = at(1000)
    assert isinstance(as_of, datetime)
    query = label_query(CLICKS, as_of, log=log.log)
    for name in (rows.SHOWN, rows.KNOWN):
        log.create(name, query.rows[name], view=True)
    if form is None:
        credit(log, query.creditings["click"])
    else:
        for name, relation in query.creditings["click"][0].relations(form).items():
            log.create(name, relation)
    return log.connection.execute("FROM click__credited ORDER BY ALL").fetchall()


def test_one_user_with_everything_is_scanned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "equipoise")
    with crowd(tmp_path, "u").opened(1000) as log:
        assert len(made(log)) == MANY
    assert "click__credited by scan: 160000 pairs of 400 windows and 400 signals" in caplog.text


def test_users_with_a_little_each_are_joined(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "equipoise")
    with crowd(tmp_path, *(f"u{n}" for n in range(MANY // 2))).opened(1000) as log:
        made(log)
    assert "click__credited by join" in caplog.text


@pytest.mark.parametrize("users", [1, 7, MANY])
def test_the_choice_changes_nothing(tmp_path: Path, users: int) -> None:
    with crowd(tmp_path, *(f"u{n}" for n in range(users))).opened(1000) as log:
        chosen = made(log)
        assert len(chosen) == MANY
        assert all(made(log, form) == chosen for form in Form)


def test_only_what_the_labels_join_is_left(shop: Shop) -> None:
    shop.contracts = contracts(CLICKS)
    shop.put("impressions", impressions()).put("events", events())
    with shop.opened(1000) as log:
        made(log)
        left = log.connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, 'click')"
        )
        assert left.fetchall() == [("click__credited",)]
