"""Retrains and labels by hand, as the real parts run them."""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from tasks.labels.store import LabelStore
from tasks.stores.store import Store
from tasks.stores.workspace import format_instant
from tests.e2e.installation import Installation
from tests.feeds.mini import AS_OF, LATER, NAME

WORKFLOWS = ("labels", "retrain", "retrain_slow")
LABELS, RETRAIN, SLOW = (f"{NAME}__{workflow}" for workflow in WORKFLOWS)


def test_dags_come_paused_miss_no_interval_later_and_run_once_at_a_time(installation: Installation) -> None:
    admin = installation.airflow()
    for workflow in WORKFLOWS:
        dag = f"{NAME}__{workflow}"
        installation.until(partial(admin.knows, dag), f"{dag} is parsed")
        found = admin.dag(dag)
        assert (found["catchup"], found["max_active_runs"]) == (False, 1)
    assert admin.dag(SLOW)["is_paused"]  # the one that no test has switched on by now


def test_a_retrain_waits_without_a_slot_for_its_log_and_ends_beside_a_labels_run(
    installation: Installation,
) -> None:
    as_of = format_instant(LATER)
    installation.withhold()
    installation.ready(RETRAIN)
    retrain = json.loads(installation.type("schedule.md", "home_feed__retrain/dagRuns"))["dag_run_id"]
    installation.wait_for_step(RETRAIN, retrain, "arrival", "up_for_reschedule")
    _check_slow_one_waits(installation)
    installation.deliver()
    built = installation.run(LABELS, {"as_of": as_of})
    _check_labels_note(installation.succeed(LABELS, built)["note"], as_of)
    ended = installation.succeed(RETRAIN, retrain)
    result = installation.airflow().result
    assert result(LABELS, built, "labels")["snapshot"] == result(RETRAIN, retrain, "labels")["snapshot"]
    _check_store(installation)
    release = result(RETRAIN, retrain, "release")
    assert list(_words(ended["note"])) == [
        (f"**{result(RETRAIN, retrain, 'gate')['verdict'].title()}**", "experiments"),
        (f"release {release['version']}", f"models/{NAME}.release/versions/{release['version']}"),
        (f"snapshot {result(RETRAIN, retrain, 'labels')['snapshot']}", "experiments"),
        (f"as of {as_of}", None),
    ]
    assert installation.layout.mlflow_url in ended["note"]


def test_a_person_s_note_stays_below_ours(installation: Installation) -> None:
    ready = installation.ready(LABELS)
    asked = {"as_of": "2026-01-20T00:00:00Z", "first_day": "2026-03-01", "last_day": "2026-02-01"}
    run = installation.airflow("ana").trigger(ready, asked, note="Before the holidays.")
    ended = installation.wait(LABELS, run)
    assert ended["state"] == "failed"
    ours, _, theirs = ended["note"].partition("\n\n---\n\n")
    assert ours.startswith("**Failed** at labels: `ContractError: last_day 2026-02-01 lies before first_day")
    assert theirs == "Before the holidays."


def _check_slow_one_waits(installation: Installation) -> None:
    """Its own log is there, up to an earlier as-of: it waits for the retrain that runs."""
    slow = installation.run(SLOW, {"as_of": format_instant(AS_OF)})
    waiting = installation.wait_for_step(SLOW, slow, "arrival", "up_for_reschedule", "success", "failed")
    assert waiting["state"] == "up_for_reschedule"
    installation.airflow().give_up(SLOW, "It has shown that it waits.")


def _check_labels_note(note: str, as_of: str) -> None:
    (snapshot, _), (written, _) = _words(note)
    assert re.fullmatch(r"snapshot \w+ published", snapshot)
    assert re.fullmatch(rf"\d+ days written, as of {as_of}", written)


def _check_store(installation: Installation) -> None:
    """The two runs built the same days once: every row of the log is there, and no other."""
    last = LabelStore(Store.open(installation.home), NAME).last()
    assert last is not None
    shown = {str(day): total.rows for day, total in last.build().impressions.items()}
    assert {str(day): stored.rows for day, stored in last.build().days.items()} == shown


def _words(note: str) -> Iterator[tuple[str, Any]]:
    """Yield the note's words, each with the place in MLflow that it leads to."""
    for part in note.split(" · "):
        found = re.fullmatch(r"\[(.*)\]\(\S+/#/(experiments|models/\S+)(?:/\S*)?\)", part)
        yield (found[1], found[2]) if found else (part, None)
