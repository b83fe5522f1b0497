"""``before_positive`` lifts a base rate: it keeps the early positives of rows whose negatives an exclusion drops."""

from pathlib import Path

import numpy as np
import pytest

from tasks.cli import main
from tasks.labels import build as labels
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels.reference import Row

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


def shop(folder: Path, tasks: str, *, rows: int = ROWS, bought: float = 0.010, out: float = 0.3) -> Workspace:
    """Show every item once; purchases and stock-outs lie at random instants of the week after."""
    random = np.random.default_rng(5)
    within = random.uniform(0, 7, (2, rows))
    buys, outs = random.random(rows) < bought, random.random(rows) < out
    impressions = [shown(n) for n in range(rows)]
    events = [event("buy", at(1 + within[0, n]), item_id=n, value=1.0) for n in np.flatnonzero(buys).tolist()]
    events += [event("stock_out", at(1 + within[1, n]), item_id=n) for n in np.flatnonzero(outs).tolist()]
    return Logs(folder, impressions, events, tasks).write()


def shown(item: int) -> Row:
    row = {"request_id": f"r{item}", "user_id": "u0", "item_id": item, "shown_at": at(1), "position": 1}
    return {**row, "visible": True, "kind": "x"}


def test_a_rate_of_one_in_a_hundred_reads_a_fifth_too_high_at_thirty_percent_stock_outs(
    tmp_path: Path,
) -> None:
    """Half of the purchases of the 30 % come first: .010 x (.70 + .15) / (.70 + .0015) is .0121."""
    workspace = shop(tmp_path / "spares", TASKS)
    labels.run(workspace, as_of=at(20))
    shown = labels.show(workspace)
    both = shown.before_positive["buy"]
    assert shown.rates["buy"] == both.as_labelled == pytest.approx(0.0121, abs=0.0004)
    assert both.without_spared == pytest.approx(0.010, abs=0.0004)
    assert both.note is None
    strict = shop(tmp_path / "strict", STRICT)
    labels.run(strict, as_of=at(20))
    other = labels.show(strict)
    assert other.rates["buy"] == both.without_spared
    assert other.before_positive == {}
    assert both.spared == shown.tasks["buy"]["positive"] - other.tasks["buy"]["positive"]


def test_both_rates_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = shop(tmp_path, TASKS, rows=400, bought=0.2)
    labels.run(workspace, as_of=at(20))
    both = labels.show(workspace).before_positive["buy"]
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    assert main(["labels", "show", NAME, *where]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "buy keeps rows that were positive before their exclusion: its rate is "
        f"{both.as_labelled:.4g}, and {both.without_spared:.4g} without those {both.spared} rows."
    ) in printed


def test_of_another_contract_only_the_rate_as_labelled_is_known(tmp_path: Path) -> None:
    workspace = shop(tmp_path, TASKS, rows=400)
    labels.run(workspace, as_of=at(20))
    file = tmp_path / "surfaces" / NAME / "tasks.yaml"
    file.write_text(TASKS.replace("version: 1", "version: 2"), encoding="utf-8")
    changed = Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home)
    both = labels.show(changed).before_positive["buy"]
    assert both.without_spared is None
    assert both.note == "the snapshot was built under another tasks.yaml: build again"


def test_without_the_log_labels_are_counted_all_the_same(tmp_path: Path) -> None:
    workspace = shop(tmp_path, TASKS, rows=400)
    labels.run(workspace, as_of=at(20))
    for file in Path(str(workspace.logs)).rglob("*.parquet"):
        file.unlink()
    shown = labels.show(workspace)
    assert shown.tasks["buy"]["observed"] > 0
    assert str(shown.before_positive["buy"].note).startswith("the log cannot be read: ")


def test_a_log_that_has_changed_since_is_told(tmp_path: Path) -> None:
    workspace = shop(tmp_path, TASKS, rows=400, bought=0.2)
    labels.run(workspace, as_of=at(20))
    shop(tmp_path, TASKS, rows=399, bought=0.2)
    note = labels.show(workspace).before_positive["buy"].note
    assert note is not None
    assert "changed since the snapshot was built" in note
