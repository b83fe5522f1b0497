"""Bad log tables: each ends in one message that names table, column, what was found and the way out."""

import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.logs.checks import REASONS, copy_new_bad_rows, find_bad_rows
from tasks.logs.profile import profile_log
from tasks.logs.summaries import SummaryTable
from tests.labels.engine import tasks
from tests.logs.small_log import SPEC, Shop, at, contracts, events, impressions, instants, refused

NAIVE = pa.array([datetime(2024, 3, 1)] * 6, pa.timestamp("us"))  # noqa: DTZ001 - what is refused


def test_a_good_log_opens(shop: Shop) -> None:
    with shop.opened() as log:
        assert log.log.impressions == ("request_id", "user_id", "item_id", "shown_at", "position", "kind")
        assert log.log.events == ("event", "happened_at", "user_id", "item_id", "value")


@pytest.mark.parametrize("column", ["request_id", "user_id", "item_id", "shown_at", "kind"])
def test_a_missing_column_is_named(shop: Shop, column: str) -> None:
    shop.put("impressions", impressions(**{column: None}))
    assert f"Missing column '{column}' in impressions. Known:" in refused(shop)


def test_a_misspelt_column_is_suggested(shop: Shop) -> None:
    shop.put("events", events(happened_at=None, happend_at=instants(0, 1, 2, 3)))
    assert "Did you mean 'happend_at'?" in refused(shop)


def test_a_column_that_is_all_null_counts_as_absent(shop: Shop) -> None:
    shop.put("impressions", impressions(kind=pa.nulls(6, pa.string())))
    assert refused(shop) == "impressions: column 'kind' is null in all 6 rows: deliver its values"


def test_an_optional_column_that_is_all_null_may_have_any_type(shop: Shop) -> None:
    shop.put("impressions", impressions(position=pa.nulls(6), propensity=pa.nulls(6, pa.string())))
    with shop.opened() as log:
        assert "position" not in log.log.impressions
        assert "propensity" not in log.log.impressions


def test_values_are_needed_where_a_task_reads_them(shop: Shop) -> None:
    shop.put("events", events(value=None))
    assert "Missing column 'value' in events" in refused(shop)
    shop.contracts = contracts(tasks(click={"positive": {"event": "click", "within": "PT1H"}}))
    with shop.opened() as log:
        assert "value" not in log.log.events


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        (
            "shown_at",
            NAIVE,
            "is of kind time without zone: convert it first, from the zone that its writer meant, to UTC",
        ),
        ("shown_at", pa.array(["2024-03-01"] * 6), "is of kind string"),
        ("shown_at", pa.array([1.5] * 6), "is of kind number"),
        ("item_id", pa.array([1.0] * 6), "is of kind number: ids are integer or string"),
        ("user_id", pa.array([b"u"] * 6), "is of kind other type: ids are integer or string"),
        ("position", pa.array(["1"] * 6), "is of kind string: it must be integer or number"),
    ],
)
def test_a_column_of_another_type_is_refused(shop: Shop, column: str, values: pa.Array, found: str) -> None:
    shop.put("impressions", impressions(**{column: values}))
    assert refused(shop).startswith(f"impressions: column '{column}' {found}")


def test_arrival_has_a_zone_too(shop: Shop) -> None:
    shop.put("events", events(ingested_at=NAIVE[:4]))
    assert "'ingested_at' is of kind time without zone" in refused(shop)


def test_a_column_that_observes_is_true_or_false(shop: Shop) -> None:
    click = {"positive": {"event": "click", "within": "PT1H"}, "observed_when": {"column": "visible"}}
    shop.contracts = contracts(tasks(click=click))
    assert "Missing column 'visible'" in refused(shop)
    shop.put("impressions", impressions(visible=[1, 1, 0, 1, 0, 1]))
    assert "'visible' is of kind integer: it must be boolean" in refused(shop)


def test_ids_have_one_type_in_both_tables(shop: Shop) -> None:
    shop.put("events", events(item_id=["1", "2", "1", "2"]))
    assert refused(shop) == (
        "Column 'item_id' is integer in impressions and string in events: write both with one type"
    )


def test_integers_of_different_width_are_one_type(shop: Shop) -> None:
    shop.put("events", events(item_id=pa.array([1, 2, 1, 2], pa.int16())))
    with shop.opened() as log:
        assert len(log.log.events) == 5


