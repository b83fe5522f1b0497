"""One impression's labels are told in words that agree with the snapshot, and say where the log has changed."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import DataError
from tasks.labels import build as labels
from tasks.labels.explain import ExplainResult, explain, find_shown_at
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels.reference import Row
from tests.logs import small_log
from tests.logs.small_log import Shop, impressions, instants

TASKS = """
contract: days-of-logs
version: 1
tasks:
  click: {family: engagement, positive: {event: click, within: PT30M}, maturity: PT1H}
  seen: {family: engagement, positive: {event: click, within: PT30M}, observed_when: {column: visible}}
  buy: {family: conversion, positive: {event: buy, within: P1D, credit: last_touch}}
  back: {family: negative, positive: {event: back, within: P2D, after: buy}}
  stocked:
    family: conversion
    positive: {event: buy, within: P1D}
    exclude: [{event: stock_out, on: item, before_positive: true}]
  always: {family: conversion, positive: {event: buy, within: P1D}, exclude: [{event: stock_out, on: item}]}
  visits: {family: engagement, positive: {event: [open, look], within: P1D, at_least: 2}}
  happy:
    family: satisfaction
    positive: {event: survey, within: P1D, value_at_least: 4}
    observed_when: {event: [survey, poll]}
  watch:
    family: engagement
    kind: value
    value: {event: watch, within: P1D, aggregate: sum, clip: [0, 60]}
  longest: {family: engagement, kind: value, value: {event: watch, within: P1D, aggregate: max}}
  looks: {family: engagement, kind: value, value: {event: look, within: P1D, aggregate: count}}
  kept: {family: satisfaction, compose: {all_of: [buy], none_of: [back]}}
  met: {family: satisfaction, positive: {event: click, within: P1D, until: due}, maturity: PT25H}
  settled: {family: satisfaction, compose: {all_of: [always]}}
"""
WINDOW = "in the window 10:00:00 to 2024-03-03 10:00:00"
Told = Callable[[str, str], str]


def hours(day: int, hour: float) -> float:
    return day + hour / 24


def shown(request: str, when: float, **more: Any) -> Row:
    """Show item 1 to u0."""
    row = {"request_id": request, "user_id": "u0", "item_id": 1, "shown_at": at(when), "position": 1}
    row["due"] = at(when + 0.5)
    return {**row, "visible": True, "kind": "x", **more}


def on_the_second(name: str, hour: float, **more: Any) -> Row:
    return event(name, at(hours(2, hour)), **more)


OUT = on_the_second("stock_out", 12, user_id=None)
STORIES: dict[str, list[Row]] = {
    "clicked": [on_the_second("click", 10.2)],
    "clicked late": [on_the_second("click", 10.5)],
    "arrived late": [on_the_second("click", 10.25, ingested_at=at(hours(3, 1)))],
    "opened": [on_the_second("open", 11)],
    "opened and looked": [on_the_second("open", 11), on_the_second("look", 12)],
    "unhappy": [on_the_second("survey", 11, value=3.0)],
    "happy": [on_the_second("survey", 11, value=5.0)],
    "polled": [on_the_second("poll", 11)],
    "returned": [on_the_second("buy", 11), event("back", at(hours(3, 9)))],
    "bought, then out": [on_the_second("buy", 11), OUT],
    "out": [OUT],
    "watched": [on_the_second("watch", h, value=v) for h, v in ((11, 50.0), (12, 25.5), (13, None))],
    "nothing": [],
}
"""What happened to the one impression of a request, which is shown on the second at ten."""


def built(
    folder: Path, impressions: Sequence[Row], events: Sequence[Row] = (), as_of: float = 12
) -> Workspace:
    """Write a log, which needs an event that fills every column, and label it."""
    strange = event("wave", at(1), user_id="stranger", value=0.0, kind="x", request_id="r", ingested_at=at(1))
    workspace = Logs(folder, list(impressions), [strange, *events], TASKS).write()
    labels.run(workspace, as_of=at(as_of))
    return workspace


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Tell a task of a story in words; every story has a user and an item of its own."""
    impressions = [
        shown(name, hours(2, 10), user_id=name, item_id=n, visible=name != "nothing")
        for n, name in enumerate(STORIES)
    ]
    events = [
        {**one, "item_id": n, "user_id": one["user_id"] and name}
        for n, (name, of_story) in enumerate(STORIES.items())
        for one in of_story
    ]
    workspace = built(tmp_path_factory.mktemp("told"), impressions, events)

    @functools.cache
    def explained(name: str) -> ExplainResult:
        return explain(workspace, impression=f"{name}/{list(STORIES).index(name)}")

    def of_task(task: str, name: str) -> str:
        assert explained(name).agrees
        return str(explained(name).tasks[task]["words"])

    return of_task


