"""Two snapshots are compared label by label: by brute force on the same rows the counts are the same."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import DataError
from tasks.labels import build as labels
from tasks.labels.compare import Difference, diff
from tasks.labels.store import LabelStore
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels.reference import Label, Row

Stored = dict[Any, tuple[str, dict[str, Label]]]


def stored(workspace: Workspace, snapshot: str) -> Stored:
    """Return by key the day and the labels."""
    store, tasks = LabelStore(workspace.store, NAME), workspace.contracts.tasks.tasks
    columns = ["request_id", "item_id", "ds", *(n for t in tasks for n in (t, f"{t}__status", f"{t}__at"))]
    return {
        (row["request_id"], row["item_id"]): (
            str(row["ds"]),
            {t: Label(row[t], row[f"{t}__status"], row[f"{t}__at"]) for t in tasks},
        )
        for row in store.snapshot(snapshot).read(columns).to_pylist()
    }


def said(label: Label, *, value: bool) -> str:
    return label.status if value or label.value is None else f"{label.status} {label.value:.0f}"


def moved(old: Stored, new: Stored, task: str) -> Counter[tuple[str, str, str]]:
    """Count a task's transitions by day."""
    found: Counter[tuple[str, str, str]] = Counter()
    for key in old.keys() & new.keys():
        before, after, (day, _) = old[key][1][task], new[key][1][task], new[key]
        if before != after:
            was, is_now = (said(label, value=task == "spend") for label in (before, after))
            other = ", another value" if task == "spend" else ", another event"
            found[day, was, is_now + (other if was == is_now else "")] += 1
    return found


def counted(found: Difference, task: str) -> dict[tuple[str, str, str], int]:
    return {(d, m.before, m.after): n for m in found.tasks[task] for d, n in m.days.items()}


def run(logs: Logs, day: float) -> str:
    return labels.run(logs.write(), as_of=at(day)).snapshot


@pytest.mark.parametrize("seed", range(3))
def test_a_difference_equals_brute_force(tmp_path: Path, seed: int) -> None:
    logs = Logs.random(tmp_path, seed)
    before = run(logs, 8.5)
    logs.events += [
        event("buy", at(6.4), value=9.0),
        event("buy", at(6.2), value=1.0),
        event("stock_out", at(4)),
    ]
    logs.impressions[0] = {**logs.impressions[0], "shown_at": at(10.5)}
    after = run(logs, 10)
    workspace = logs.write()
    found, old, new = (
        diff(workspace, before=before, after=after),
        stored(workspace, before),
        stored(workspace, after),
    )
    assert {task: counted(found, task) for task in found.tasks} == {
        task: moved(old, new, task) for task in workspace.contracts.tasks.tasks
    }
    assert found.appeared == dict(Counter(new[key][0] for key in new.keys() - old.keys()))
    assert found.gone == dict(Counter(old[key][0] for key in old.keys() - new.keys()))
    totals = [sum(move.rows for move in moves) for moves in found.tasks.values()]
    assert totals == sorted(totals, reverse=True)


def test_days_that_share_their_files_are_not_read(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    before, after = run(logs, 9), run(logs, 10)
    workspace = logs.write()
    found = diff(workspace, before=before, after=after)
    assert found.days_shared > 0
    snapshots = [LabelStore(workspace.store, NAME).snapshot(name) for name in (before, after)]
    old, new = ({f.path for f in s.files()} for s in snapshots)
    for path in old & new:
        Path(str(path)).unlink()
    assert diff(workspace, before=before, after=after).tasks == found.tasks


def test_a_snapshot_differs_from_itself_in_nothing(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    built = run(logs, 9)
    found = diff(logs.write(), before=built, after=built)
    assert found.days_compared == 0
    assert not any(found.tasks.values())
    assert found.appeared == found.gone == {}


def test_an_older_build_can_be_compared_with_a_newer_one_of_another_table(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    newer, older = run(logs, 10), run(logs, 8)
    workspace = logs.write()
    found = diff(workspace, before=older, after=newer)
    assert (found.days_shared, found.before.as_of) == (0, "2024-03-08T00:00:00Z")
    assert counted(found, "buy") == moved(stored(workspace, older), stored(workspace, newer), "buy")


def test_another_contract_is_told_with_both_versions_and_digests(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    before = run(logs, 10)
    logs.tasks = logs.tasks.replace("version: 1", "version: 2").replace("PT2H}, maturity: PT3H", "P1D}")
    logs.tasks += "  stay: {family: engagement, positive: {event: stay, within: PT1H}}\n"
    after = run(logs, 10)
    plain = diff(logs.write(), before=before, after=after).to_json()
    assert plain["contract_changed"]
    assert [plain[side]["contract_version"] for side in ("from", "to")] == [1, 2]
    assert plain["from"]["contract_digest"] != plain["to"]["contract_digest"]
    assert (plain["tasks_only_in_from"], plain["tasks_only_in_to"]) == ([], ["stay"])
    moves = {(move["from"], move["to"]) for move in plain["tasks"]["click"]["transitions"]}
    assert ("observed 0", "observed 1") in moves


def shown(item: int, day: float) -> Row:
    row = {"request_id": "r", "user_id": "u0", "item_id": item, "shown_at": at(day), "position": 1}
    return {**row, "visible": True, "kind": "x"}


def test_a_purchase_that_came_earlier_is_another_event(tmp_path: Path) -> None:
    first = event("buy", at(2.5), value=1.0)
    logs = Logs(tmp_path, [shown(1, 2), shown(2, 2)], [first])
    before = run(logs, 9)
    logs.events.append({**event("buy", at(2.25), value=2.0), "ingested_at": at(9.5)})
    found = diff(logs.write(), before=before, after=run(logs, 10))
    assert counted(found, "buy") == {("2024-03-02", "observed 1", "observed 1, another event"): 1}
    assert counted(found, "spend") == {("2024-03-02", "observed", "observed, another value"): 2}


def test_the_text_begins_with_the_biggest_change_and_fits_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs.random(tmp_path, seed=1)
    before, after = run(logs, 5), run(logs, 11)
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    assert main(["labels", "diff", NAME, "--from", before, "--to", after, *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"from: {before} as of 2024-03-05 00:00:00, ")
    assert "contract: the same" in lines
    heads = [int(line.split()[1]) for line in lines if line.endswith("labels changed")]
    assert heads == sorted(heads, reverse=True)
    assert max(map(len, lines)) <= 110


def test_an_unknown_snapshot_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    built = run(logs, 9)
    with pytest.raises(DataError, match=f"Unknown label snapshot 'nothing'.*{built}"):
        diff(logs.write(), before="nothing", after=built)
