"""Commands on labels, from the SQL to what is swept, on one small log."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.cli import label_commands, main
from tasks.cli.text import WIDTH, as_text
from tasks.stores.workspace import Workspace, format_instant
from tests.cli.conftest import Document
from tests.feeds.days_of_logs import NAME, Logs, at

AS_OF = ("--as-of", format_instant(at(11)))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Logs.random(tmp_path, seed=1).write()


def test_a_build_reports_days_by_reason_and_the_rows_that_it_left_out(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["labels", "build", NAME, *AS_OF, "--surfaces", str(workspace.surfaces)]
    for days in ("10 new", "none, the labels are up to date"):
        assert main([*words, "--home", str(workspace.home)]) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert lines[0].startswith("snapshot ")
        assert lines[1] == f"days written: {days}"
        assert lines[2].startswith("impressions: ")
        assert "{" not in "".join(lines)


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


COUNTS: dict[str, Any] = {
    "snapshot": "2827b335821afd44",
    "as_of": "2026-03-02T00:00:00Z",
    "rows": 216000,
    "tasks": {
        "click": {
            "observed": 200000,
            "positive": 5000,
            "immature": 16000,
            "excluded": 0,
            "not_applicable": 0,
        },
        "back": {"observed": 0, "positive": 0, "immature": 216000, "excluded": 0, "not_applicable": 0},
    },
    "rates": {"click": 0.025, "back": None},
    "before_positive": {},
    "means": {},
    "changed": {"click": 0, "back": 0},
}
SIDE = {
    "snapshot": "d9b22e707aaaf04c",
    "as_of": "2026-03-01T00:00:00Z",
    "rows": 1000,
    "contract_version": 1,
    "contract_digest": "bf0e97c0690abcdef",
}
DIFFERENCE: dict[str, Any] = {
    "from": SIDE,
    "to": SIDE | {"contract_version": None},
    "contract_changed": False,
    "days_compared": 9,
    "days_shared": 51,
    "appeared": {f"2026-03-0{day}": day for day in range(1, 7)},
    "gone": {},
    "tasks": {
        "click": {
            "changed": 1016,
            "transitions": [
                {"from": "immature", "to": "observed 0", "rows": 1000, "days": {"2026-02-22": 1000}},
                {"from": "observed 0", "to": "observed 1", "rows": 16, "days": {"2026-02-23": 16}},
            ],
        },
        "hide": {"changed": 0, "transitions": []},
    },
    "tasks_only_in_from": [],
    "tasks_only_in_to": ["stay"],
}


def test_counts_are_a_table_with_a_row_a_task() -> None:
    head, names, click, back = as_text(label_commands.write_counts(COUNTS)).splitlines()
    assert head == "snapshot 2827b335821afd44 as of 2026-03-02 00:00:00, 216,000 rows"
    assert " ".join(names.split()) == "task observed positive rate immature excluded not applicable"
    assert click.split() == ["click", "200,000", "5,000", "0.025", "16,000", "0", "0"]
    assert back.split() == ["back", "0", "0", "-", "216,000", "0", "0"]


def test_labels_that_late_events_changed_are_counted_below() -> None:
    lines = as_text(label_commands.write_counts(COUNTS | {"changed": {"click": 7, "back": 0}})).splitlines()
    assert lines[-1] == "observed labels that this build changed, through late events: click 7"


def test_a_rate_without_the_rows_kept_before_their_exclusion_stands_below() -> None:
    rates = {"as_labelled": 0.0121, "without_spared": 0.01, "spared": 42, "note": None}
    printed = as_text(label_commands.write_counts(COUNTS | {"before_positive": {"buy": rates}}))
    assert "its rate is 0.0121, and 0.01 without those 42 rows." in " ".join(printed.split())
    unknown = rates | {"without_spared": None, "spared": None, "note": "the log cannot be read"}
    printed = as_text(label_commands.write_counts(COUNTS | {"before_positive": {"buy": unknown}}))
    assert "Without them it is not known: the log cannot be read." in " ".join(printed.split())


def test_an_explanation_has_the_words_of_each_task_beside_its_name() -> None:
    plain = {
        "request_id": "r1",
        "item_id": "i1",
        "user_id": None,
        "shown_at": "2026-01-01T03:29:05Z",
        "snapshot": "2827b335821afd44",
        "as_of": "2026-03-02T00:00:00Z",
        "notes": ["the log has changed"],
        "tasks": {"click": {"words": "1. " + "word " * 30}, "hide_7d": {"words": "0."}},
    }
    lines = as_text(label_commands.write_explanation(plain)).splitlines()
    assert lines[:4] == [
        "request r1, item i1: shown 2026-01-01 03:29:05",
        "snapshot 2827b335821afd44 as of 2026-03-02 00:00:00; every time is UTC",
        "note: the log has changed",
        "",
    ]
    assert lines[4].startswith("click:   1. word")
    assert lines[5].startswith("         word")
    assert lines[-1] == "hide_7d: 0."
    assert max(map(len, lines)) <= WIDTH


def test_a_difference_names_both_sides_and_what_changed() -> None:
    assert as_text(label_commands.write_changes(DIFFERENCE)).splitlines() == [
        "from: d9b22e707aaaf04c as of 2026-03-01 00:00:00, 1,000 rows, contract version 1 (bf0e97c0690a)",
        "to:   d9b22e707aaaf04c as of 2026-03-01 00:00:00, 1,000 rows, contract (bf0e97c0690a)",
        "contract: the same",
        "days: 9 compared, 51 shared file by file",
        "impressions: 21 added (2026-03-06: 6, 2026-03-05: 5, 2026-03-04: 4, 2026-03-03: 3, 2 days more);",
        "none removed",
        "tasks only in to: stay",
        "click: 1,016 labels changed",
        "  immature -> observed 0    1,000  2026-02-22: 1,000",
        "  observed 0 -> observed 1     16  2026-02-23: 16",
        "unchanged: hide",
    ]


def test_the_mean_of_a_value_task_stands_below_the_counts() -> None:
    printed = as_text(label_commands.write_counts(COUNTS | {"means": {"spend": 2.5, "none_yet": None}}))
    assert "spend: mean 2.5 of its observed values" in printed
    assert "none_yet: mean - of" in printed


def test_a_rate_has_three_digits_and_one_row_is_no_rows() -> None:
    printed = as_text(
        label_commands.write_counts(COUNTS | {"rows": 1, "rates": {"click": 0.0259372, "back": 2e-6}})
    )
    assert ", 1 row\n" in printed
    assert " 0.0259 " in printed
    assert " 0.000002 " in printed