def words(workspace: Workspace, task: str, impression: str = "r/1") -> str:
    found = explain(workspace, impression=impression)
    assert found.agrees
    return str(found.tasks[task]["words"])


# -- positive tasks


def test_a_positive_names_the_event_the_window_and_when_it_was_known(told: Told) -> None:
    assert told("click", "clicked") == (
        "1. Shown 10:00:00; the click at 10:12:00 lies in the window 10:00:00 to 10:30:00. Known since 11:00:00."
    )


def test_a_negative_says_that_nothing_lies_in_the_window(told: Told) -> None:
    assert told("click", "clicked late") == (
        "0. Shown 10:00:00; no click in the window 10:00:00 to 10:30:00. Known since 11:00:00."
    )


def test_an_event_that_arrived_after_the_maturity_is_told(told: Told) -> None:
    assert told("click", "arrived late") == (
        "1. Shown 10:00:00; the click at 10:15:00 lies in the window 10:00:00 to 10:30:00. It arrived at "
        "2024-03-03 01:00:00: a snapshot as of an earlier instant differs. Known since 11:00:00."
    )


def test_fewer_events_than_needed_are_counted_and_the_nth_is_named(told: Told) -> None:
    assert f"only 1 open or look of the 2 needed {WINDOW}." in told("visits", "opened")
    assert f"the 2nd look at 12:00:00 lies {WINDOW}." in told("visits", "opened and looked")


def test_a_value_is_told_with_the_least_that_counts(told: Told) -> None:
    assert told("happy", "unhappy") == (
        f"0. Shown 10:00:00; no survey that counts {WINDOW}. The survey at 11:00:00 has the value 3; the least "
        "that counts is 4. Known since 2024-03-03 10:00:00."
    )
    assert "; the survey of value 5 at 11:00:00 lies in the window" in told("happy", "happy")


def test_an_event_that_was_credited_to_another_impression_names_it(tmp_path: Path) -> None:
    twice = [shown("r", hours(2, 10)), shown("s", hours(2, 20))]
    workspace = built(tmp_path, twice, [on_the_second("buy", 21)])
    assert words(workspace, "buy") == (
        f"0. Shown 10:00:00; no buy of its own {WINDOW}. The buy at 21:00:00 lies in it and is credited to s/1, "
        "shown 20:00:00: the last whose window holds it. Known since 2024-03-03 10:00:00."
    )
    (elsewhere,) = explain(workspace, impression="r/1").tasks["buy"]["credited_elsewhere"]
    winner = {"request_id": "s", "item_id": 1, "shown_at": "2024-03-02T20:00:00Z"}
    assert elsewhere["credited_to"] == winner
    assert words(workspace, "buy", "s/1").startswith(
        "1. Shown 20:00:00; the buy at 21:00:00 lies in the window"
    )


# -- conditional on others


def test_a_childs_window_opens_at_its_parents_event(told: Told) -> None:
    assert told("back", "returned") == (
        "1. The window opens just after the event of buy, 11:00:00; the back at 2024-03-03 09:00:00 lies in the "
        "window 11:00:00 to 2024-03-04 11:00:00. Known since 2024-03-05 10:00:00."
    )