def test_a_deadline_is_a_time_of_the_impressions(shop: Shop) -> None:
    due = {"positive": {"event": "click", "within": "PT1H", "until": "kind"}}
    shop.contracts = contracts(tasks(t=due))
    assert "column 'kind' is of kind string: write it in microseconds with the zone UTC" in refused(shop)


def test_a_match_column_is_in_both_tables(shop: Shop) -> None:
    shop.contracts = contracts(tasks(t={"positive": {"event": "click", "within": "PT1H", "match": ["kind"]}}))
    assert "Missing column 'kind' in events" in refused(shop)
    shop.put("events", events(kind=[1, 2, 3, 4]))
    assert "'kind' is string in impressions and integer in events" in refused(shop)


def test_files_that_disagree_are_named(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(item_id=["1"] * 6))
    said = refused(shop)
    assert "'item_id' has several types: integer in" in said
    assert "1.parquet" in said


def test_a_file_without_a_value_does_not_disagree(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(position=pa.nulls(6, pa.string())))
    with shop.opened() as log:
        assert "position" in log.log.impressions


def test_integers_among_numbers_are_numbers(shop: Shop) -> None:
    shop.put("impressions", impressions(position=[1.0, 2.0] * 3), impressions())
    with shop.opened(100) as log:
        assert log.fetch("SELECT typeof(position), count(*) FROM impressions GROUP BY 1") == [("DOUBLE", 12)]


def test_a_numeric_feature_is_a_number(shop: Shop) -> None:
    shop.contracts = contracts(features={"numeric": ["kind"]})
    assert "column 'kind' is of kind string: it must be boolean or integer or number" in refused(shop)


def test_a_folder_can_be_a_column(shop: Shop) -> None:
    for file in (shop.logs / "shop" / "impressions").iterdir():
        file.unlink()
    shop.put("impressions/kind=x", impressions(kind=None).slice(0, 3))
    shop.put("impressions/kind=2", impressions(kind=None).slice(3))
    sources = {"impressions": "shop/impressions", "events": "shop/events"}
    shop.contracts = contracts(SPEC, sources=sources)
    with shop.opened(100) as log:
        assert log.fetch("SELECT kind, count(*) FROM impressions GROUP BY 1 ORDER BY 1") == [
            ("2", 3),
            ("x", 3),
        ]


def test_nested_columns_keep_their_names(shop: Shop) -> None:
    shop.put(
        "impressions", impressions(context=[{"item_id": "text"}] * 6, tags=[["a"]] * 6, **{"a.b": [1] * 6})
    )
    with shop.opened() as log:
        assert log.log.impressions[-3:] == ("context", "tags", "a.b")


def test_all_problems_of_a_table_are_said_at_once(shop: Shop) -> None:
    shop.put("impressions", impressions(kind=None, shown_at=NAIVE, item_id=pa.array([1.0] * 6)))
    assert len(refused(shop).splitlines()) == 3


@pytest.mark.parametrize("table", ["impressions", "events"])
def test_an_empty_table_is_refused(shop: Shop, table: str) -> None:
    shop.put(table, (impressions() if table == "impressions" else events()).slice(0, 0))
    assert refused(shop).startswith(f"{table} is empty: 1 file(s) without a row")


def test_a_torn_file_is_named(shop: Shop) -> None:
    path = shop.logs / "shop" / "events" / "0.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "events cannot be read" in refused(shop)
    assert "0.parquet" in refused(shop)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    assert refused(Shop(tmp_path).put("impressions", impressions())).startswith(
        "No events: 'shop/events/*.parquet'"
    )


def test_columns_are_read_under_our_names(shop: Shop) -> None:
    shop.put("impressions", impressions(shown_at=None, served_at=instants(0, 0, 1, 1, 30, 30)))
    shop.contracts = contracts(SPEC, columns={"shown_at": "served_at"})
    with shop.opened(100) as log:
        assert log.fetch("SELECT count(shown_at) FROM shown") == [(6,)]


def test_both_our_name_and_theirs_is_refused(shop: Shop) -> None:
    shop.put("impressions", impressions(served_at=instants(0, 0, 1, 1, 30, 30)))
    shop.contracts = contracts(SPEC, columns={"shown_at": "served_at"})
    assert "both 'shown_at' and 'served_at'" in refused(shop)


