"""Bad rows: found by rule, written once."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from tasks.logs.profile import profile_log
from tasks.logs.quarantine import REASONS, copy_new_bad_rows, find_bad_rows
from tasks.logs.summaries import SummaryTable
from tests.logs.small_log import Shop, at, events, impressions, instants


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