def test_a_child_without_a_positive_parent_is_not_applicable(told: Told) -> None:
    assert told("back", "nothing") == "not applicable. It is learned where buy is positive, and buy is 0."


def test_what_was_not_on_screen_is_not_applicable(told: Told) -> None:
    assert told("seen", "nothing") == (
        "not applicable. It is observed where visible is true, and here that is false."
    )


def test_what_cannot_be_matched_is_not_applicable(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("r", 2, user_id=None, visible=None), shown("s", 2)])
    assert (
        words(workspace, "click")
        == "not applicable. Its user_id is null, so no event can be matched with it."
    )


def test_a_window_that_ends_at_a_deadline_is_known_then(told: Told) -> None:
    window = "lies in the window 10:00:00 to 22:00:00. Known since 23:00:00."
    assert told("met", "clicked") == f"1. Shown 10:00:00; the click at 10:12:00 {window}"


def test_a_deadline_outside_its_window_is_told(tmp_path: Path) -> None:
    deadlines = {"none": None, "past": at(2.4), "far": at(4)}
    rows = [shown(name, 2.5, item_id=n, due=due) for n, (name, due) in enumerate(deadlines.items())]
    workspace = built(tmp_path, [*rows, shown("s", 2, item_id=9)])
    said = [words(workspace, "met", f"{name}/{n}") for n, name in enumerate(deadlines)]
    assert said[0] == "not applicable. Its window ends at due, which is null."
    assert said[1].startswith("not applicable. Its window ends at due, 09:36:00, which does not lie after")
    assert said[2].endswith(
        "2024-03-04 00:00:00, which does not lie after its opening and at most 1 day later."
    )


def test_without_an_answer_there_is_no_label(told: Told) -> None:
    assert told("happy", "nothing") == (
        "not applicable. It is observed where there is an answer, and no survey or poll was credited to it "
        f"{WINDOW}."
    )
    assert "The poll at 11:00:00 is its answer." in told("happy", "polled")


# -- exclusions


def test_an_exclusion_says_what_it_matched_and_what_the_label_would_have_been(told: Told) -> None:
    item = list(STORIES).index("bought, then out")
    assert told("always", "bought, then out") == (
        f"excluded. The stock_out at 12:00:00 (item_id {item}) lies {WINDOW} and takes the row out, whatever its "
        "outcome. The buy at 11:00:00 would have made it 1."
    )


def test_before_positive_takes_out_what_was_not_positive_before(told: Told) -> None:
    assert told("stocked", "out").endswith("takes the row out, as nothing had made it positive before.")
    spared = "The stock_out at 12:00:00 did not come before it and takes nothing out."
    assert spared in told("stocked", "bought, then out")


# -- values and composites


def test_a_value_tells_its_events_their_sum_and_the_clip(told: Told) -> None:
    shown, known = f"Shown 10:00:00; {WINDOW}", "Known since 2024-03-03 10:00:00."
    assert (
        told("watch", "watched") == f"60. {shown} the sum of 3 watch events is 75.5, clipped to 60. {known}"
    )
    assert told("longest", "watched") == f"50. {shown} the max of 3 watch events is 50. {known}"
    assert told("looks", "opened and looked") == f"1. {shown} the count of look events is 1. {known}"


def test_no_event_is_zero_for_a_sum_and_no_label_for_a_max(told: Told) -> None:
    assert "there is no watch. Known since" in told("watch", "nothing")
    assert told("longest", "nothing") == (
        f"not applicable. No watch with a value was credited to it {WINDOW}, and there is no max of none."
    )


def test_a_composite_tells_its_parts(told: Told) -> None:
    assert told("kept", "nothing") == (
        "0. buy is 0; back counts as 0, since its parent is 0. Known since 2024-03-05 10:00:00."
    )
    assert told("settled", "out") == "not applicable. always is excluded and not known."


# -- the impression and the snapshot


