"""A snapshot as one file: nested lines or Parquet, whole or not at all."""

import json
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.errors import ContractError
from tasks.labels import build as labels
from tasks.labels.export import export
from tests.feeds.days_of_logs import Logs, at
from tests.labels.test_build import stored


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs.random(tmp_path, seed=1)


def test_a_snapshot_is_exported_as_nested_lines(logs: Logs, tmp_path: Path) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    done = export(workspace, out=tmp_path / "out" / "labels.jsonl", format="jsonl")
    rows = [json.loads(line) for line in Path(done.out).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == done.rows == built.rows
    known = stored(workspace, built.snapshot)
    for row in rows:
        expected = known[row["request_id"], row["item_id"]]
        assert row["labels"] == {
            t: {"value": x.value, "observed": x.status == "observed"} for t, x in expected.items()
        }
        assert row["weights"] == {"click": 2.0, "buy": 1.0, "back": 1.0, "spend": 1.0, "kept": 1.0}
        assert datetime.fromisoformat(row["shown_at"]).tzinfo is not None
    assert [row["shown_at"] for row in rows] == sorted(row["shown_at"] for row in rows)


def test_a_snapshot_is_exported_as_one_parquet_file(logs: Logs, tmp_path: Path) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    done = export(workspace, out=tmp_path / "labels.parquet")
    table = pq.read_table(done.out)
    assert table.num_rows == built.rows
    assert {"click", "click__status", "ds", "kind"} <= set(table.column_names)
    assert list(tmp_path.glob(".labels*")) == []


def test_an_unknown_format_is_named(logs: Logs, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="Unknown format 'csv'"):
        export(logs.write(), out=tmp_path / "labels.csv", format="csv")  # type: ignore[arg-type]  # what is refused
