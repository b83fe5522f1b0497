"""Commands on labels, from the SQL to what is swept, on one small log."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.stores.workspace import Workspace, format_instant
from tests.cli.conftest import Document
from tests.feeds.days_of_logs import NAME, Logs, at

AS_OF = ("--as-of", format_instant(at(11)))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Logs.random(tmp_path, seed=1).write()


@pytest.mark.parametrize("dialect", ["duckdb", "spark", "postgres", "bigquery", "snowflake"])
def test_the_sql_of_a_contract_is_printed_in_each_dialect(
    dialect: str, workspace: Workspace, document: Document
) -> None:
    assert "back__status" in document(workspace, "labels", "sql", NAME, "--dialect", dialect)["sql"]


def test_what_is_built_can_be_shown_and_exported(
    workspace: Workspace, document: Document, tmp_path: Path
) -> None:
    built = document(workspace, "labels", "build", NAME, *AS_OF)
    shown = document(workspace, "labels", "show", NAME, "--snapshot", built["snapshot"])
    assert (shown["snapshot"], shown["rows"]) == (built["snapshot"], built["rows"])
    out = tmp_path / "labels.parquet"
    document(workspace, "labels", "export", NAME, "--out", str(out))
    assert pq.read_table(out).num_rows == built["rows"]
    lines = tmp_path / "labels.jsonl"
    document(workspace, "labels", "export", NAME, "--out", str(lines), "--format", "jsonl")
    assert len([json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]) == built["rows"]


def test_a_build_can_be_confined_to_days(workspace: Workspace, document: Document) -> None:
    days = ("--from", at(2).date().isoformat(), "--to", at(3).date().isoformat())
    built = document(workspace, "labels", "build", NAME, *AS_OF, *days, "--engine", "duckdb")
    assert set(built["days"]) == {at(2).date().isoformat(), at(3).date().isoformat()}


def test_two_snapshots_can_be_compared(workspace: Workspace, document: Document) -> None:
    before = document(workspace, "labels", "build", NAME, "--as-of", format_instant(at(5)))["snapshot"]
    after = document(workspace, "labels", "build", NAME, *AS_OF)["snapshot"]
    difference = document(workspace, "labels", "diff", NAME, "--from", before, "--to", after)
    assert (difference["from"]["snapshot"], difference["to"]["snapshot"]) == (before, after)
    assert not difference["contract_changed"]


def test_an_impression_can_be_explained(workspace: Workspace, document: Document, tmp_path: Path) -> None:
    document(workspace, "labels", "build", NAME, *AS_OF)
    out = tmp_path / "labels.parquet"
    document(workspace, "labels", "export", NAME, "--out", str(out))
    row = pq.read_table(out, columns=["request_id", "item_id"]).to_pylist()[0]
    impression = f"{row['request_id']}/{row['item_id']}"
    explained = document(workspace, "labels", "explain", NAME, "--impression", impression)
    assert (explained["request_id"], explained["item_id"]) == (row["request_id"], row["item_id"])


def test_a_dry_run_of_a_vacuum_deletes_nothing(workspace: Workspace, document: Document) -> None:
    document(workspace, "labels", "build", NAME, *AS_OF)
    before = set(workspace.home.rglob("*.parquet"))
    swept = document(workspace, "labels", "vacuum", NAME, "--keep", "P1D", "--dry-run")
    assert swept["dry_run"]
    assert set(workspace.home.rglob("*.parquet")) == before