def test_the_answer_is_plain_json_with_instants_in_iso(tmp_path: Path) -> None:
    click = on_the_second("click", 10.25, kind="x")
    workspace = built(tmp_path, [shown("r", hours(2, 10))], [click])
    found = json.loads(json.dumps(asdict(explain(workspace, impression="r/1"))))
    assert (found["shown_at"], found["as_of"]) == ("2024-03-02T10:00:00Z", "2024-03-12T00:00:00Z")
    assert found["tasks"]["click"]["window"] == {
        "opens": "2024-03-02T10:00:00Z", "closes": "2024-03-02T10:30:00Z"
    }  # fmt: skip
    assert found["tasks"]["click"]["crediting"] == {
        "event": "click", "happened_at": "2024-03-02T10:15:00Z", "value": None, "ingested_at": None,
        "columns": {"user_id": "u0", "item_id": 1, "kind": "x"}, "counts": True, "credited_to": None,
    }  # fmt: skip
    assert found["tasks"]["kept"]["parts"]["buy"] == {"known": 0, "value": 0, "status": "observed"}
    assert found["tasks"]["back"]["cause"] == {"kind": "parent", "of": "buy"}


def test_the_text_fits_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built(tmp_path, [shown("r", hours(2, 10)), shown("s", hours(2, 20))], [on_the_second("buy", 21)])
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    assert main(["labels", "explain", NAME, "--impression", "r/1", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "request r, item 1: shown 2024-03-02 10:00:00 to u0"
    assert lines[1].endswith("as of 2024-03-12 00:00:00; every time is UTC")
    assert max(map(len, lines)) <= 110


def test_a_request_id_may_hold_slashes(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("a/b/c", hours(2, 10))])
    assert explain(workspace, impression="a/b/c/1").request_id == "a/b/c"


def test_an_older_snapshot_is_explained_as_of_its_own_instant(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("r", hours(2, 10))], [on_the_second("buy", 11)], as_of=2.75)
    older = explain(workspace, impression="r/1").snapshot
    labels.run(workspace, as_of=at(12))
    assert words(workspace, "buy").startswith("1. ")
    assert explain(workspace, impression="r/1", snapshot=older).tasks["buy"]["words"] == (
        "immature. It matures at 2024-03-03 10:00:00, after the snapshot's as-of 18:00:00. "
        f"So far the buy at 11:00:00 lies {WINDOW}."
    )


def test_a_row_and_its_explanation_agree_in_a_store_that_was_kept_up_to_date(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=2)
    for day in (4, 6.5, 9, 10):
        labels.run(logs.write(), as_of=at(day))
    workspace, found = logs.write(), {}
    for row in logs.impressions[:40:5]:
        if row["shown_at"] < at(10):
            found[row["request_id"]] = explain(workspace, impression=f"{row['request_id']}/{row['item_id']}")
    assert len(found) >= 5
    assert all(explained.agrees for explained in found.values())


def test_a_log_that_has_changed_since_is_told(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("r", hours(2, 10))])
    click = on_the_second("click", 10.25)
    Logs(
        tmp_path, [shown("r", hours(2, 10))], [click, {**click, "event": "wave", "value": 0.0}], TASKS
    ).write()
    found = explain(workspace, impression="r/1")
    assert not found.agrees
    assert found.notes[0].startswith(
        "click: the snapshot says 0, and the log now says 1 (by the event at 2024-03-02T10:15:00Z). The log has changed"
    )


def test_a_snapshot_of_another_contract_is_told(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("r", hours(2, 10))])
    file = tmp_path / "surfaces" / NAME / "tasks.yaml"
    file.write_text(TASKS.replace("version: 1", "version: 2").replace("PT30M", "PT40M"), encoding="utf-8")
    found = explain(Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home), impression="r/1")
    (note,) = found.notes
    assert note.startswith("The snapshot was built under another tasks.yaml (digest ")
    assert "version 2" in note


