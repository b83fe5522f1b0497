"""A snapshot as one file: nested lines or Parquet, whole or not at all."""

import json
import math
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ContractError
from tasks.labels import build as labels
from tasks.labels.export import export
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.labels.test_build import stored
from tests.stores.local_path import local


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
        loss_weights = {"click": 2.0, "buy": 1.0, "back": 1.0, "spend": 1.0, "kept": 1.0}
        assert row["weights"] == {
            t: weight if row["labels"][t]["observed"] else 0.0 for t, weight in loss_weights.items()
        }
        assert datetime.fromisoformat(row["shown_at"]).tzinfo is not None
    assert {0.0, 2.0} == {row["weights"]["click"] for row in rows}
    assert [row["shown_at"] for row in rows] == sorted(row["shown_at"] for row in rows)


def test_a_value_beyond_all_numbers_is_null_in_a_line(logs: Logs, tmp_path: Path) -> None:
    logs.events = [{**row, "value": math.inf} for row in logs.events]
    workspace = logs.write()
    labels.run(workspace, as_of=at(9))
    text = Path(export(workspace, out=tmp_path / "labels.jsonl", format="jsonl").out).read_text()
    spent = [json.loads(line)["labels"]["spend"] for line in text.splitlines()]
    assert {"value": None, "observed": True} in spent
    assert "Infinity" not in text


def test_a_value_beyond_all_numbers_is_null_inside_nested_columns_too(logs: Logs, tmp_path: Path) -> None:
    """JSON has no NaN, and a reader that is strict refuses the whole line."""
    nested = pa.struct({"scores": pa.list_(pa.list_(pa.float64())), "at": pa.timestamp("us", "UTC")})
    deep = {"scores": [[0.5, math.nan], None, []], "at": at(1)}
    by_name, floats = pa.map_(pa.string(), pa.float32()), pa.list_(pa.float64())
    columns = {
        "embedding": pa.scalar([1.0, math.inf, -math.inf], floats),
        "deep": pa.scalar(deep, nested),
        "by_name": pa.scalar([("a", math.nan), ("b", 2.0)], by_name),
        "absent": pa.scalar(None, nested),
        "tags": pa.scalar(["x", None], pa.list_(pa.string())),
    }
    workspace = logs.write()
    for file in sorted((local(workspace.logs) / NAME / "impressions").iterdir()):
        rows = pq.read_table(file)
        for name, value in columns.items():
            rows = rows.append_column(name, pa.array([value.as_py()] * len(rows), value.type))
        pq.write_table(rows, file)
    labels.run(workspace, as_of=at(9))
    text = Path(export(workspace, out=tmp_path / "labels.jsonl", format="jsonl").out).read_text()
    row = json.loads(text.splitlines()[0], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert row["embedding"] == [1.0, None, None]
    assert row["deep"]["scores"] == [[0.5, None], None, []]
    assert datetime.fromisoformat(row["deep"]["at"]) == at(1)
    assert row["by_name"] == {"a": None, "b": 2.0}
    assert row["absent"] is None
    assert row["tags"] == ["x", None]


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


@pytest.mark.parametrize("name", ["labels", "Weights"])
def test_a_logged_column_takes_no_place_of_what_a_line_nests(logs: Logs, tmp_path: Path, name: str) -> None:
    workspace = logs.write()
    for file in sorted((local(workspace.logs) / NAME / "impressions").iterdir()):
        rows = pq.read_table(file)
        pq.write_table(rows.append_column(name, pa.array(["logged"] * len(rows))), file)
    labels.run(workspace, as_of=at(9))
    with pytest.raises(ContractError, match=f"column '{name}' has the name of a nested field of jsonl"):
        export(workspace, out=tmp_path / "labels.jsonl", format="jsonl")
    assert name in pq.read_schema(export(workspace, out=tmp_path / "labels.parquet").out).names
