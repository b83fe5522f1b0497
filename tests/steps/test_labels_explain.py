"""One impression's labels are told in words that agree with the snapshot, and say where the log has changed."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import DataError
from tasks.steps import labels
from tasks.steps.context import Context
from tasks.steps.labels_explain import ExplainResult, explain
from tests.labels.reference import Row
from tests.steps.days_of_logs import NAME, Logs, at, event

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
"""


def shown(request: str, when: float, **more: Any) -> Row:
    """Show item 1 to u0."""
    row = {"request_id": request, "user_id": "u0", "item_id": 1, "shown_at": at(when), "position": 1}
    return {**row, "visible": True, "kind": "x", **more}


def hours(day: int, hour: float) -> float:
    return day + hour / 24


def built(
    folder: Path,
    impressions: Sequence[Row],
    events: Sequence[Row] = (),
    as_of: float = 12,
    tasks: str = TASKS,
) -> Context:
    """Write a log, which needs an event of some kind, and label it."""
    strange = event("wave", at(1), user_id="stranger", value=0.0, kind="x", request_id="r", ingested_at=at(1))
    context = Logs(folder, list(impressions), [strange, *events], tasks).write()
    labels.run(context, as_of=at(as_of))
    return context


def words(context: Context, task: str, impression: str = "r/1") -> str:
    found = explain(context, impression=impression)
    assert found.agrees
    return str(found.tasks[task]["words"])


def told(folder: Path, task: str, *events: Row, as_of: float = 12, **more: Any) -> str:
    """Tell a task of an impression shown on the second at ten."""
    return words(built(folder, [shown("r", hours(2, 10), **more)], events, as_of), task)


# -- positive tasks


def test_a_positive_names_the_event_the_window_and_when_it_was_known(tmp_path: Path) -> None:
    click = event("click", at(hours(2, 10.2083333334)))
    assert told(tmp_path, "click", click).startswith(
        "1. Shown 10:00:00; the click at 10:12:30 lies in the window 10:00:00 to 10:30:00."
    )
    assert words(
        Context.open(NAME, surfaces=tmp_path / "surfaces", home=tmp_path / "home"), "click"
    ).endswith("Known since 11:00:00.")


def test_a_negative_says_that_nothing_lies_in_the_window(tmp_path: Path) -> None:
    assert told(tmp_path, "click", event("click", at(hours(2, 10.5)))) == (
        "0. Shown 10:00:00; no click in the window 10:00:00 to 10:30:00. Known since 11:00:00."
    )


def test_a_label_before_its_maturity_says_when_and_what_lies_in_the_window_so_far(tmp_path: Path) -> None:
    assert told(tmp_path, "buy", event("buy", at(hours(2, 11))), as_of=2.75) == (
        "immature. It matures at 2024-03-03 10:00:00, after the snapshot's as-of 18:00:00. "
        "So far the buy at 11:00:00 lies in the window 10:00:00 to 2024-03-03 10:00:00."
    )


def test_fewer_events_than_needed_are_counted_and_the_nth_is_named(tmp_path: Path) -> None:
    first, second = event("open", at(hours(2, 11))), event("look", at(hours(2, 12)))
    window = "in the window 10:00:00 to 2024-03-03 10:00:00"
    assert f"only 1 open or look of the 2 needed {window}." in told(tmp_path / "one", "visits", first)
    assert f"the 2nd look at 12:00:00 lies {window}." in told(tmp_path / "two", "visits", first, second)


def test_a_value_that_is_too_small_is_told_with_the_bound(tmp_path: Path) -> None:
    survey = event("survey", at(hours(2, 11)), value=3.0)
    assert told(tmp_path, "happy", survey) == (
        "0. Shown 10:00:00; no survey that counts in the window 10:00:00 to 2024-03-03 10:00:00. "
        "The survey at 11:00:00 has the value 3; the least that counts is 4. Known since 2024-03-03 10:00:00."
    )


def test_a_value_that_is_enough_is_told(tmp_path: Path) -> None:
    survey = event("survey", at(hours(2, 11)), value=5.0)
    assert "; the survey of value 5 at 11:00:00 lies in the window" in told(tmp_path, "happy", survey)


