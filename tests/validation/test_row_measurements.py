"""Keys and times of impressions, counted where the rows are; nulls and rows by day."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.utility import HardConstraint
from tasks.ranking.conditions import evaluate_condition
from tasks.validation import row_measurements
from tasks.validation.day_rules import compare_kept_shares
from tasks.validation.measurements import Measurement, fetch, frame_of
from tasks.validation.row_measurements import (
    first_day_in_reach,
    keeps,
    measure_candidates,
    measure_constraints,
    measure_impressions,
    measure_infinite,
    measure_requests,
    measure_unshown,
    numeric_columns,
)
from tasks.validation.rules import check_candidates_shown, check_columns_by_day
from tests.feeds.daily_log import END, DailyLog, on

AS_OF = datetime(2026, 3, 10, tzinfo=UTC)
MATURE = AS_OF - timedelta(days=9)
DAY = date(2026, 3, 1)
Row = tuple[str, str, str, int | float | None, bool | None]
FRAME = pd.DataFrame(
    {
        "flag": pd.array([True, False, None, True], dtype="boolean"),
        "word": ["a", "b", None, "c"],
        "number": [1.0, 2.5, None, float("nan")],
        "bit": pd.array([1, 0, None, 1], dtype="Int64"),
        "least": [0.5, 2.5, 1.0, 1.0],
        "other": ["a", "c", "c", None],
        "until": pd.to_datetime(["2026-03-02T10:00:01", "2026-03-02T10:00:00", "NaT", "2026-03-01T00:00:00"]),
        "shown_at": pd.to_datetime(["2026-03-02T10:00:00"] * 4),
        "words": [["a", "c"], [None, "c"], [], None],
        "numbers": [[1.0], [], [2.5], [float("nan")]],
    }
)
DAYS = 20
REACHED = date(2026, 3, 5)


def register(engine: duckdb.DuckDBPyConnection, **changed: list[Any]) -> None:
    """Two impressions of one day; ``changed`` replaces what a test breaks."""
    columns = {
        "request_id": ["r1", "r2"],
        "item_id": ["i1", "i1"],
        "user_id": ["u1", "u2"],
        "shown_at": [MATURE, MATURE],
        "ds": [MATURE.date(), MATURE.date()],
        **changed,
    }
    times = pa.array(columns["shown_at"], pa.timestamp("us", "UTC"))
    engine.register("labels", pa.table({**columns, "shown_at": times}))


def test_rows_and_nulls_are_counted_by_day(engine: duckdb.DuckDBPyConnection) -> None:
    register(engine, user_id=["u1", None])
    measured = measure_impressions(engine, ["user_id"], as_of=AS_OF)
    assert Measurement("rows", "impressions", day=MATURE.date(), rows=2) in measured
    assert Measurement("nulls", "user_id", "", MATURE.date(), 1, 2) in measured


@pytest.mark.parametrize(
    ("requests", "rows", "examples"),
    [(["r1", "r2"], 0, ""), (["r1", "r1"], 2, "r1/i1"), (["r1", None], 1, "null/i1")],
)
def test_each_row_of_a_repeated_key_and_a_key_with_a_null_are_counted(
    engine: duckdb.DuckDBPyConnection, requests: list[str | None], rows: int, examples: str
) -> None:
    register(engine, request_id=requests)
    (found,) = (m for m in measure_impressions(engine, [], as_of=AS_OF) if m.statistic == "repeated_key")
    assert (found.rows, found.of, found.examples) == (rows, 2, examples)


def test_an_impression_from_the_future_is_found(engine: duckdb.DuckDBPyConnection) -> None:
    register(engine, shown_at=[MATURE, AS_OF])
    (found,) = (m for m in measure_impressions(engine, [], as_of=AS_OF) if m.statistic == "future")
    assert (found.rows, found.examples) == (1, "r2/i1")


@pytest.fixture
def rows() -> list[Row]:
    """Two requests of ana and ben with two shown items and one that was not."""
    return [
        (request, user, f"i{place}", place if place < 3 else None, place < 3)
        for request, user in (("r1", "ana"), ("r2", "ben"))
        for place in (1, 2, 3)
    ]


def put(engine: duckdb.DuckDBPyConnection, name: str, rows: list[Row]) -> None:
    columns: dict[str, list[Any]] = {
        key: [row[n] for row in rows] for n, key in enumerate(("request_id", "user_id", "item_id"))
    }
    columns["position"] = pa.array([row[3] for row in rows], pa.float64())
    columns["shown"] = pa.array([row[4] for row in rows], pa.bool_())
    engine.register(name, pa.table({**columns, "ds": pa.array([DAY] * len(rows), pa.date32())}))


def measured(engine: duckdb.DuckDBPyConnection, statistic: str) -> dict[str, tuple[int, int, str]]:
    found = [*measure_requests(engine, "labels", since=DAY), *measure_candidates(engine, since=DAY)]
    return {m.subject: (m.rows, m.of, m.examples) for m in found if m.statistic == statistic}


def compare(
    engine: duckdb.DuckDBPyConnection, impressions: list[Row], candidates: list[Row], statistic: str
) -> dict[str, tuple[int, int, str]]:
    put(engine, "labels", impressions)
    put(engine, "reached_candidates", candidates)
    return measured(engine, statistic)


def shown(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row[4]]


def test_a_sound_log_has_nothing_odd(engine: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    for statistic, found in (
        ("position", {"position": (0, 4, "")}),
        ("users", {"request_id": (0, 2, "")}),
        ("unmatched", {"impressions": (0, 4, ""), "candidates": (0, 4, "")}),
        ("no_candidates", {"request_id": (0, 2, "")}),
    ):
        assert compare(engine, shown(rows), rows, statistic) == found


def test_requests_that_no_slice_reaches_are_not_counted(
    engine: duckdb.DuckDBPyConnection, rows: list[Row]
) -> None:
    put(engine, "labels", [(request, item, item, 0, True) for request, _, item, *_ in rows])
    for since, broken in ((DAY, (6, 2)), (DAY + timedelta(days=1), (0, 0))):
        assert tuple(m.rows for m in measure_requests(engine, "labels", since=since)) == broken


def test_positions_from_0_and_between_two_places_are_named(
    engine: duckdb.DuckDBPyConnection, rows: list[Row]
) -> None:
    odd = [(r, u, i, {1: 0, 2: 1.5}[int(p)] if r == "r1" and p else p, s) for r, u, i, p, s in shown(rows)]
    assert compare(engine, odd, rows, "position") == {"position": (2, 4, "r1/i1/0.0; r1/i2/1.5")}


def test_a_request_of_several_users_is_named_with_two_of_them(
    engine: duckdb.DuckDBPyConnection, rows: list[Row]
) -> None:
    first, *rest = shown(rows)
    mixed = [(first[0], "cleo", *first[2:]), *rest]
    assert compare(engine, mixed, rows, "users") == {"request_id": (1, 2, "r1 of ana and cleo")}


def test_shown_items_that_the_other_table_lacks_are_named(
    engine: duckdb.DuckDBPyConnection, rows: list[Row]
) -> None:
    first, *rest = rows
    found = compare(engine, shown(rows), [(*first[:4], False), *rest], "unmatched")
    assert found == {"impressions": (1, 4, "r1/i1"), "candidates": (0, 3, "")}
    found = compare(engine, shown(rest), rows, "unmatched")
    assert found == {"impressions": (0, 3, ""), "candidates": (1, 4, "r1/i1")}


def test_a_request_without_candidates_is_named_and_its_items_are_not_unmatched(
    engine: duckdb.DuckDBPyConnection, rows: list[Row]
) -> None:
    only_ben = [row for row in rows if row[1] == "ben"]
    assert compare(engine, shown(rows), only_ben, "no_candidates") == {"request_id": (1, 2, "r1")}
    assert measured(engine, "unmatched") == {"impressions": (0, 2, ""), "candidates": (0, 2, "")}


def test_shown_candidates_with_other_values_than_their_impression_are_counted_by_day(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """Numbers may be rounded; a null equals a null alone, and rows that were not shown have no impression."""
    items = {"request_id": ["r1"] * 5, "item_id": list("abcde"), "ds": [DAY] * 4 + [DAY + timedelta(days=1)]}
    impressions = {"price": [1.0, 2.0, None, 4.0, 5.0], "kind": ["x", "x", None, "y", "y"], "own": [0] * 5}
    at = [datetime(2026, 3, 2, n, tzinfo=UTC) for n in range(5)]
    candidates = {"price": [1.001, 2.5, None, None, 5.0], "kind": ["x", "x", "y", "x", "y"]}
    shown = {"shown": [True, True, True, False, True]}
    for name, columns in (("labels", impressions), ("reached_candidates", candidates | shown)):
        engine.register(name, pa.table(items | columns | {"valid_from": at}))
    names = ["kind", "own", "price", "request_id", "valid_from"]
    found = measure_candidates(engine, since=DAY, columns=names)
    assert [(m.subject, m.rows, m.of, m.examples) for m in found if m.statistic == "disagreeing"] == [
        ("kind", 1, 3, "r1/c"),
        ("price", 1, 3, "r1/b"),
        ("valid_from", 0, 3, ""),
        ("kind", 0, 1, ""),
        ("price", 0, 1, ""),
        ("valid_from", 0, 1, ""),
    ]


def test_of_many_shown_candidates_those_of_some_requests_are_compared(
    engine: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_measurements, "_MOST_COMPARED", 100)
    many: list[Row] = [(f"r{n}", "ana", "i1", n, True) for n in range(200)]
    put(engine, "labels", many)
    put(engine, "reached_candidates", [(*row[:3], -1, shown) for row in many for shown in (True, False)])
    found = list(measure_candidates(engine, since=DAY, columns=["position"]))[-1]
    (unshown,) = measure_unshown(engine, ["position"])
    assert 30 <= found.rows == found.of == unshown.of < 200
    assert unshown.rows == 0


def test_candidates_that_disagree_on_one_day_of_a_long_log_are_found() -> None:
    frame = frame_of(
        Measurement("disagreeing", "price", "", date(2026, 3, n + 1), 90 if n == 20 else 0, 120, 0, "r1/a")
        for n in range(21)
    )
    disagreeing = partial(check_columns_by_day, frame, statistic="disagreeing")
    assert [text for _, text in disagreeing(max_share=0.2).broken] == [
        "price: 90 of 120 rows (for example r1/a) on 1 day, the last 2026-03-21"
    ]
    assert disagreeing(max_share=0.8).broken == []


def test_a_value_that_only_candidates_that_were_not_shown_have_is_counted_by_day(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """Of 40 shown and 60 other candidates; the second day has too few shown ones."""
    shown = [True] * 40 + [False] * 60
    columns = {
        "zero": [*range(40), *[0] * 60],
        "empty": [1.0] * 38 + [None] * 62,
        "kind": ["a", "b"] * 50,
    }
    days = [DAY] * 100 + [DAY + timedelta(days=1)] * 70
    table = {
        "ds": days,
        "request_id": ["r1"] * 170,
        **{name: [*values, *values[30:]] for name, values in columns.items()},
    }
    engine.register("reached_candidates", pa.table({**table, "shown": [*shown, *shown[30:]]}))
    found = list(measure_unshown(engine, [*columns, "absent"]))
    assert [(one.subject, one.rows, one.of, one.examples) for one in found] == [
        ("zero", 58, 60, "0"),  # 60 - 60 * 1 / 40
        ("empty", 57, 60, "null"),  # 60 - 60 * 2 / 40
        ("kind", 0, 60, ""),
    ]
    critical = check_columns_by_day(frame_of(found), statistic="rarely_shown", max_share=0.9)
    assert [name for name, _ in critical.broken] == ["empty", "zero"]


def test_candidates_that_are_all_shown_or_none_are_found() -> None:
    def said(*days: tuple[int, int]) -> str:
        frame = frame_of(
            Measurement("shown", "shown", "", date(2026, 3, n + 1), *day) for n, day in enumerate(days)
        )
        judgement = check_candidates_shown(frame)
        return judgement.observed if judgement.broken else ""

    assert said((10, 40), (10, 40)) == ""
    assert said((40, 40), (40, 40)).startswith("shown is true of all 40 candidates of 2026-03-01; ")
    assert said((10, 400), (400, 400)) == "shown is true of all 400 candidates of 2026-03-02"
    assert said((0, 40), (0, 40)) == "shown is true of none of 80 candidates"


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "flag", "equals": True},
        {"column": "flag", "equals": False},
        {"column": "bit", "equals": True},
        {"column": "word", "one_of": ["a", "c"]},
        {"column": "number", "above": 1.5},
        {"column": "number", "below": 1.5},
        {"column": "word", "equals_column": "other"},
        {"column": "number", "above_column": "least"},
        {"column": "until", "above_column": "shown_at"},
        {"column": "shown_at", "below_column": "until"},
        {"column": "words", "contains": "a"},
        {"column": "numbers", "contains": 2.5},
        {"column": "word", "contained_in_column": "words"},
        {"column": "number", "contained_in_column": "numbers"},
    ],
)
@pytest.mark.parametrize("verb", ["keep_when", "drop_when"])
def test_what_is_kept_is_what_a_decision_keeps(
    engine: duckdb.DuckDBPyConnection, condition: dict[str, object], verb: str
) -> None:
    constraint = HardConstraint.model_validate({"name": "c", verb: condition})
    engine.register("log", pa.Table.from_pandas(FRAME, preserve_index=False))
    sql = fetch(engine, "SELECT $kept FROM log", kept=keeps(constraint))
    holds, known = evaluate_condition(FRAME, constraint.condition, "the test")
    assert [kept for (kept,) in sql] == ((holds if verb == "keep_when" else ~holds) & known).tolist()


def broken(kept: list[int], of: int = 1000) -> list[str]:
    start = date(2026, 3, 1)
    frame = frame_of(
        Measurement("kept", "permitted", "", start + timedelta(days=n), rows, of)
        for n, rows in enumerate(kept)
    )
    return [sentence for _, sentence in compare_kept_shares(frame, least=0.2, least_dropped=30).broken]


def test_a_day_that_keeps_nothing_is_found_on_any_day_also_of_a_short_log() -> None:
    assert broken([0]) == ["permitted 2026-03-01: keeps 0 of 1,000 rows"]
    assert broken([950] * 5 + [0]) == ["permitted 2026-03-06: keeps 0 of 1,000 rows, usual 95.0%"]


@pytest.mark.parametrize("odd", [5, 12, DAYS - 1])
@pytest.mark.parametrize("rows", [100, 600, 1000])
def test_a_day_that_keeps_far_more_or_less_than_usual_is_found_wherever_it_lies(odd: int, rows: int) -> None:
    (found,) = broken([rows if n == odd else 900 + n % 3 for n in range(DAYS)])
    assert f"{date(2026, 3, 1) + timedelta(days=odd)}: keeps {rows:,} of 1,000" in found


def test_a_level_that_stays_is_found_while_it_is_new_and_then_usual() -> None:
    assert len(broken([900] * 10 + [500] * 2)) == 2
    assert broken([900] * 10 + [500] * 10) == []


@pytest.mark.parametrize("days", [1, 4, 12])
def test_a_constraint_that_drops_nothing_any_more_is_found_on_each_of_these_days(days: int) -> None:
    assert len(broken([950 + n % 3 for n in range(10)] + [1000] * days)) == days
    assert len(broken([950] * 5 + [1000] * days + [950] * 5)) == days


def test_small_changes_and_few_rows_are_no_finding() -> None:
    assert broken([900 + 30 * (n % 3) for n in range(DAYS)]) == []
    assert broken([9 - n % 4 for n in range(DAYS)], of=10) == []
    assert broken([1000] * DAYS) == []
    assert broken([(910, 999, 950, 990)[n % 4] for n in range(DAYS - 1)] + [1000]) == []


def test_only_columns_that_the_table_has_are_measured(engine: duckdb.DuckDBPyConnection) -> None:
    utility = UtilitySpec.model_construct(
        hard_constraints=(
            HardConstraint.model_validate(
                {"name": "c", "keep_when": {"column": "permitted", "equals": True}}
            ),
            HardConstraint.model_validate({"name": "d", "keep_when": {"column": "absent", "equals": True}}),
        ),
        contexts=(),
    )
    engine.register("log", pa.table({
        "request_id": ["r1", "r2"], "item_id": ["i", "j"], "permitted": [True, None],
        "ds": [date(2026, 3, 1)] * 2,
    }))  # fmt: skip
    found = list(measure_constraints(engine, "log", utility, since=date(2026, 3, 1)))
    assert found == [
        Measurement("kept", "c", "", date(2026, 3, 1), 1, 2, 1.0),
        Measurement("constraint_nulls", "permitted", rows=1, of=2, examples="r2/j"),
    ]


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return DailyLog.healthy(tmp_path).write().contracts


def found(engine: duckdb.DuckDBPyConnection, price: pa.Array, *, days_ago: int) -> list[Measurement]:
    """Measure two impressions, each of so many days before the as-of."""
    shown = pa.array([AS_OF - timedelta(days=days_ago)] * 2, pa.timestamp("us", "UTC"))
    rows = {"request_id": ["r1", "r2"], "item_id": [1, 2], "shown_at": shown, "price": price, "age": [1, 2]}
    engine.register("labels", pa.table(rows))
    names = ["price", "age", "lacking"]
    measured = measure_infinite(engine, "labels", names, before=AS_OF, reached_from=REACHED)
    return [one for one in measured if one.rows]


@pytest.mark.parametrize("price", [float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_an_infinite_number_is_counted_and_named(
    engine: duckdb.DuckDBPyConnection, price: float, kind: pa.DataType
) -> None:
    rows = pa.array([price, 1.0], kind)
    assert found(engine, rows, days_ago=2) == [
        Measurement("infinite", "price", rows=1, of=2, examples="r1/1")
    ]


def test_one_on_a_day_that_no_slice_reaches_is_another_matter(engine: duckdb.DuckDBPyConnection) -> None:
    (one,) = found(engine, pa.array([1.0, float("inf")]), days_ago=6)
    assert (one.statistic, one.examples) == ("infinite_earlier", "r2/2")


@pytest.mark.parametrize("price", [[float("nan"), None], [1e308, -1e308], [1, 2]])
def test_a_missing_a_huge_and_a_whole_number_are_not_infinite(
    engine: duckdb.DuckDBPyConnection, price: list[float | None]
) -> None:
    assert found(engine, pa.array(price), days_ago=2) == []


def test_numbers_are_what_contracts_read_as_such(contracts: Contracts) -> None:
    assert numeric_columns(contracts) == ("price", "position")


def test_no_slice_reaches_beyond_the_split_and_its_embargoes(contracts: Contracts) -> None:
    assert first_day_in_reach(contracts, END) == (END - timedelta(days=7 + 3 + 3 + 4 * 8)).date()
    assert first_day_in_reach(contracts, datetime(1, 1, 2, tzinfo=UTC)) == date.min


def test_an_infinite_feature_of_the_log_is_a_critical_failure_of_its_suite(tmp_path: Path) -> None:
    log = DailyLog.healthy(tmp_path)
    shown = [row for row in log.impressions if on(20) <= row["shown_at"] < on(21)]
    for row in shown[:5]:
        row["price"] = float("inf")
    failure = log.failures()["impressions", "finite_numbers"]
    assert failure.severity == "critical"
    assert failure.observed == (
        f"price: 5 of {len(log.impressions):,} rows (for example r20-0/i20-0-1; r20-0/i20-0-2; r20-1/i20-1-1)"
    )
