"""Events of one id count once: the one that was known first, in every build, and whatever is delivered later."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from tasks.errors import DataError
from tasks.labels import build as labels
from tasks.labels.compile import labels_script
from tasks.labels.explain import explain
from tasks.labels.store import LabelStore
from tasks.stores import delta
from tasks.validation.measure import measure
from tests.feeds.days_of_logs import Logs, at, event
from tests.labels.reference import Reference, Row
from tests.labels.test_build import fresh, stored

SPENDS = {"value": 2.0, "event_id": "one"}


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    """A random log in which every event has an id of its own."""
    logs = Logs.random(tmp_path, seed=4)
    for n, row in enumerate(logs.events):
        row["event_id"] = f"e{n}"
    return logs


def copies(events: list[Row], seed: int) -> list[Row]:
    """Return copies of half of the events that are known later: some equal, some of another day or value."""
    dice, found = Random(seed), list[Row]()  # noqa: S311 - test data
    for row in events:
        known = max(row["happened_at"], row["ingested_at"] or row["happened_at"])
        later = known + timedelta(hours=dice.randrange(1, 60))
        other = {"happened_at": row["happened_at"] - timedelta(hours=dice.randrange(50)), "value": 9.0}
        if dice.random() < 0.5:
            found.append({**row, **(other if dice.random() < 0.5 else {}), "ingested_at": later})
    return found


@pytest.mark.parametrize("seed", range(3))
def test_copies_that_are_known_later_change_no_label_of_a_build_or_of_one_that_goes_on(
    logs: Logs, seed: int
) -> None:
    once = list(logs.events)
    logs.events = [*copies(once, seed), *once]
    workspace = logs.write()
    for as_of in (at(5.5), at(8.5)):
        built = labels.run(workspace, as_of=as_of)
        reference = Reference(workspace.contracts.tasks, logs.impressions, once, as_of)
        assert stored(workspace, built.snapshot) == reference.labels()
        assert built.snapshot == fresh(logs, as_of)


def test_a_log_that_is_delivered_twice_has_the_same_labels_and_counts_what_it_repeats(logs: Logs) -> None:
    labels.run(logs.write(), as_of=at(8.5))
    once = list(logs.events)
    logs.events = [*once, *({**row, "ingested_at": at(14.5)} for row in once)]
    after = labels.run(logs.write(), as_of=at(15))
    reference = Reference(logs.write().contracts.tasks, logs.impressions, once, at(15))
    assert stored(logs.write(), after.snapshot) == reference.labels()
    assert (after.counts["events"]["kept"], after.counts["events"]["repeated"]) == (len(once), len(once))


def test_an_event_of_the_same_id_and_other_content_is_in_quarantine_and_counts_for_nothing(
    tmp_path: Path,
) -> None:
    first = event("buy", at(2.1), **SPENDS)
    logs = Logs(tmp_path, [_shown(at(2))], [first, {**first, "value": 7.0, "ingested_at": at(3)}, first])
    built = labels.run(logs.write(), as_of=at(8))
    assert (built.quarantined["conflicting_event"], built.counts["events"]["repeated"]) == (1, 1)
    assert stored(logs.write(), built.snapshot)["r0", 1]["spend"].value == 2.0
    (row,) = delta.read(logs.write().quarantine, ["table", "rule", "row"]).to_pylist()
    assert (row["table"], row["rule"]) == ("events", "conflicting_event")
    assert '"value":7.0' in row["row"]


def test_events_without_an_id_all_count(tmp_path: Path) -> None:
    bought = event("buy", at(2.1), value=2.0)
    logs = Logs(
        tmp_path, [_shown(at(2))], [{**bought, "event_id": None}, bought, event("buy", at(2.2), **SPENDS)]
    )
    built = labels.run(logs.write(), as_of=at(8))
    assert stored(logs.write(), built.snapshot)["r0", 1]["spend"].value == 6.0


def test_explanation_script_and_validation_count_one_event_an_id(tmp_path: Path) -> None:
    """The copy lies on another day, which the days around the impression do not reach."""
    first = event("buy", at(2.1), **SPENDS)
    logs = Logs(tmp_path, [_shown(at(2)), _shown(at(7), "r1")], [first, {**first, "happened_at": at(7.1)}])
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(9))
    for request, spend in (("r0", 2.0), ("r1", 0.0)):
        told = explain(workspace, impression=f"{request}/1")
        assert told.agrees
        assert (told.tasks["spend"]["value"], stored(workspace, built.snapshot)[request, 1]["spend"].value) == (
            spend, spend,
        )  # fmt: skip
    frame = measure(workspace, LabelStore(workspace.store, workspace.surface).snapshot(built.snapshot))[
        "events"
    ]
    assert frame[frame["statistic"] == "rows"]["rows"].sum() == 1


def test_a_surface_that_maps_the_id_needs_it_and_prints_sql_that_counts_each_once(tmp_path: Path) -> None:
    logs = Logs(tmp_path, [_shown(at(2))], [event("buy", at(2.1))])
    workspace = logs.write()
    file = workspace.surfaces / workspace.surface / "surface.yaml"
    assert "repeated_events" not in labels_script(workspace.contracts)
    file.write_text(file.read_text() + "columns: {event_id: delivery}\n")
    mapped = type(workspace).open(workspace.surface, surfaces=workspace.surfaces, home=workspace.home)
    with pytest.raises(DataError, match="'delivery'"):
        labels.run(mapped, as_of=at(8))
    assert "repeated_events" in labels_script(mapped.contracts, "bigquery")


def _shown(when: object, request: str = "r0") -> Row:
    return {
        "request_id": request, "user_id": "u0", "item_id": 1, "shown_at": when,
        "position": 1, "visible": True, "kind": "x",
    }  # fmt: skip
