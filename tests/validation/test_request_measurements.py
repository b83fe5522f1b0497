"""Positions, users of requests and candidates beside the impressions: what is odd is counted and named."""

from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.request_measurements import measure_candidates, measure_requests
from tasks.validation.row_rules import check_candidates_shown

DAY = date(2026, 3, 1)
Row = tuple[str, str, str, int | float | None, bool | None]


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
    found = [*measure_requests(engine, "labels"), *measure_candidates(engine, since=DAY)]
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
