"""From the facts of a row to the explained of each task, by hand."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tasks.contracts import TasksSpec
from tasks.labels.compile import compile_days, label_query
from tasks.labels.explanation import (
    MOST,
    Event,
    Events,
    Facts,
    Impression,
    LabelValue,
    credited_column,
    events_in_window,
    exclusions_in_window,
    explain_tasks,
    explained_row,
    list_changed_tasks,
    of_key,
    read_facts,
    why_column,
)
from tasks.labels.query import Horizon, cut_near, find_label_days, make_relations
from tasks.labels.status import Why
from tasks.logs.tables import LogTables
from tasks.sql.expressions import render
from tests.labels import worlds
from tests.labels.engine import LOG, tasks
from tests.labels.reference import Reference, Row
from tests.logs.small_log import START, Shop, at, contracts, events, impressions, instants

SHOWN = datetime(2026, 3, 2, 10, tzinfo=UTC)
BUY = {"positive": {"event": "buy", "within": "P7D", "credit": "last_touch"}, "maturity": "P8D"}
OUT = {"event": "stock_out", "on": "item"}
ELSEWHERE = Impression("s", 1, SHOWN + timedelta(hours=1))


def after(hours: float) -> datetime:
    return SHOWN + timedelta(hours=hours)


def facts(spec: TasksSpec, row: dict[str, Any], label: LabelValue, **found: Any) -> Facts:
    """Return the facts of a contract's one task ``t`` or of all tasks."""
    filled = {
        "shown_at": SHOWN,
        **dict.fromkeys(f"{t}__{f}" for t in spec.tasks for f in ("credit", "known")),
        **row,
    }
    each = dict.fromkeys(spec.tasks)
    given = {"causes": {}, "events": {}, "exclusions": {}, **found}
    return Facts(
        filled,
        dict.fromkeys(each, label),
        {task: given["causes"].get(task, ()) for task in each},
        {task: given["events"].get(task, Events()) for task in each},
        {task: given["exclusions"].get(task, ()) for task in each},
    )


def test_the_crediting_event_counts_is_its_own_and_lies_at_the_instant() -> None:
    spec, at = tasks(t=BUY), after(5)
    others = [Event("buy", at, credited_to=ELSEWHERE), Event("buy", at, counts=False), Event("buy", after(6))]
    own = Event("buy", at, value=3.0)
    row, label = {"t__credit": at}, LabelValue(1, "observed", at)
    (explained,) = explain_tasks(
        spec, facts(spec, row, label, events={"t": Events((*others, own), 4, 2)})
    ).values()
    assert explained.crediting == own
    assert explained.elsewhere == (others[0],)
    assert (explained.opens, explained.closes) == (SHOWN, SHOWN + timedelta(days=7))
    assert explained.matures_at == SHOWN + timedelta(days=8)


def test_a_child_without_its_parents_event_has_no_window() -> None:
    spec = tasks(buy=BUY, t={"positive": {"event": "back", "within": "P30D", "after": "buy"}})
    cause = [("not_applicable", Why.PARENT, "buy")]
    explained = explain_tasks(
        spec, facts(spec, {}, LabelValue(None, "not_applicable", None), causes={"t": cause})
    )["t"]
    assert (explained.opens, explained.closes) == (None, None)
    assert explained.parent == ("buy", LabelValue(None, "not_applicable", None))
    assert explained.matures_at == SHOWN + timedelta(days=37)
    assert explained.to_json()["window"] is None


def test_the_exclusion_that_took_the_row_out_is_told_and_not_an_earlier_one_that_spared_it() -> None:
    outs = [{**OUT, "before_positive": True}, {"event": "barred", "on": "user"}]
    spec = tasks(t={**BUY, "exclude": outs})
    earlier, later = Event("stock_out", after(6)), Event("barred", after(9))
    found = {"t": [Events((earlier,), 1, 1), Events((later,), 1, 1)]}
    label, cause = LabelValue(None, "excluded", None), {"t": [("excluded", Why.EXCLUSION, "1")]}
    (explained,) = explain_tasks(spec, facts(spec, {}, label, exclusions=found, causes=cause)).values()
    assert explained.excluding == later
    (spared,) = explain_tasks(
        spec, facts(spec, {}, LabelValue(1, "observed", after(5)), exclusions=found)
    ).values()
    assert spared.excluding == earlier


def test_a_composite_has_parts_and_no_window() -> None:
    spec = tasks(buy=BUY, t={"compose": {"none_of": ["buy"]}})
    explained = explain_tasks(spec, facts(spec, {"buy__known": 0}, LabelValue(0, "observed", None)))["t"]
    assert explained.parts == {"buy": (0, LabelValue(0, "observed", None))}
    assert explained.opens is None
    assert explained.matures_at == SHOWN + timedelta(days=8)


def test_what_the_store_says_otherwise_is_named() -> None:
    early, late = LabelValue(1, "observed", after(1)), LabelValue(1, "observed", after(2))
    assert list_changed_tasks(
        {"a": early, "b": early, "gone": early}, {"a": early, "b": late, "new": late}
    ) == ["b"]


END = START + timedelta(hours=1000)
KEYS = 3
"""Impressions that are looked at in each random world."""
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
KEY = {"request_id": "r", "item_id": 7}
SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    buy={"positive": {"event": "buy", "within": "P1D", "credit": "last_touch"}, "exclude": [OUT]},
)


def facts_in(shop: Shop, request: str, item: int, day: int = 1) -> Facts:
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
    (click,) = facts_in(shop, "q", 1).events["click"].some
    assert (click.name, click.at, click.value) == ("click", at(0.5), None)
    assert click.columns == {"user_id": "u", "item_id": 1, "device": "tv"}


def test_the_first_exclusion_is_told_with_the_others(shop: Shop) -> None:
    shop.put("events", events(happened_at=instants(0.5, 1, 40, 35), item_id=[1, 2, 2, 2]))
    (out,) = facts_in(shop, "s", 2, day=2).exclusions["buy"]
    assert [event.at for event in out.some] == [at(35)]


def test_the_credited_event_is_told_even_where_a_window_holds_many(tmp_path: Path) -> None:
    many = 3 * MOST
    spec = tasks(t={"positive": {"event": "visit", "within": "P1D", "at_least": many - 1}})
    hours = [n / 10 for n in range(many)]
    visits = {"event": ["visit"] * many, "user_id": ["u"] * many, "item_id": [1] * many}
    shop = Shop(tmp_path, contracts(spec)).put("impressions", impressions())
    shop.put("events", events(**visits, happened_at=instants(*hours), value=None))
    found = facts_in(shop, "q", 1)
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
