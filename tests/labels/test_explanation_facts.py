"""One impression's facts, read again from the log: they are those of a build, and of brute force."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tasks.contracts import TasksSpec
from tasks.labels.compile import compile_days, label_query
from tasks.labels.explanation import Facts, LabelValue, explain_tasks
from tasks.labels.explanation_facts import (
    MOST,
    credited_column,
    events_in_window,
    exclusions_in_window,
    explained_row,
    of_key,
    read_facts,
    why_column,
)
from tasks.labels.query import Horizon
from tasks.labels.relations import cut_near, find_label_days, make_relations
from tasks.logs.tables import LogTables
from tasks.sql.templates import render
from tests.labels import worlds
from tests.labels.engine import LOG, tasks
from tests.labels.reference import Reference, Row
from tests.logs.small_log import START, Shop, at, contracts, events, impressions, instants

END = START + timedelta(hours=1000)
KEYS = 3
"""Impressions that are looked at in each random world."""
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
KEY = {"request_id": "r", "item_id": 7}
OUT = {"event": "stock_out", "on": "item"}
SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    buy={"positive": {"event": "buy", "within": "P1D", "credit": "last_touch"}, "exclude": [OUT]},
)


def facts(shop: Shop, request: str, item: int, day: int = 1) -> Facts:
    """Return the facts of an impression of a day of March."""
    with shop.opened() as log:
        found = row_facts(log, {"request_id": request, "item_id": item}, as_of=END, day=date(2024, 3, day))
    assert found is not None
    return found


def row_facts(log: LogTables, key: dict[str, Any], *, as_of: datetime, day: date) -> Facts | None:
    days = find_label_days(log.contracts.tasks, [day])
    cut_near(log, days, as_of=as_of)
    query = compile_days(log, log.contracts.tasks, horizon=Horizon.whole(as_of), days=days, labels_only=False)
    make_relations(log, query)
    return read_facts(log, query, key, horizon=Horizon.whole(as_of))


@settings(
    max_examples=8,
    phases=[Phase.reuse, Phase.generate],  # each try reads files: to shrink a failure would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(worlds.contracts(), st.integers(0, 2**32), st.integers(8, 14))
def test_facts_equal_brute_force(tmp_path: Path, spec: TasksSpec, seed: int, hours: int) -> None:
    dice, as_of = worlds.Dice(seed), worlds.START + timedelta(hours=hours)
    shown = [dice.impression(n // 2) for n in range(16)]
    happened = [dice.event(n % 8) for n in range(40)]
    reference = Reference(spec, shown, happened, as_of)
    shop = Shop(tmp_path, contracts(spec))
    shop.put("impressions", worlds.impression_table(shown)).put("events", worlds.event_table(happened))
    with shop.opened((as_of - START) / timedelta(hours=1)) as log:
        for key in Random(seed).sample(sorted(reference.rows), min(KEYS, len(reference.rows))):  # noqa: S311 - test data
            named = dict(zip(("request_id", "item_id"), key, strict=True))
            found = row_facts(log, named, as_of=as_of, day=reference.rows[key]["shown_at"].date())
            assert found is not None
            assert found.labels == {t: LabelValue(*told) for t, told in reference.labels()[key].items()}
            _check_explanations(spec, found, reference, key)


def _check_explanations(spec: TasksSpec, found: Facts, reference: Reference, key: tuple[str, int]) -> None:
    for task, explained in explain_tasks(spec, found).items():
        rule = spec.tasks[task].rule
        first = [status for status, *_ in found.causes[task]][:1]
        assert first == ([] if explained.label.status == "observed" else [explained.label.status])
        if rule is None:
            continue
        window = reference.window(task, key)
        assert (explained.opens, explained.closes) == (window[:2] if window else (None, None))
        own = reference.credited(task, key, rule.event)
        if spec.tasks[task].value:
            assert explained.events.credited == len(own)
            assert (explained.amount or 0) == (reference.amount(task, key) or 0)
        else:
            assert (explained.crediting and explained.crediting.at) == reference.crediting(task, key)
        held = [e for e in _named(reference, rule.event) if reference.holds(task, key, e, rule.match)]
        told = [e for e in explained.events.some if e.name in rule.event]
        if explained.events.number <= MOST:
            assert sorted(e.at for e in told) == sorted(e["happened_at"] for e in held)
            assert sum(e.credited_to is None for e in told) == len(own)
        answers = (spec.tasks[task].observed_when or rule).event if spec.tasks[task].observed_when else ()
        assert (explained.observing is not None) == bool(answers and reference.credited(task, key, answers))


def _named(reference: Reference, names: tuple[str, ...]) -> list[Row]:
    return [event for event in reference.events if event["event"] in names]


def test_an_impression_that_the_log_does_not_have_has_no_facts(shop: Shop) -> None:
    with shop.opened(1000) as log:
        key = {"request_id": "q", "item_id": 9}
        assert row_facts(log, key, as_of=END, day=START.date()) is None


def test_an_event_comes_with_every_column_that_is_filled(shop: Shop) -> None:
    shop.put("events", events(device=["tv", "phone", None, None]))
    (click,) = facts(shop, "q", 1).events["click"].some
    assert (click.name, click.at, click.value) == ("click", at(0.5), None)
    assert click.columns == {"user_id": "u", "item_id": 1, "device": "tv"}


def test_the_first_exclusion_is_told_with_the_others(shop: Shop) -> None:
    shop.put("events", events(happened_at=instants(0.5, 1, 40, 35), item_id=[1, 2, 2, 2]))
    (out,) = facts(shop, "s", 2, day=2).exclusions["buy"]
    assert [event.at for event in out.some] == [at(35)]


def test_the_credited_event_is_told_even_where_a_window_holds_many(tmp_path: Path) -> None:
    many = 3 * MOST
    spec = tasks(t={"positive": {"event": "visit", "within": "P1D", "at_least": many - 1}})
    hours = [n / 10 for n in range(many)]
    visits = {"event": ["visit"] * many, "user_id": ["u"] * many, "item_id": [1] * many}
    shop = Shop(tmp_path, contracts(spec)).put("impressions", impressions())
    shop.put("events", events(**visits, happened_at=instants(*hours), value=None))
    found = facts(shop, "q", 1)
    (explained,) = explain_tasks(spec, found).values()
    assert (len(explained.events.some), explained.events.number, explained.events.credited) == (
        MOST,
        many,
        many,
    )
    assert explained.crediting is not None
    assert explained.crediting.at == at(hours[many - 2])


def test_the_duplicates_of_a_repeated_key_are_listed(tmp_path: Path) -> None:
    twice = impressions(request_id=["q", "q", "q", "r", "s", "q"], item_id=[1, 2, 1, 2, 1, 1])
    shop = Shop(tmp_path).put("impressions", twice).put("events", events())
    with shop.opened(1000) as log:
        found = row_facts(log, {"request_id": "q", "item_id": 1}, as_of=END, day=START.date())
    assert found is not None
    assert found.row["shown_at"] == at(0)
    assert found.duplicates == (at(1), at(30))


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