def test_one_column_has_one_name(shop: Shop) -> None:
    shop.put("impressions", impressions(position=None, rank=[1, 2] * 3))
    shop.contracts = contracts(SPEC, columns={"position": "rank", "visible": "rank"})
    assert "columns map both 'position' and 'visible' to 'rank'" in refused(shop)


def test_the_times_of_two_tables_may_have_one_name(shop: Shop) -> None:
    shop.put("impressions", impressions(shown_at=None, ts=instants(0, 0, 1, 1, 30, 30)))
    shop.put("events", events(happened_at=None, ts=instants(0.5, 1, 5, 40)))
    shop.contracts = contracts(SPEC, columns={"shown_at": "ts", "happened_at": "ts"})
    with shop.opened(100) as log:
        assert log.fetch("SELECT count(shown_at) FROM shown") == [(6,)]


def test_an_id_that_is_too_large_is_refused_by_its_column_without_the_statement(shop: Shop) -> None:
    shop.put("impressions", impressions(item_id=pa.array([2**63 + 5, 2] * 3, pa.uint64())))
    with pytest.raises(DataError, match="item_id") as said, shop.opened(100):
        pass
    assert "SELECT" not in str(said.value)


def test_a_mapped_column_that_is_missing_is_named_as_theirs(shop: Shop) -> None:
    shop.contracts = contracts(SPEC, columns={"user_id": "uid"})
    shop.put("impressions", impressions(user_id=None)).put("events", events(user_id=None, uid=["u"] * 4))
    assert "Missing column 'uid' in impressions (surface.yaml columns map 'user_id' to it)" in refused(shop)


def found(shop: Shop, to: Path, *known: Path) -> list[dict[str, str]]:
    as_of = at(100)
    with shop.opened() as log:
        seen = profile_log(SummaryTable(log, shop.home / "summaries.parquet"), as_of=as_of, previous=None)
        find_bad_rows(log, as_of=as_of, files=seen.bad_files)
        rows, size = copy_new_bad_rows(log, to, as_of=as_of, known=known)
    assert size == to.stat().st_size
    table = pq.read_table(to)
    assert table.num_rows == rows
    return sorted(table.to_pylist(), key=lambda row: (row["rule"], row["row"]))


def spoiled(shop: Shop) -> Shop:
    shop.put("impressions", impressions(shown_at=instants(0, None, 1, 1, 30, 30)), impressions().slice(0, 1))
    return shop.put(
        "events", events(event=["click", None, None, "stock_out"], happened_at=instants(0.5, 1, 1, None))
    )


def test_bad_rows_have_table_rule_reason_and_the_row_as_json(shop: Shop, tmp_path: Path) -> None:
    rows = found(spoiled(shop), tmp_path / "q" / "a.parquet")
    assert [(r["table"], r["rule"]) for r in rows] == [
        ("events", "no_event"), ("events", "no_event"), ("events", "no_event"),
        ("impressions", "no_key"), ("impressions", "repeated_key"),
    ]  # fmt: skip
    assert all(r["reason"] == REASONS[r["rule"]] and r["as_of"] == at(100) for r in rows)
    assert json.loads(rows[3]["row"]) == {
        "request_id": "q", "user_id": "u", "item_id": 2, "shown_at": None, "position": 2, "kind": "y",
    }  # fmt: skip


def test_what_is_known_is_not_written_again(shop: Shop, tmp_path: Path) -> None:
    first = found(spoiled(shop), tmp_path / "a.parquet")
    assert found(shop, tmp_path / "b.parquet", tmp_path / "a.parquet") == []
    shop.put("events", events(event=["click", None, None, None], happened_at=instants(0.5, 1, 1, None)))
    (new,) = found(shop, tmp_path / "c.parquet", tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert new["digest"] not in {row["digest"] for row in first}


def test_equal_rows_are_told_apart(shop: Shop, tmp_path: Path) -> None:
    shop.put("impressions", impressions(), impressions(), impressions())
    rows = found(shop, tmp_path / "a.parquet")
    assert len({row["row"] for row in rows}) == 6
    assert len({row["digest"] for row in rows}) == len(rows) == 12


def test_a_good_log_has_none(shop: Shop, tmp_path: Path) -> None:
    assert found(shop, tmp_path / "a.parquet") == []
