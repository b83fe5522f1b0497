"""The compiled SQL against brute force, and the laws of time: random contracts on random logs."""

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts import TasksSpec, load_surface
from tasks.datasets.world.generate import generate
from tasks.errors import ContractError
from tasks.labels import build
from tasks.labels.compile import DIALECTS, label_query, labels_script, labels_sql
from tasks.labels.query import Form, Horizon, LabelQuery
from tasks.labels.windows import longest_reach
from tasks.logs.tables import Log
from tasks.settings import Settings
from tasks.sql.expressions import render
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.labels import worlds
from tests.labels.engine import LOG, Story, read_labels, rows, tasks
from tests.labels.reference import Reference, Row

Logs = tuple[list[Row], list[Row]]
UNKNOWN = Horizon.whole(None)
CLICK = {"positive": {"event": "click", "within": "PT30M"}}
PURCHASE = {
    "positive": {"event": "buy", "within": "P7D", "match": ["user_id", "kind"], "credit": "last_touch"}
}
_credits = st.tuples(st.sampled_from(["first_touch", "last_touch"]), st.sampled_from(["PT1H", "PT2H"]))
GOLDEN = Path(__file__).with_name("golden")
SURFACES = Path(__file__).parents[2] / "surfaces"
AS_OF = datetime(2026, 1, 11, 3, tzinfo=UTC)


@settings(max_examples=40)
@given(worlds.contracts(), worlds.logs(), worlds.as_ofs)
def test_labels_equal_brute_force_in_every_form(
    engine: duckdb.DuckDBPyConnection, spec: TasksSpec, log: Logs, as_of: datetime
) -> None:
    """By join and by scan; with every credit, and with what labels show alone."""
    expected = Reference(spec, *log, as_of).labels()
    for form, labels_only in product(Form, (False, True)):
        found = rows(engine, spec, log, as_of, form, labels_only=labels_only)
        assert read_labels(spec, found) == expected, form


@settings(max_examples=40)
@given(st.lists(_credits, min_size=1, max_size=2), worlds.logs(), st.integers(1, worlds.HOURS))
def test_impressions_beyond_the_reach_bear_on_no_label(
    engine: duckdb.DuckDBPyConnection, links: list[tuple[str, str]], log: Logs, hour: int
) -> None:
    """Those shown at an hour are labelled alike from all impressions, and from those in reach of them."""
    chain: dict[str, dict[str, Any]] = {}
    for credit, within in links:
        after = {"after": "t0"} if chain else {}
        rule = {"event": ["a", "b"], "within": within, "match": ["item_id"], "credit": credit, **after}
        chain[f"t{len(chain)}"] = {"positive": rule}
    spec, as_of = tasks(**chain), worlds.START + timedelta(days=1)
    found, reach = rows(engine, spec, log, as_of), longest_reach(spec)
    labels = read_labels(spec, found)
    shown = {key: row["shown_at"] for key, row in found.items()}
    here = worlds.START + timedelta(hours=hour)
    near = {key for key, at in shown.items() if here - reach.before <= at <= here + reach.after}
    read = [row for row in log[0] if (row["request_id"], row["item_id"]) in near]
    for key, label in read_labels(spec, rows(engine, spec, (read, log[1]), as_of, labels_only=True)).items():
        assert shown[key] != here or label == labels[key]


