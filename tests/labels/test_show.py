"""A snapshot's base rates, and what late events changed in it."""

from pathlib import Path

import pytest

from tasks.cli import main
from tasks.labels import build as labels
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels.reference import Row


def shown(item: int) -> Row:
    row = {"request_id": "r", "user_id": "u0", "item_id": item, "shown_at": at(2), "position": 1}
    return {**row, "visible": True, "kind": "x"}


def test_a_base_rate_is_the_positive_share_of_the_observed(tmp_path: Path) -> None:
    context = Logs.random(tmp_path, seed=1).write()
    labels.run(context, as_of=at(11))
    shown = labels.show(context)
    for task, counts in shown.tasks.items():
        assert shown.rates[task] == counts["positive"] / counts["observed"]


def test_without_an_observed_row_there_is_no_rate(tmp_path: Path) -> None:
    context = Logs.random(tmp_path, seed=1).write()
    labels.run(context, as_of=at(2))
    assert labels.show(context).rates["back"] is None


def test_the_labels_that_late_events_changed_are_counted_by_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(tmp_path, [shown(1), shown(2)], [event("click", at(2.01), value=1.0)])
    labels.run(logs.write(), as_of=at(10))
    assert not any(labels.show(logs.write()).changed.values())
    logs.events.append(event("click", at(2.01), item_id=2, ingested_at=at(10.5)))
    labels.run(logs.write(), as_of=at(11))
    assert labels.show(logs.write()).changed == {"click": 1, "buy": 0, "back": 0, "spend": 0, "kept": 1}
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    capsys.readouterr()
    assert main(["labels", "show", NAME, *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [
        "task",
        "observed",
        "positive",
        "rate",
        "immature",
        "excluded",
        "not",
        "applicable",
    ]
    assert lines[-1].startswith(
        "observed labels that this build changed, through late events: click 1, kept 1"
    )
    assert max(map(len, lines)) <= 110
