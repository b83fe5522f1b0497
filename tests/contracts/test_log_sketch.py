from collections.abc import Mapping

import pytest

from tasks.contracts.log_sketch import find_columns
from tasks.errors import ContractError, DataError

Columns = Mapping[str, str | None]
TIME, TEXT = "time with zone", "string"
IMPRESSIONS = {"request_id": TEXT, "user_id": TEXT, "item_id": TEXT, "shown_at": TIME}
EVENTS = {"event": TEXT, "happened_at": TIME, "user_id": TEXT, "item_id": TEXT}


def found(table: str, impressions: Columns, events: Columns, **given: str) -> Mapping[str, str]:
    return find_columns({"impressions": impressions, "events": events}, given)[table]


def test_our_own_names_are_found_before_any_synonym() -> None:
    more = {"rank": "integer", "position": "integer", "uid": TEXT}
    assert found("impressions", {**IMPRESSIONS, **more}, EVENTS)["position"] == "position"
    assert found("events", IMPRESSIONS, {**EVENTS, "request_id": TEXT})["request_id"] == "request_id"


@pytest.mark.parametrize("time", ["ts", "timestamp", "served_at", "impression_time", "odd_name_of_a_time"])
def test_the_time_is_found_by_name_or_as_the_only_one(time: str) -> None:
    columns: Columns = {"request_id": TEXT, "user_id": TEXT, "item_id": TEXT, time: TIME, "price": "number"}
    assert found("impressions", columns, EVENTS)["shown_at"] == time


def test_what_is_not_recognised_is_named_with_what_there_is_and_the_way_out() -> None:
    columns = {n: k for n, k in IMPRESSIONS.items() if n != "request_id"}
    with pytest.raises(
        DataError, match=r"recognised as request_id.*user_id, item_id.*--column request_id=NAME"
    ):
        found("impressions", columns, EVENTS)
    with pytest.raises(ContractError, match=r"Did you mean 'request_id'"):
        found("impressions", columns, EVENTS, request="r")


def test_events_that_know_only_their_request_are_told_where_their_user_stands() -> None:
    shown = {"shown_at": "time with zone", "search": "string", "guest": "string", "item_id": "string"}
    events = {"happened_at": "time with zone", "action": "string", "search": "string", "item_id": "string"}
    ours = {"user_id": "guest", "request_id": "search"}
    with pytest.raises(
        DataError,
        match=r"user_id=NAME\. If events do not hold guest, add it from the impressions by search, or give",
    ):
        find_columns({"impressions": shown, "events": events}, ours)


def test_events_that_name_their_impression_need_no_user_and_no_item() -> None:
    events = {"event": TEXT, "happened_at": TIME, "view_id": TEXT}
    assert found("events", {**IMPRESSIONS, "view_id": TEXT}, events).keys() == {"event", "happened_at"}
    with pytest.raises(DataError, match=r"recognised as user_id, item_id.*such as impression_id\."):
        found("events", {**IMPRESSIONS, "shown_view": TEXT}, events)


def test_all_that_is_not_recognised_is_named_at_once() -> None:
    with pytest.raises(DataError) as refused:
        found("impressions", {"listener": TEXT, "ts": TIME}, {"happened_at": TIME, "who": TEXT})
    assert str(refused.value) == (
        "No column of impressions was recognised as request_id, user_id, item_id. It has: listener, ts. "
        "No column of events was recognised as event, user_id, item_id. It has: happened_at, who. Name them: "
        "--column request_id=NAME --column user_id=NAME --column item_id=NAME --column event=NAME"
    )


def test_a_given_name_decides() -> None:
    columns = {**IMPRESSIONS, "page": TEXT}
    assert found("impressions", columns, EVENTS, request_id="page")["request_id"] == "page"


def test_a_column_of_nulls_alone_is_none() -> None:
    with pytest.raises(DataError, match="recognised as item_id"):
        found("impressions", IMPRESSIONS, {**EVENTS, "item_id": None})


def test_one_id_of_two_foreign_names_is_refused() -> None:
    impressions = {**{n: k for n, k in IMPRESSIONS.items() if n != "item_id"}, "article_id": TEXT}
    events = {**{n: k for n, k in EVENTS.items() if n != "item_id"}, "doc_id": TEXT}
    with pytest.raises(DataError, match=r"called 'article_id' in impressions and 'doc_id' in events"):
        found("impressions", impressions, events)
