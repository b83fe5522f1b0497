"""A snapshot's rows by task and status, its base rates, and the rates of tasks with ``before_positive``.

``before_positive`` lifts a base rate: it keeps the early positives of rows whose negatives an exclusion drops.

A snapshot as one file: nested lines or Parquet, whole or not at all.
"""

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.errors import ContractError, DataError
from tasks.labels import build as labels
from tasks.labels.show import LabelCount, count_labels, export, keep_chain, list_sparing_tasks, show
from tasks.labels.store import LabelStore
from tasks.logs.session import open_log
from tasks.stores.workspace import Workspace
from tests.feeds import small_feed
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels.engine import tasks
from tests.labels.reference import Reference, Row
from tests.labels.test_build import stored
from tests.stores.local_path import local

TASKS = """
contract: days-of-logs
version: 1
tasks:
  click: {family: engagement, positive: {event: click, within: PT1H}}
  back: {family: negative, positive: {event: back, within: PT1H}}
  buy:
    family: conversion
    positive: {event: buy, within: P7D}
    exclude: [{event: stock_out, on: item, before_positive: true}]
"""
STRICT = TASKS.replace("before_positive: true", "before_positive: false")
ROWS = 60_000
CLICK = {"positive": {"event": "click", "within": "PT1H"}}
OUT = {"event": "stock_out", "on": "item"}
SPEC = tasks(
    click=CLICK,
    buy={"positive": {"event": "buy", "within": "P1D"}, "exclude": [OUT]},
    back={
        "positive": {"event": "back", "within": "P1D", "after": "buy"},
        "exclude": [OUT, {**OUT, "before_positive": True}],
    },
    spent={
        "kind": "value",
        "value": {"event": "buy", "within": "P1D", "aggregate": "sum"},
        "exclude": [{**OUT, "before_positive": True}],
    },
)


def shop(folder: Path, tasks: str, *, rows: int = ROWS, bought: float = 0.010, out: float = 0.3) -> Workspace:
    """Show every item once; purchases and stock-outs lie at random instants of the week after."""
    random = np.random.default_rng(5)
    within = random.uniform(0, 7, (2, rows))
    buys, outs = random.random(rows) < bought, random.random(rows) < out
    impressions = [seen(n, request=f"r{n}", day=1) for n in range(rows)]
    events = [event("buy", at(1 + within[0, n]), item_id=n, value=1.0) for n in np.flatnonzero(buys).tolist()]
    events += [event("stock_out", at(1 + within[1, n]), item_id=n) for n in np.flatnonzero(outs).tolist()]
    return Logs(folder, impressions, events, tasks).write()


def seen(item: int, *, request: str = "r", day: float = 2) -> Row:
    row = {"request_id": request, "user_id": "u0", "item_id": item, "shown_at": at(day), "position": 1}
    return {**row, "visible": True, "kind": "x"}


def test_labels_are_shown_by_task_and_status(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    shown = show(workspace)
    reference = Reference(workspace.contracts.tasks, logs.impressions, logs.events, at(9)).labels()
    for task, counts in shown.tasks.items():
        told = [label[task] for label in reference.values()]
        statuses = {s: counts[s] for s in ("observed", "immature", "excluded", "not_applicable")}
        assert statuses == {s: sum(x.status == s for x in told) for s in statuses}
        assert counts["positive"] == sum((x.value or 0) > 0 for x in told)
        values = [x.value for x in told if x.value is not None]
        if workspace.contracts.tasks.tasks[task].kind == "value":
            assert shown.means[task] == (pytest.approx(sum(values) / len(values)) if values else None)
    assert shown.means.keys() == {n for n, t in workspace.contracts.tasks.tasks.items() if t.kind == "value"}
    assert (shown.snapshot, shown.rows) == (built.snapshot, len(reference))
    assert list(next(iter(shown.tasks.values()))) == [
        "observed",
        "positive",
        "immature",
        "excluded",
        "not_applicable",
    ]


def test_without_labels_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="equipoise labels build"):
        show(Logs.random(tmp_path, seed=1).write())


def test_a_base_rate_is_the_positive_share_of_the_observed(tmp_path: Path) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    labels.run(workspace, as_of=at(11))
    shown = show(workspace)
    for task, counts in shown.tasks.items():
        assert shown.rates[task] == counts["positive"] / counts["observed"]


def test_without_an_observed_row_there_is_no_rate(tmp_path: Path) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    labels.run(workspace, as_of=at(2))
    assert show(workspace).rates["back"] is None