def test_an_answer_of_another_name_is_named(tmp_path: Path) -> None:
    assert "The poll at 11:00:00 is its answer." in told(tmp_path, "happy", event("poll", at(hours(2, 11))))


def test_an_event_that_arrived_after_the_maturity_is_told(tmp_path: Path) -> None:
    late = event("click", at(hours(2, 10.25)), ingested_at=at(hours(3, 1)))
    assert told(tmp_path, "click", late) == (
        "1. Shown 10:00:00; the click at 10:15:00 lies in the window 10:00:00 to 10:30:00. It arrived at "
        "2024-03-03 01:00:00: a snapshot as of before then says otherwise. Known since 11:00:00."
    )


def test_an_event_that_was_credited_to_another_impression_names_it(tmp_path: Path) -> None:
    twice = [shown("r", hours(2, 10)), shown("s", hours(2, 20))]
    context = built(tmp_path, twice, [event("buy", at(hours(2, 21)))])
    assert words(context, "buy") == (
        "0. Shown 10:00:00; no buy of its own in the window 10:00:00 to 2024-03-03 10:00:00. "
        "The buy at 21:00:00 lies in it and is credited to s/1, shown 20:00:00: the last whose window holds it. "
        "Known since 2024-03-03 10:00:00."
    )
    (elsewhere,) = explain(context, impression="r/1").tasks["buy"]["credited_elsewhere"]
    assert elsewhere["credited_to"] == {
        "request_id": "s", "item_id": 1, "shown_at": "2024-03-02T20:00:00Z"
    }  # fmt: skip
    assert words(context, "buy", "s/1").startswith(
        "1. Shown 20:00:00; the buy at 21:00:00 lies in the window"
    )


# -- conditional on others


def test_a_childs_window_opens_at_its_parents_event(tmp_path: Path) -> None:
    buy, back = event("buy", at(hours(2, 11))), event("back", at(hours(3, 9)))
    assert told(tmp_path, "back", buy, back) == (
        "1. The window opens just after the event of buy, 11:00:00; the back at 2024-03-03 09:00:00 lies in the "
        "window 11:00:00 to 2024-03-04 11:00:00. Known since 2024-03-05 10:00:00."
    )


def test_a_child_without_a_positive_parent_is_not_applicable(tmp_path: Path) -> None:
    assert told(tmp_path, "back") == "not applicable. It is learned where buy is positive, and buy is 0."


@pytest.mark.parametrize(("visible", "found"), [(False, "false"), (None, "null")])
def test_what_was_not_on_screen_is_not_applicable(tmp_path: Path, visible: bool | None, found: str) -> None:
    impressions = [shown("r", 2, visible=visible), shown("s", 2)]
    assert words(built(tmp_path, impressions), "seen") == (
        f"not applicable. It is observed where visible is true, and here that is {found}."
    )


def test_what_cannot_be_matched_is_not_applicable(tmp_path: Path) -> None:
    impressions = [shown("r", 2, user_id=None), shown("s", 2)]
    assert words(built(tmp_path, impressions), "click") == (
        "not applicable. Its user_id is null, so no event can be matched with it."
    )


def test_without_an_answer_there_is_no_label(tmp_path: Path) -> None:
    assert told(tmp_path, "happy") == (
        "not applicable. It is observed where there is an answer, and no survey or poll was credited to it "
        "in the window 10:00:00 to 2024-03-03 10:00:00."
    )


# -- exclusions


def test_an_exclusion_says_what_it_matched_and_what_the_label_would_have_been(tmp_path: Path) -> None:
    buy = event("buy", at(hours(2, 11)))
    out = event("stock_out", at(hours(2, 12)), user_id=None)
    context = built(tmp_path, [shown("r", hours(2, 10))], [buy, out])
    assert words(context, "always") == (
        "excluded. The stock_out at 12:00:00 (item_id 1) lies in the window 10:00:00 to 2024-03-03 10:00:00 and "
        "takes the row out, whatever its outcome. The buy at 11:00:00 would have made it 1."
    )
    assert "The stock_out at 12:00:00 did not come before it and takes nothing out." in words(
        context, "stocked"
    )


