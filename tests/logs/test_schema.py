"""The columns of a log, and which of them labels are made from."""

from tasks.logs.schema import Log, contract_log, event_columns, match_columns
from tests.labels import worlds
from tests.labels.engine import tasks

CLICK = {"positive": {"event": "click", "within": "PT30M"}}
PURCHASE = {
    "positive": {"event": "buy", "within": "P7D", "match": ["user_id", "kind"], "credit": "last_touch"}
}


def test_match_columns_are_those_of_rules_and_exclusions() -> None:
    out = [{"event": "stock", "on": ["shop"]}, {"event": "moved", "on": "item"}]
    assert match_columns(tasks(buy={**PURCHASE, "exclude": out})) == ("user_id", "kind", "shop", "item_id")


def test_contracts_alone_tell_the_columns() -> None:
    surface = worlds.surface(features={"numeric": ["price"]}, segments=["source"], values=["margin"])
    spec = tasks(click={**CLICK, "observed_when": {"column": "visible"}}, buy=PURCHASE)
    log = contract_log(surface, spec)
    assert {"price", "source", "margin", "visible", "kind"} <= set(log.impressions)
    assert {"event", "kind", "value", "ingested_at"} <= set(log.events)


def test_labels_are_made_from_match_columns_value_and_arrival_in_the_order_of_the_log() -> None:
    log = Log(("request_id",), ("device", "value", "kind", "event", "happened_at", "user_id", "ingested_at"))
    assert event_columns(tasks(buy=PURCHASE), log) == (
        "value", "kind", "event", "happened_at", "user_id", "ingested_at",
    )  # fmt: skip
    assert log.has_arrival
    assert not Log((), ("event",)).has_arrival