def test_the_labels_that_late_events_changed_are_counted_by_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(tmp_path, [seen(1), seen(2)], [event("click", at(2.01), value=1.0)])
    labels.run(logs.write(), as_of=at(10))
    assert not any(show(logs.write()).changed.values())
    logs.events.append(event("click", at(2.01), item_id=2, ingested_at=at(10.5)))
    labels.run(logs.write(), as_of=at(11))
    assert show(logs.write()).changed == {"click": 1, "buy": 0, "back": 0, "spend": 0, "kept": 1}
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    capsys.readouterr()
    assert main(["labels", "show", NAME, *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[1].split()) == "task observed positive rate immature excluded not applicable"
    assert lines[-1].startswith(
        "observed labels that this build changed, through late events: click 1, kept 1"
    )
    assert max(map(len, lines)) <= 110


def test_a_rate_of_one_in_a_hundred_reads_a_fifth_too_high_at_thirty_percent_stock_outs(
    tmp_path: Path,
) -> None:
    """Half of the purchases of the 30 % come first: .010 x (.70 + .15) / (.70 + .0015) is .0121."""
    workspace = shop(tmp_path / "spares", TASKS)
    labels.run(workspace, as_of=at(20))
    shown = show(workspace)
    both = shown.before_positive["buy"]
    assert shown.rates["buy"] == both.as_labelled == pytest.approx(0.0121, abs=0.0004)
    assert both.without_spared == pytest.approx(0.010, abs=0.0004)
    assert both.note is None
    strict = shop(tmp_path / "strict", STRICT)
    labels.run(strict, as_of=at(20))
    other = show(strict)
    assert other.rates["buy"] == both.without_spared
    assert other.before_positive == {}
    assert both.spared == shown.tasks["buy"]["positive"] - other.tasks["buy"]["positive"]


def test_both_rates_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = shop(tmp_path, TASKS, rows=400, bought=0.2)
    labels.run(workspace, as_of=at(20))
    both = show(workspace).before_positive["buy"]
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    assert main(["labels", "show", NAME, *where]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "buy keeps rows that were positive before their exclusion: its rate is "
        f"{both.as_labelled:.3g}, and {both.without_spared:.3g} without those {both.spared} rows."
    ) in printed


def test_of_another_contract_only_the_rate_as_labelled_is_known(tmp_path: Path) -> None:
    workspace = shop(tmp_path, TASKS, rows=400)
    labels.run(workspace, as_of=at(20))
    file = tmp_path / "surfaces" / NAME / "tasks.yaml"
    file.write_text(TASKS.replace("version: 1", "version: 2"), encoding="utf-8")
    changed = Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home)
    both = show(changed).before_positive["buy"]
    assert both.without_spared is None
    assert both.note == "the snapshot was built under another tasks.yaml: build again"


def test_without_the_log_labels_are_counted_all_the_same(tmp_path: Path) -> None:
    workspace = shop(tmp_path, TASKS, rows=400)
    labels.run(workspace, as_of=at(20))
    for file in Path(str(workspace.logs)).rglob("*.parquet"):
        file.unlink()
    shown = show(workspace)
    assert shown.tasks["buy"]["observed"] > 0
    assert str(shown.before_positive["buy"].note).startswith("the log cannot be read: ")


def test_a_log_that_has_changed_since_is_told(tmp_path: Path) -> None:
    workspace = shop(tmp_path, TASKS, rows=400, bought=0.2)
    labels.run(workspace, as_of=at(20))
    shop(tmp_path, TASKS, rows=399, bought=0.2)
    note = show(workspace).before_positive["buy"].note
    assert note is not None
    assert "changed since the snapshot was built" in note


def test_the_log_counts_what_a_build_labels(tmp_path: Path) -> None:
    workspace, snapshot = small_feed.small_feed(tmp_path)
    days = [small_feed.FIRST.date() + n * timedelta(days=1) for n in (3, 4, 20, 44)]
    with open_log(workspace) as log:
        counted = count_labels(log, days, as_of=small_feed.AS_OF)
    stored = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    for task in ("click_1d", "buy_2d", "back_2d", "spend_2d"):
        assert set(counted[task]) == set(days)
        for day in days:
            rows = stored.read([task, f"{task}__status"], first_day=day, last_day=day)
            labels = rows.column(task).filter(pc.equal(rows.column(f"{task}__status"), "observed"))
            positives = int(pc.sum(pc.not_equal(labels, 0)).as_py() or 0)
            assert counted[task][day] == LabelCount(len(labels), positives)
    assert counted["click_1d"][days[0]].positives > 0


def test_binary_tasks_with_before_positive_spare_rows() -> None:
    assert list_sparing_tasks(SPEC) == ("back",)


def test_a_task_alone_keeps_what_it_builds_on() -> None:
    assert list(keep_chain(SPEC, "back").tasks) == ["buy", "back"]
    assert list(keep_chain(SPEC, "click").tasks) == ["click"]


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