def test_before_positive_takes_out_what_was_not_positive_before(tmp_path: Path) -> None:
    assert told(tmp_path, "stocked", event("stock_out", at(hours(2, 12)), user_id=None)) == (
        "excluded. The stock_out at 12:00:00 (item_id 1) lies in the window 10:00:00 to 2024-03-03 10:00:00 and "
        "takes the row out, as nothing had made it positive before."
    )


# -- values and composites


def test_a_value_tells_its_events_their_sum_and_the_clip(tmp_path: Path) -> None:
    watched = [event("watch", at(hours(2, h)), value=v) for h, v in ((11, 50.0), (12, 25.5), (13, None))]
    context = built(tmp_path, [shown("r", hours(2, 10))], [*watched, event("look", at(hours(2, 14)))])
    window = "Shown 10:00:00; in the window 10:00:00 to 2024-03-03 10:00:00"
    known = "Known since 2024-03-03 10:00:00."
    assert words(context, "watch") == (
        f"60. {window} the sum of 3 watch events is 75.5, clipped to 60. {known}"
    )
    assert words(context, "longest") == f"50. {window} the max of 3 watch events is 50. {known}"
    assert words(context, "looks") == f"1. {window} the count of look events is 1. {known}"


def test_no_event_is_zero_for_a_sum_and_no_label_for_a_max(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", hours(2, 10))])
    assert "there is no watch. Known since" in words(context, "watch")
    assert words(context, "longest") == (
        "not applicable. No watch with a value was credited to it in the window 10:00:00 to "
        "2024-03-03 10:00:00, and there is no max of none."
    )


def test_a_composite_tells_its_parts(tmp_path: Path) -> None:
    assert told(tmp_path / "none", "kept") == (
        "0. buy is 0; back counts as 0, since its parent is 0. Known since 2024-03-05 10:00:00."
    )
    out = [event("buy", at(hours(2, 11))), event("stock_out", at(hours(2, 12)), user_id=None)]
    kept = TASKS.replace("[buy], none_of", "[always], none_of")
    context = built(tmp_path / "out", [shown("r", hours(2, 10))], out, tasks=kept)
    assert words(context, "kept") == "not applicable. always is excluded and not known; back is 0."


# -- the impression and the snapshot


def test_the_answer_is_plain_json_with_instants_in_iso(tmp_path: Path) -> None:
    click = event("click", at(hours(2, 10.25)), kind="x")
    context = built(tmp_path, [shown("r", hours(2, 10))], [click])
    found = json.loads(json.dumps(asdict(explain(context, impression="r/1"))))
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
    built(tmp_path, [shown("r", hours(2, 10)), shown("s", hours(2, 20))], [event("buy", at(hours(2, 21)))])
    where = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(tmp_path / "home")]
    assert main(["labels", "explain", NAME, "--impression", "r/1", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "request r, item 1: shown 2024-03-02 10:00:00 to u0"
    assert lines[1].endswith("as of 2024-03-12 00:00:00; every time is UTC")
    assert max(map(len, lines)) <= 110


def test_a_request_id_may_hold_slashes(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("a/b/c", hours(2, 10))])
    assert explain(context, impression="a/b/c/1").request_id == "a/b/c"


def test_an_older_snapshot_is_explained_as_of_its_own_instant(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", hours(2, 10))], [event("buy", at(hours(2, 11)))], as_of=2.75)
    older = explain(context, impression="r/1").snapshot
    labels.run(context, as_of=at(12))
    assert explain(context, impression="r/1").tasks["buy"]["status"] == "observed"
    assert explain(context, impression="r/1", snapshot=older).tasks["buy"]["status"] == "immature"


def test_a_log_that_has_changed_since_is_told(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", hours(2, 10))])
    click = event("click", at(hours(2, 10.25)))
    Logs(tmp_path, [shown("r", hours(2, 10))], [click, {**click, "event": "wave", "value": 0.0}], TASKS).write()
    found = explain(context, impression="r/1")
    assert not found.agrees
    assert found.notes[0].startswith(
        "click: the snapshot says 0, and the log now says 1 (by the event at 2024-03-02T10:15:00Z). The log has changed"
    )


def test_a_snapshot_of_another_contract_is_told(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", hours(2, 10))])
    file = tmp_path / "surfaces" / NAME / "tasks.yaml"
    file.write_text(TASKS.replace("version: 1", "version: 2").replace("PT30M", "PT40M"), encoding="utf-8")
    found = explain(Context.open(NAME, surfaces=context.surfaces, home=context.home), impression="r/1")
    (note,) = found.notes
    assert note.startswith("The snapshot was built under another tasks.yaml (digest ")
    assert "version 2" in note


def test_the_twins_of_a_repeated_key_are_said_to_be_in_quarantine(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", hours(2, 10)), shown("r", hours(2, 12))])
    (note,) = explain(context, impression="r/1").notes
    assert note.startswith(
        "Another impression has the same request_id and item_id. This is the one that stays"
    )
    assert "in quarantine (repeated_key)" in note


# -- what is not there


def refused(context: Context, impression: str) -> str:
    with pytest.raises(DataError) as raised:
        explain(context, impression=impression)
    return str(raised.value)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    impressions = [shown("r-17", 2), shown("r-17", 2, item_id=2), shown("r-18", 2), shown("s-99", 11.5)]
    return built(tmp_path, impressions, as_of=11)


@pytest.mark.parametrize("impression", ["r-17", "/1", "r-17/"])
def test_an_impression_is_written_as_request_and_item(context: Context, impression: str) -> None:
    assert "Write REQUEST_ID/ITEM_ID, as in r-17/42" in refused(context, impression)


def test_an_item_id_of_another_type_is_named(context: Context) -> None:
    assert refused(context, "r-17/x") == "item_id is a whole number on this surface, and 'x' is none"


def test_an_unknown_item_is_answered_with_those_of_the_request(context: Context) -> None:
    assert refused(context, "r-17/3").endswith("Items of this request: 1, 2.")


def test_an_unknown_request_is_answered_with_the_nearest(context: Context) -> None:
    assert refused(context, "r-19/1").endswith("the nearest: r-17, r-18.")


def test_an_impression_after_the_as_of_is_said_to_be_later(context: Context) -> None:
    assert "shown 2024-03-11T12:00:00Z: not before the as-of, 2024-03-11T00:00:00Z" in refused(
        context, "s-99/1"
    )


def test_an_impression_without_its_key_is_said_to_be_in_quarantine(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", 2), shown("q", 2, item_id=None)])
    assert refused(context, "q/1").endswith(
        "without item_id is in quarantine (no_key): request_id, item_id or shown_at is null."
    )


def test_an_impression_that_the_log_no_longer_has_is_told_with_its_stored_labels(tmp_path: Path) -> None:
    context = built(tmp_path, [shown("r", hours(2, 10)), shown("s", 3)])
    Logs(tmp_path, [shown("s", 3)], [event("wave", at(1))], TASKS).write()
    said = refused(context, "r/1")
    assert "(click 0, seen 0, buy 0, back not applicable" in said
    assert said.endswith("no longer in the log: there is nothing to explain it from")


def test_item_ids_may_be_strings_with_slashes(tmp_path: Path) -> None:
    # the log's own writer has whole numbers: the ids are written again as strings
    import pyarrow as pa
    import pyarrow.parquet as pq

    context = Logs(tmp_path, [shown("r", 2)], [event("click", at(2.01))], TASKS).write()
    for file in context.logs.rglob("*.parquet"):  # type: ignore[union-attr]  # a folder of this machine
        table = pq.read_table(file)
        ids = pa.array([f"films/{n}" for n in table.column("item_id").to_pylist()], pa.string())
        pq.write_table(table.set_column(table.schema.get_field_index("item_id"), "item_id", ids), file)
    labels.run(context, as_of=at(12))
    found: ExplainResult = explain(context, impression="r/films%2F1")
    assert (found.item_id, found.tasks["click"]["value"]) == ("films/1", 1)
