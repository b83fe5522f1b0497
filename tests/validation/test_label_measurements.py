"""Rows that break a rule of labels, counted where they are and told by their keys."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tasks.validation.label_measurements import measure_distributions, measure_labels, measure_negatives
from tasks.validation.measurements import Measurement
from tests.contracts.test_surface import surface
from tests.labels.engine import tasks
from tests.validation.test_row_measurements import register as register_rows

AS_OF = datetime(2026, 3, 10, tzinfo=UTC)
SPEC = tasks(
    buy={"positive": {"event": "buy", "within": "P1D"}},
    back={"positive": {"event": "back", "within": "P1D", "after": "buy"}},
)
MATURE = AS_OF - timedelta(days=9)


def register(engine: duckdb.DuckDBPyConnection, **changed: list[Any]) -> None:
    """Two mature rows, the first bought and brought back; ``changed`` replaces what a test breaks."""
    labels: dict[str, list[Any]] = {
        "buy": [1.0, 0.0],
        "buy__status": ["observed", "observed"],
        "back": [1.0, None],
        "back__status": ["observed", "not_applicable"],
    }
    register_rows(engine, **{**labels, **changed})


def broken(engine: duckdb.DuckDBPyConnection, **changed: list[Any]) -> dict[tuple[str, str], Measurement]:
    """Return what breaks a rule, by rule and task."""
    register(engine, **changed)
    measured = measure_labels(engine, SPEC, as_of=AS_OF)
    rules = {"early", "unmasked", "parentless", "meaningless", "beyond"}
    return {(m.statistic, m.subject): m for m in measured if m.statistic in rules and m.rows}


def test_sound_labels_break_nothing(engine: duckdb.DuckDBPyConnection) -> None:
    assert broken(engine) == {}


def test_a_label_observed_before_its_maturity_is_counted_and_named(engine: duckdb.DuckDBPyConnection) -> None:
    found = broken(engine, shown_at=[MATURE, AS_OF - timedelta(hours=12)])
    assert set(found) == {("early", "buy")}
    assert (found["early", "buy"].rows, found["early", "buy"].examples) == (1, "r2/i1")


def test_a_deadline_before_its_impression_or_too_far_after_it_is_counted(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    soon, rule = MATURE + timedelta(hours=5), {"event": "buy", "within": "P1D", "until": "due"}
    for due, rows in ([soon, None], 0), ([MATURE, soon], 1), ([soon, MATURE + timedelta(days=2)], 1):
        register(engine, due=pa.array(due, pa.timestamp("us", "UTC")))
        measured = measure_labels(engine, tasks(buy={"positive": rule}), as_of=AS_OF)
        assert [m.rows for m in measured if m.statistic == "misdated"] == [rows]


def test_a_label_is_known_at_its_own_deadline(engine: duckdb.DuckDBPyConnection) -> None:
    rule = {"event": "buy", "within": "P5D", "until": "due"}
    due = [AS_OF, AS_OF + timedelta(minutes=1)]
    register(engine, shown_at=[AS_OF - timedelta(days=1)] * 2, due=pa.array(due, pa.timestamp("us", "UTC")))
    measured = measure_labels(engine, tasks(buy={"positive": rule}), as_of=AS_OF)
    assert [(m.rows, m.examples) for m in measured if m.statistic == "early"] == [(1, "r2/i1")]


def test_a_label_is_mature_at_the_very_instant_of_its_maturity(engine: duckdb.DuckDBPyConnection) -> None:
    assert broken(engine, shown_at=[MATURE, AS_OF - timedelta(days=1)]) == {}


@pytest.mark.parametrize(
    ("value", "status"),
    [(0.0, "immature"), (1.0, "excluded"), (0.0, "not_applicable"), (None, "observed")],
)
def test_a_value_goes_with_observed_and_with_nothing_else(
    engine: duckdb.DuckDBPyConnection, value: float | None, status: str
) -> None:
    found = broken(engine, buy=[1.0, value], buy__status=["observed", status])
    assert set(found) == {("unmasked", "buy")}


def test_a_return_without_a_purchase_is_found(engine: duckdb.DuckDBPyConnection) -> None:
    found = broken(engine, back=[1.0, 0.0], back__status=["observed", "observed"])
    assert set(found) == {("parentless", "back")}


@pytest.mark.parametrize("status", ["maybe", None])
def test_a_status_without_meaning_is_found(engine: duckdb.DuckDBPyConnection, status: str | None) -> None:
    found = broken(engine, buy=[1.0, None], buy__status=["observed", status])
    assert set(found) == {("meaningless", "buy")}


def test_no_more_than_three_rows_are_named_in_order(engine: duckdb.DuckDBPyConnection) -> None:
    register(
        engine,
        request_id=["r5", "r3", "r4", "r1"],
        item_id=["i"] * 4,
        user_id=["u"] * 4,
        shown_at=[MATURE] * 4,
        ds=[MATURE.date()] * 4,
        buy=[None] * 4,
        buy__status=["observed"] * 4,
        back=[None] * 4,
        back__status=["excluded"] * 4,
    )
    (found,) = (m for m in measure_labels(engine, SPEC, as_of=AS_OF) if m.statistic == "unmasked" and m.rows)
    assert (found.rows, found.of, found.examples) == (4, 4, "r1/i; r3/i; r4/i")


def test_statuses_and_positives_are_counted_by_day(engine: duckdb.DuckDBPyConnection) -> None:
    register(engine)
    measured = measure_labels(engine, SPEC, as_of=AS_OF)
    day = MATURE.date()
    assert Measurement("positives", "buy", "", day, rows=1, of=2, total=1.0) in measured
    assert Measurement("positives", "back", "", day, rows=1, of=1, total=1.0) in measured
    assert Measurement("status", "back", "not_applicable", day, rows=1, of=2) in measured
    assert Measurement("status", "back", "excluded", day, rows=0, of=2) in measured


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan"), 4e38, -4e38])
def test_a_value_that_trees_cannot_hold_is_counted_and_named(
    engine: duckdb.DuckDBPyConnection, value: float
) -> None:
    register(engine, spend=[1.0, value], spend__status=["observed", "observed"])
    rule = {"event": "buy", "within": "P1D", "aggregate": "sum"}
    measured = measure_labels(engine, tasks(spend={"kind": "value", "value": rule}), as_of=AS_OF)
    assert [(m.rows, m.examples) for m in measured if m.statistic == "beyond"] == [(1, "r2/i1")]


def test_numbers_of_a_narrow_range_are_counted_in_ten_bins(engine: duckdb.DuckDBPyConnection) -> None:
    rows = range(1_000)
    register_rows(
        engine,
        request_id=[f"r{row}" for row in rows],
        item_id=["i"] * len(rows),
        user_id=["u"] * len(rows),
        shown_at=[MATURE] * len(rows),
        ds=[MATURE.date()] * len(rows),
        age=[1_750_000_000 + row for row in rows],
        price=[row / 1_000_000 for row in rows],
    )
    feed = surface(features={"numeric": ["age", "price"], "categorical": []}, segments=[])
    found = list(measure_distributions(engine, feed, days=1))
    bins = [[m for m in found if m.subject == name] for name in ("age", "price")]
    assert [[m.rows for m in of] for of in bins] == [[100] * 10] * 2
    assert {m.value for m in bins[0]} >= {"<1750000099.9", ">=1750000899.1"}
    assert {m.value for m in bins[1]} >= {"<9.99e-05", ">=0.0008991"}


def test_costs_are_counted_by_day_in_each_part_that_the_rows_of_a_request_share(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    rows = [(request, item) for request in range(80) for item in range(2)]
    shown = [MATURE + timedelta(days=request % 2) for request, _ in rows]
    register(
        engine,
        request_id=[f"r{request}" for request, _ in rows],
        item_id=[f"i{item}" for _, item in rows],
        user_id=["u"] * len(rows),
        shown_at=shown,
        ds=[at.date() for at in shown],
        app=[None if request > 75 else "web" if request < 70 else "tv" for request, _ in rows],
        category=[f"c{item}" for _, item in rows],
        item_age=[1] * len(rows),
        **{name: [float(item) for _, item in rows] for name in ("buy", "hide", "back", "less")},
        **{f"{name}__status": ["observed"] * len(rows) for name in ("buy", "hide", "back", "less")},
    )
    rule = {"event": "hide", "within": "P1D"}
    spec = tasks(
        buy={"positive": rule},
        hide={"family": "negative", "positive": rule},
        less={"family": "safety", "compose": {"any_of": ["hide"]}},
    )
    feed = surface(
        features={"numeric": ["item_age"], "categorical": ["app", "category", "absent"]},
        segments=["category", {"name": "age", "from": "item_age", "bins": [7]}],
    )
    found = list(measure_negatives(engine, feed, spec, since=MATURE.date()))
    assert {(m.statistic, m.subject) for m in found} == {("negatives_of_part", "hide")}
    assert [(m.value, m.day, m.rows, m.of) for m in found] == [
        ("app = web", MATURE.date(), 35, 70),
        ("app = web", MATURE.date() + timedelta(days=1), 35, 70),
        ("age = <7", MATURE.date(), 40, 80),
        ("age = <7", MATURE.date() + timedelta(days=1), 40, 80),
    ]
    later = list(measure_negatives(engine, feed, spec, since=MATURE.date() + timedelta(days=1)))
    assert [(m.value, m.rows) for m in later] == [("app = web", 35), ("age = <7", 40)]
    assert list(measure_negatives(engine, feed, tasks(buy={"positive": rule}), since=MATURE.date())) == []
