"""A retrain that nobody started: its schedule is due, it passes, proposes its release, and nobody answers."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.stores.audit import Kind
from tasks.stores.store import Store
from tasks.stores.workspace import format_instant
from tests.e2e.installation import PATIENCE, Installation
from tests.feeds.timed_feed import NAME

pytestmark = pytest.mark.xdist_group("own_surfaces")
RETRAIN, PROMOTE = f"{NAME}__retrain", f"{NAME}__promote"


@pytest.fixture(scope="module")
def midnight(installation: Installation) -> datetime:
    """Where the interval ended that was due when the retrain was switched on."""
    installation.ready(PROMOTE)
    installation.ready(RETRAIN)
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module")
def retrained(installation: Installation, midnight: datetime) -> dict[str, Any]:
    """The retrain that its timer started, ended."""
    runs = installation.until(lambda: installation.airflow().runs(RETRAIN), "the timer has started a retrain")
    return installation.succeed(RETRAIN, runs[-1]["dag_run_id"], patience=2 * PATIENCE)


@pytest.fixture(scope="module")
def proposed(installation: Installation, retrained: dict[str, Any]) -> dict[str, Any]:
    """The promotion that the retrain started, ended."""
    (run,) = installation.until(lambda: installation.airflow().runs(PROMOTE), "a promotion was proposed")
    return installation.wait(PROMOTE, run["dag_run_id"])


def test_the_timer_starts_one_retrain_as_of_the_end_of_the_interval_that_was_due(
    installation: Installation, retrained: dict[str, Any], midnight: datetime
) -> None:
    """Of the years since the schedule's first day one interval is made up for, the last: no catch-up."""
    assert [run["run_type"] for run in installation.airflow().runs(RETRAIN)] == ["scheduled"]
    assert datetime.fromisoformat(retrained["data_interval_end"]) == midnight
    released = installation.airflow().result(RETRAIN, retrained["dag_run_id"], "release")
    assert released["as_of"] == format_instant(midnight)
    assert not released["backfilled"]
    assert retrained["note"].endswith(f" · as of {format_instant(midnight)}")


def test_the_retrain_trains_a_trunk_beside_the_trees_and_the_dossier_compares_both(
    installation: Installation, retrained: dict[str, Any]
) -> None:
    steps = installation.airflow().instances(RETRAIN, retrained["dag_run_id"])
    trained = {(one["task_id"], one["rendered_map_index"]): one for one in steps}
    assert trained["train_trunk", "feed"]["end_date"] <= trained["models.calibrate", "hide_2d"]["start_date"]
    page = installation.airflow("eve").open(f"{NAME}/releases/1/dossier").text
    table = page.partition("Trees, shared trunk and their blend")[2].partition("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(?:<strong>)?([^<]+)", row) for row in table.split("<tr>")[2:]]
    assert [row[:3] for row in rows] == [["click_30m", "trunk", "trunk"], ["hide_2d", "blend", "blend"]]
    assert all(re.match(r"[\d.]+ \[", cell) for row in rows for cell in row[3:6])
    assert f"{NAME}.trunk.feed, version 1" in page


def test_a_retrain_that_passes_proposes_its_release_by_itself(
    installation: Installation, retrained: dict[str, Any], proposed: dict[str, Any], midnight: datetime
) -> None:
    judged = installation.airflow().result(RETRAIN, retrained["dag_run_id"], "gate")
    assert (judged["release"], judged["verdict"]) == (1, "promote")
    assert proposed["dag_run_id"] == "proposed__release_1"
    assert proposed["conf"] == {
        "release": "1",
        "why": f"retrained as of {format_instant(midnight)}, and no gate holds it",
    }
    assert "proposed for promotion" in retrained["note"]


def test_what_nobody_answers_for_is_in_the_audit_and_moves_no_alias(
    installation: Installation, proposed: dict[str, Any]
) -> None:
    assert proposed["state"] == "failed"
    assert "Nobody reviewed for " in proposed["note"]
    rows = Store.open(installation.home).audit(NAME).entries()
    assert {(row.kind, row.role, row.by, row.release, row.run) for row in rows} == {
        (Kind.TIME_OUT, role, "nobody", 1, proposed["dag_run_id"]) for role in ("product", "safety")
    }
    assert len(rows) == 2
    assert Store.open(installation.home).registry.aliases(f"{NAME}.release") == {"challenger": 1}