def test_the_duplicates_of_a_repeated_key_are_said_to_be_in_quarantine(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("r", hours(2, 10)), shown("r", hours(2, 12))])
    (note,) = explain(workspace, impression="r/1").notes
    assert note.startswith("Another impression has the same request_id and item_id. This one takes part")
    assert "in quarantine (repeated_key)" in note


# -- what is not there


def refused(workspace: Workspace, impression: str) -> str:
    with pytest.raises(DataError) as raised:
        explain(workspace, impression=impression)
    return str(raised.value)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    impressions = [shown("r-17", 2), shown("r-17", 2, item_id=2), shown("r-18", 2), shown("s-99", 11.5)]
    return built(tmp_path_factory.mktemp("missing"), [*impressions, shown("q", 2, item_id=None)], as_of=11)


@pytest.mark.parametrize("impression", ["r-17", "/1", "r-17/"])
def test_an_impression_is_written_as_request_and_item(workspace: Workspace, impression: str) -> None:
    assert "Write REQUEST_ID/ITEM_ID, as in r-17/42" in refused(workspace, impression)


def test_an_item_id_of_another_type_is_named(workspace: Workspace) -> None:
    assert refused(workspace, "r-17/x") == "item_id is a whole number on this surface, and 'x' is not"


def test_an_impression_that_the_log_no_longer_has_is_told_with_its_stored_labels(tmp_path: Path) -> None:
    workspace = built(tmp_path, [shown("r", hours(2, 10)), shown("s", 3)])
    Logs(tmp_path, [shown("s", 3)], [event("wave", at(1))], TASKS).write()
    said = refused(workspace, "r/1")
    assert "(click 0, seen 0, buy 0, back not applicable" in said
    assert said.endswith("no longer in the log: it cannot be explained")


def test_item_ids_may_be_strings_with_slashes(tmp_path: Path) -> None:
    # the log's own writer has whole numbers: the ids are written again as strings
    import pyarrow as pa
    import pyarrow.parquet as pq

    workspace = Logs(tmp_path, [shown("r", 2)], [event("click", at(2.01))], TASKS).write()
    for file in workspace.logs.rglob("*.parquet"):  # type: ignore[union-attr]  # a folder of this machine
        table = pq.read_table(file)
        ids = pa.array([f"films/{n}" for n in table.column("item_id").to_pylist()], pa.string())
        pq.write_table(table.set_column(table.schema.get_field_index("item_id"), "item_id", ids), file)
    labels.run(workspace, as_of=at(12))
    found: ExplainResult = explain(workspace, impression="r/films%2F1")
    assert (found.item_id, found.tasks["click"]["value"]) == ("films/1", 1)


def test_an_unknown_item_is_answered_with_those_of_the_request(workspace: Workspace) -> None:
    assert refused(workspace, "r-17/3").endswith("Items of this request: 1, 2.")


def test_an_unknown_request_is_answered_with_the_nearest(workspace: Workspace) -> None:
    assert refused(workspace, "r-19/1").endswith("the nearest: r-17, r-18.")


def test_an_impression_after_the_as_of_is_said_to_be_later(workspace: Workspace) -> None:
    assert "shown 2024-03-11T12:00:00Z: not before the as-of, 2024-03-11T00:00:00Z" in refused(
        workspace, "s-99/1"
    )


def test_an_impression_without_its_key_is_said_to_be_in_quarantine(workspace: Workspace) -> None:
    assert refused(workspace, "q/1").endswith(
        "without item_id is in quarantine (no_key): request_id, item_id or shown_at is null."
    )


def test_every_instant_of_a_key_is_found_whatever_the_as_of(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(shown_at=instants(700, 0, 1, 1, 30, 30)).slice(0, 1))
    with shop.opened() as log:
        assert find_shown_at(log, {"request_id": "q", "item_id": 1}) == [small_log.at(0), small_log.at(700)]
        assert find_shown_at(log, {"request_id": "q", "item_id": 9}) == []
