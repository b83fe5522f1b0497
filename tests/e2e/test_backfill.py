"""Backfills as docs/backfill.md has people type them: a range of labels, and a retrain as of a past date."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores import delta
from tasks.stores.store import Store
from tests.docs.pages import DOCS, blocks, examples
from tests.e2e.installation import Installation
from tests.feeds.mini import LATER, NAME
from tests.stores.local_path import local

LABELS, RETRAIN = f"{NAME}__labels", f"{NAME}__retrain"
DAYS = tuple(date(2026, 1, day) for day in range(12, 17))


@pytest.fixture
def changed_log(installation: Installation) -> Installation:
    """A log whose labels are built, and of which a few clicks of many days arrive only now."""
    installation.deliver()
    labels.run(installation.workspace, as_of=LATER)
    events = sorted(local(installation.workspace.logs / NAME / "events").glob("*.parquet"))
    for file in events[8:18]:
        _repeat_a_click(file)
    return installation


def test_a_backfill_of_five_days_of_labels_rewrites_those_days_and_no_other(
    changed_log: Installation,
) -> None:
    before = _files(changed_log)
    changed_log.ready(LABELS)
    changed_log.type("backfill.md", "deploy airflow backfill create")
    runs = changed_log.backfilled(LABELS, len(DAYS))
    assert {run["state"] for run in runs} == {"success"}
    after = _files(changed_log)
    assert {day for day in after if after[day] != before.get(day)} == set(map(str, DAYS))


def test_a_backfilled_release_is_marked_moves_no_alias_and_is_not_proposed(
    installation: Installation,
) -> None:
    installation.ready(RETRAIN)
    before = Store.open(installation.home).registry.aliases(f"{NAME}.release")
    installation.type("backfill.md", "/api/v2/backfills")
    (run,) = installation.backfilled(RETRAIN, 1)
    installation.succeed(RETRAIN, run["dag_run_id"])
    result = installation.airflow().result
    release = result(RETRAIN, run["dag_run_id"], "release")
    assert (release["as_of"], release["backfilled"]) == ("2026-02-09T04:00:00Z", True)
    assert Store.open(installation.home).registry.aliases(f"{NAME}.release") == before
    assert not result(RETRAIN, run["dag_run_id"], "propose")["proposed"]
    assert f"[release {release['version']} (backfilled)](" in run["note"]
    version = installation.mlflow.get_model_version(f"{NAME}.release", str(release["version"]))
    assert version.tags["backfilled"] == "true"
    assert _by_command(installation) == [0, 0]
    assert Store.open(installation.home).registry.aliases(f"{NAME}.release") == before


def _by_command(installation: Installation) -> list[int]:
    """Do what the page has people type where there is no Airflow; return the exit codes."""
    where = ["--surfaces", str(installation.surfaces), "--home", str(installation.home)]
    console = [block for block in blocks(DOCS / "backfill.md") if block.language == "console"]
    return [main([*found.words, *where]) for block in console for found in examples(block)]


def _files(installation: Installation) -> dict[str, Any]:
    """Return each day's files in the store."""
    found: dict[str, Any] = {}
    for file in delta.files_of(LabelStore(Store.open(installation.home), NAME).path):
        found.setdefault(file.partition["ds"], set()).add(str(file.path))
    return found


def _repeat_a_click(file: Path) -> None:
    rows = pq.read_table(file)
    click = rows.filter(pc.equal(rows["event"], "click")).slice(0, 1)
    pq.write_table(pa.concat_tables([rows, click]), file)