def test_an_impression_whose_label_is_early_still_takes_an_event_from_one_whose_label_is_known(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    spec = tasks(
        click={"positive": {"event": "click", "within": "PT2H"}, "maturity": "PT5H"},
        buy={"positive": {"event": "buy", "within": "PT2H", "after": "click", "credit": "last_touch"}},
    )
    story = Story(engine).shown("r", 0).shown("s", 1).event("click", 1.5).event("buy", 2)
    log, as_of = (story.impressions, story.events), worlds.START + timedelta(hours=5.5)
    for labels_only in (False, True):
        found = read_labels(spec, rows(engine, spec, log, as_of, labels_only=labels_only))
        assert (found["r", 1]["buy"].value, found["s", 1]["buy"].status) == (0, "immature")


@settings(max_examples=15)
@given(worlds.contracts(), worlds.logs(), worlds.as_ofs)
def test_a_log_cut_at_the_as_of_gives_the_same_rows(
    engine: duckdb.DuckDBPyConnection, spec: TasksSpec, log: Logs, as_of: datetime
) -> None:
    assert rows(engine, spec, cut(log, as_of), as_of) == rows(engine, spec, log, as_of)


@settings(max_examples=15)
@given(worlds.contracts(), worlds.logs(), worlds.as_ofs, st.integers(1, 9))
def test_what_comes_later_changes_no_feature(
    engine: duckdb.DuckDBPyConnection, spec: TasksSpec, log: Logs, as_of: datetime, hours: int
) -> None:
    """A row of the log as it was at its time is that row of a later build: every column of the impression."""
    then = rows(engine, spec, cut(log, as_of), as_of)
    now = rows(engine, spec, log, as_of + timedelta(hours=hours))
    assert then.keys() == {key for key, row in now.items() if row["shown_at"] < as_of}
    for key, row in then.items():
        assert all(row[name] == now[key][name] for name in LOG.impressions)


@settings(max_examples=15)
@given(worlds.contracts(), worlds.logs(), worlds.as_ofs, st.integers(0, 99))
def test_the_order_of_the_rows_changes_nothing(
    engine: duckdb.DuckDBPyConnection, spec: TasksSpec, log: Logs, as_of: datetime, seed: int
) -> None:
    impressions, events = (Random(seed).sample(table, len(table)) for table in log)  # noqa: S311 - test data
    shuffled = rows(engine, spec, (impressions, events), as_of)
    assert read_labels(spec, shuffled) == read_labels(spec, rows(engine, spec, log, as_of))


@settings(max_examples=20)
@given(worlds.contracts(), worlds.logs(), worlds.logs(), worlds.as_ofs, st.integers(1, 9))
def test_what_is_known_changes_only_through_late_events(
    engine: duckdb.DuckDBPyConnection, spec: TasksSpec, log: Logs, more: Logs, as_of: datetime, hours: int
) -> None:
    """Whatever happens at or after the as-of: each label that was mature then stays as it was."""
    impressions, events = log
    prompt = [{**e, "ingested_at": None} for e in events]
    later_on = [e for e in more[1] if e["happened_at"] is None or e["happened_at"] >= as_of]
    earlier = read_labels(spec, rows(engine, spec, (impressions, prompt), as_of))
    at_that_time = as_of + timedelta(hours=hours)
    later = read_labels(spec, rows(engine, spec, (impressions, prompt + later_on), at_that_time))
    for key, labels in earlier.items():
        for task, label in labels.items():
            assert label.status == "immature" or later[key][task] == label


def test_a_late_event_changes_a_label_that_was_observed(engine: duckdb.DuckDBPyConnection) -> None:
    story = Story(engine).shown("r", 1).event("click", 1.1, ingested=5)
    spec = tasks(click=CLICK)
    assert story.told(spec, "click", as_of=4) == {"r": 0}
    assert story.told(spec, "click", as_of=6) == {"r": 1}


def cut(log: Logs, as_of: datetime) -> Logs:
    """Leave of a log what was known at an instant."""
    impressions, events = log
    shown = [r for r in impressions if r["shown_at"] is None or r["shown_at"] < as_of]
    times = ("happened_at", "ingested_at")
    return shown, [e for e in events if all(e[at] is None or e[at] < as_of for at in times)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_quotes_every_name(dialect: str) -> None:
    """A column called ``select`` reads like any other."""
    spec = tasks(click=CLICK, buy=PURCHASE)
    sql = labels_sql(spec, UNKNOWN, dialect, log=Log((*LOG.impressions, "select"), LOG.events))
    quote = "`" if dialect in {"spark", "bigquery"} else '"'
    assert f"{quote}select{quote}" in sql
    assert f"{quote}click__status{quote}" in sql
    assert "as_of" in sql


def test_an_event_name_is_a_literal() -> None:
    spec = tasks(click={"positive": {"event": "x.y:z-1", "within": "PT1H"}})
    assert "IN ('x.y:z-1')" in labels_sql(spec, UNKNOWN, log=LOG)


def test_values_are_added_in_order_where_the_dialect_can() -> None:
    spec = tasks(spend={"kind": "value", "value": {"event": "buy", "within": "P1D", "aggregate": "sum"}})
    assert "LIST_SUM" in labels_sql(spec, UNKNOWN, "duckdb", log=LOG)
    assert "ARRAY_SORT(COLLECT_LIST" in labels_sql(spec, UNKNOWN, "spark", log=LOG)


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(ContractError, match=r"Unknown dialect 'oracle'.*duckdb"):
        labels_sql(tasks(click=CLICK), UNKNOWN, "oracle", log=LOG)


@pytest.mark.parametrize("column", ["click", "Click", "click__status", "CLICK__anything"])
def test_a_column_of_the_log_that_has_a_labels_name_is_refused(column: str) -> None:
    with pytest.raises(ContractError, match=f"'{column}'.*rename"):
        labels_sql(tasks(click=CLICK), UNKNOWN, log=Log((*LOG.impressions, column), LOG.events))


def test_a_log_without_position_value_or_arrival_is_enough() -> None:
    log = Log(
        ("request_id", "user_id", "item_id", "shown_at"), ("event", "happened_at", "user_id", "item_id")
    )
    sql = labels_sql(
        tasks(click={"positive": {**CLICK["positive"], "credit": "last_touch"}}), UNKNOWN, log=log
    )
    assert "position" not in sql
    assert "ingested_at" not in sql


def test_the_day_of_the_log_gives_way_to_the_day_shown(engine: duckdb.DuckDBPyConnection) -> None:
    sql = labels_sql(tasks(click=CLICK), UNKNOWN, log=Log((*LOG.impressions, "ds"), LOG.events))
    assert sql.count('CAST(MAKE_TIMESTAMP(EPOCH_US("shown"."shown_at")) AS DATE) AS "ds"') == 1
    assert '"impressions"."ds"' not in sql


def query(match: list[str], form: Form | None = None) -> LabelQuery:
    click = {"event": "click", "within": "PT1H", "match": match}
    forms = {"click__credited": form} if form else {}
    return label_query(tasks(click={"positive": click}), Horizon.whole(None), log=LOG, forms=forms)


@pytest.mark.parametrize(
    ("match", "form"),
    [
        (["request_id"], Form.JOIN),
        (["user_id", "item_id"], Form.JOIN),
        (["kind", "item_id", "user_id"], Form.JOIN),
        (["user_id"], Form.SCAN),
        (["item_id", "kind"], Form.SCAN),
    ],
)
def test_keys_that_few_rows_share_are_joined(match: list[str], form: Form) -> None:
    ((crediting,),) = query(match).creditings.values()
    assert crediting.usual is form


def test_a_form_that_is_named_is_taken() -> None:
    usual, scanned = query(["request_id"]).credit, query(["request_id"], Form.SCAN).credit
    assert render(usual["click"]["click__credited"]) != render(scanned["click"]["click__credited"])


def test_the_rows_of_a_cut_log_do_not_look_for_repeated_keys_again() -> None:
    whole = query(["user_id"])
    assert list(whole.rows) == ["repeated", "first_of_repeated", "shown", "known"]
    assert list(whole.on_the_cut) == ["shown", "known"]


def test_the_statement_defines_each_relation_before_it_is_used() -> None:
    whole = query(["user_id"])
    names = [cte.alias for cte in whole.statement().ctes]
    assert names == [*whole.rows, *whole.credit["click"], *whole.layers]
    assert whole.last_layer == names[-1] == "labels_0"


@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
def test_the_printed_sql_is_the_golden_one(dialect: str) -> None:
    file = GOLDEN / f"home_feed.{dialect}.sql"
    printed = labels_script(load_surface(SURFACES, "home_feed"), dialect) + "\n"
    if Settings().remake_golden:
        file.write_text(printed)
    assert printed == file.read_text(), f"{file.name} is of other SQL: {__doc__}"


def test_the_head_says_whose_labels_they_are_and_what_the_parameter_is() -> None:
    contracts = load_surface(SURFACES, "home_feed")
    head = labels_script(contracts, "spark").partition("WITH")[0]
    assert all(line.startswith("--") for line in head.splitlines())
    for said in (
        "home_feed",
        "home-feed-labels",
        "version 1",
        contracts.digests["tasks"],
        ":as_of",
        ":arrived",
        "P1D",
    ):
        assert said in head


def test_the_golden_sql_gives_the_labels_of_a_build(tmp_path: Path) -> None:
    generate(days=12, requests_per_day=20, seed=1, out=tmp_path / "logs" / "home_feed")
    built = build.run(Workspace("home_feed", SURFACES, Store.open(tmp_path)), as_of=AS_OF)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in ("impressions", "events"):
            files = tmp_path / "logs" / "home_feed" / table / "*.parquet"
            connection.execute(f"CREATE VIEW {table} AS FROM '{files}'")
        sql = (GOLDEN / "home_feed.duckdb.sql").read_text()
        connection.execute(f"CREATE TABLE golden AS {sql}", {"as_of": AS_OF, "arrived": AS_OF})
        golden = connection.table("golden")
        stored = connection.read_parquet(
            f"{tmp_path}/labels/home_feed/ds=*/*.parquet", hive_partitioning=True
        )
        same_columns = stored.project(", ".join(f'"{name}"' for name in golden.columns))
        assert len(golden.to_arrow_table()) == built.rows
        assert len(golden.except_(same_columns).to_arrow_table()) == 0
