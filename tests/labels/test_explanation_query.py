"""The queries of an explanation: every known event of a window, whether it counts and whose it is."""

from datetime import UTC, datetime

from tasks.labels.compile import label_query
from tasks.labels.explanation_query import (
    credited_column,
    events_in_window,
    exclusions_in_window,
    explained_row,
    of_key,
    why_column,
)
from tasks.labels.query import Horizon
from tasks.sql.templates import render
from tests.labels.engine import LOG, tasks

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
KEY = {"request_id": "r", "item_id": 7}
OUT = {"event": "stock_out", "on": "item"}
SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    buy={"positive": {"event": "buy", "within": "P1D", "credit": "last_touch"}, "exclude": [OUT]},
)


def test_a_key_is_compared_by_the_type_of_its_parts() -> None:
    assert of_key(KEY).sql() == """"request_id" = 'r' AND "item_id" = 7"""


def test_the_row_has_a_column_for_every_cause() -> None:
    row = explained_row(SPEC, label_query(SPEC, Horizon.whole(AS_OF), log=LOG), KEY, AS_OF)
    names = {column.alias for column in row.selects}
    assert {why_column("click", 0), why_column("buy", 3)} <= names
    assert row.args["from_"].this.name == "labels_0"


def test_with_every_credit_each_event_is_the_impressions_own() -> None:
    sql = render(events_in_window(SPEC, "click", KEY, AS_OF, log=LOG))
    assert 'TRUE AS "_mine"' in sql
    assert credited_column("request_id") not in sql


def test_with_touch_credit_the_winner_is_named() -> None:
    columns = {column.alias for column in events_in_window(SPEC, "buy", KEY, AS_OF, log=LOG).selects}
    assert {"_mine", *map(credited_column, ("request_id", "item_id", "shown_at"))} <= columns


def test_an_exclusion_is_matched_on_its_own_columns() -> None:
    sql = render(exclusions_in_window(SPEC, "buy", 0, AS_OF, log=LOG))
    assert "IN ('stock_out')" in sql
    assert '"_signals"."item_id" = "_windows"."item_id"' in sql
    assert '"_signals"."user_id" = ' not in sql
