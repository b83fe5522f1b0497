"""Building labels: a store that is kept up to date equals one that is built afresh, and a rerun changes nothing."""

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ContractError, DataError, StoreError
from tasks.labels import build as labels
from tasks.labels.build import Written, count_changed_labels, write_labels
from tasks.labels.compile import compile_days
from tasks.labels.query import Horizon, find_files, find_label_days
from tasks.labels.show import show
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores import delta
from tasks.stores.delta import NewFiles
from tasks.stores.workspace import Workspace, format_instant
from tests.feeds.days_of_logs import DAYS, NAME, Logs, at, day, event
from tests.labels.reference import Label, Reference, Row, arrived
from tests.logs import small_log
from tests.logs.small_log import Shop, impressions
from tests.stores.local_path import local

WRITTEN = (date(2024, 3, 1), date(2024, 3, 2))


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs.random(tmp_path, seed=1)


def store(workspace: Workspace) -> LabelStore:
    return LabelStore(workspace.store, NAME)


def last_build(workspace: Workspace) -> Snapshot:
    last = store(workspace).last()
    assert last is not None
    return last


def fresh(logs: Logs, as_of: datetime) -> str:
    """Return the snapshot of the same log in an empty home."""
    return labels.run(logs.write(home=f"fresh-{as_of:%d-%H}-{Random().random()}"), as_of=as_of).snapshot  # noqa: S311 - a name


def stored(workspace: Workspace, snapshot: str) -> dict[Any, dict[str, Label]]:
    found = store(workspace).snapshot(snapshot)
    tasks = workspace.contracts.tasks.tasks
    columns = ["request_id", "item_id", *(n for t in tasks for n in (t, f"{t}__status", f"{t}__at"))]
    return {
        (row["request_id"], row["item_id"]): {
            t: Label(row[t], row[f"{t}__status"], row[f"{t}__at"]) for t in tasks
        }
        for row in found.read(columns).to_pylist()
    }


def once_a_key(logs: Logs) -> list[Row]:
    return list({(r["request_id"], r["item_id"]): r for r in logs.impressions}.values())


# -- the labels themselves


def test_a_build_stores_the_labels_of_the_contract(logs: Logs) -> None:
    workspace = logs.write()
    built = labels.run(workspace, as_of=at(8.5))
    reference = Reference(workspace.contracts.tasks, logs.impressions, logs.events, at(8.5))
    assert stored(workspace, built.snapshot) == reference.labels()


def test_the_result_is_plain_json_and_accounts_for_every_row(logs: Logs) -> None:
    twin, keyless = dict(logs.impressions[0]), {**logs.impressions[1], "request_id": None}
    logs.impressions += [twin, {**keyless, "shown_at": at(2)}]
    logs.events += [
        event("wave", at(2)),
        event("click", at(2), item_id=99),
        {**event("click", at(2)), "event": None},
    ]
    built = labels.run(logs.write(), as_of=at(DAYS + 1))
    assert json.loads(json.dumps(asdict(built)))["rows"] == built.rows
    impressions, events = built.counts["impressions"], built.counts["events"]
    assert impressions["rows"] == len(logs.impressions)
    assert built.rows == built.rows_written == impressions["kept"]
    assert built.quarantined["no_key"] == built.quarantined["no_event"] == 1
    assert built.quarantined["repeated_key"] >= 1
    assert events["rows"] == events["kept"] + events["future"] + events["not_arrived"] + 1
    assert built.unknown_events == {"wave": 1}
    assert built.as_of == "2024-03-11T00:00:00Z"


def test_every_column_of_the_log_travels_with_the_labels(logs: Logs) -> None:
    workspace = logs.write()
    found = labels.build_snapshot(workspace, as_of=at(5))
    names = delta.schema_of(Path(found.path)).names
    assert names[:8] == ["request_id", "user_id", "item_id", "shown_at", "position", "visible", "kind", "ds"]
    assert names[8:11] == ["click", "click__status", "click__at"]


# -- the end of the log


@pytest.mark.parametrize("seed", range(4))
def test_what_the_log_had_not_brought_is_no_negative(tmp_path: Path, seed: int) -> None:
    """A log that stops, stays behind and is brought in parts; the store is kept up to date all the while."""
    logs, dice = Logs.random(tmp_path, seed), Random(seed)  # noqa: S311 - test data
    logs.within = dice.choice(["PT6H", "P1D", "P2D"])
    within = {"PT6H": timedelta(hours=6), "P1D": timedelta(days=1), "P2D": timedelta(days=2)}[logs.within]
    shown, happened, behind, brought = logs.impressions, logs.events, 0, at(1)
    for as_of in (at(5), at(5.5), at(6.1), at(7), at(8.4), at(11.5), at(30)):
        brought = max(brought, as_of - timedelta(hours=dice.choice([0, 1, 20, 50, 80])))
        logs.impressions = [row for row in shown if row["shown_at"] < brought]
        logs.events = [row for row in happened if row["happened_at"] < brought]
        workspace = logs.write()
        built = labels.run(workspace, as_of=as_of)
        up_to = arrived(logs.impressions, logs.events, as_of, within)
        reference = Reference(workspace.contracts.tasks, logs.impressions, logs.events, as_of, arrived=up_to)
        assert stored(workspace, built.snapshot) == reference.labels()
        assert built.arrived == format_instant(up_to)
        behind += up_to < as_of
    assert behind
    assert built.snapshot == fresh(logs, as_of)


def test_a_build_far_beyond_the_end_of_the_log_says_so_and_makes_no_negative(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    logs.within = "P1D"
    workspace = logs.write()
    before = labels.run(workspace, as_of=at(10.9))
    caplog.clear()
    after = labels.run(workspace, as_of=datetime.now(UTC) - timedelta(minutes=1))
    assert f"the log ends at {after.arrived}, P1D or more before the as-of" in caplog.text
    then, now = (show(workspace, snapshot=x.snapshot).tasks["back"]["immature"] for x in (before, after))
    assert 0 < now <= then


def test_logs_that_have_ended_have_arrived_up_to_their_end_at_most(logs: Logs) -> None:
    logs.within = "P8D"
    workspace = logs.write()
    surface = workspace.surfaces / NAME / "surface.yaml"
    surface.write_text(surface.read_text() + "until: 2024-03-10\n")
    ended = Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home)
    assert [labels.run(ended, as_of=at(t)).arrived for t in (10.5, 11, 13, 500)] == [
        "2024-03-10T12:00:00Z", *["2024-03-11T00:00:00Z"] * 3,
    ]  # fmt: skip


def test_an_as_of_after_now_is_refused_and_nothing_is_built(logs: Logs) -> None:
    workspace = logs.write()
    with pytest.raises(ContractError, match="2126-01-01T00:00:00Z lies in the future: it is 20"):
        labels.run(workspace, as_of=datetime(2126, 1, 1, tzinfo=UTC))
    assert store(workspace).last() is None


# -- the sweep


def test_a_second_build_writes_nothing_and_is_the_same_snapshot(logs: Logs) -> None:
    workspace = logs.write()
    first, second = (labels.run(workspace, as_of=at(8.5)) for _ in range(2))
    assert (second.snapshot, second.partitions_written, second.days) == (first.snapshot, 0, {})
    assert delta.version_of(store(workspace).path) == 0


MET = "  met: {family: satisfaction, positive: {event: click, within: P3D, until: due}}\n"


@pytest.mark.parametrize(("seed", "more"), [*((seed, "") for seed in range(4)), (4, MET)])
def test_a_store_kept_up_to_date_equals_one_built_afresh(tmp_path: Path, seed: int, more: str) -> None:
    """Day after day, with late events, corrected rows and rows that appear in the past."""
    logs, dice = Logs.random(tmp_path, seed), Random(seed)  # noqa: S311 - test data
    logs.tasks += more
    logs.impressions = [
        {**row, "due": row["shown_at"] + timedelta(hours=dice.randrange(-5, 80))} for row in logs.impressions
    ]
    whole = [*logs.impressions]
    logs.impressions = whole[10:]
    written = []
    for step, as_of in enumerate((at(3.5), at(4), at(6.2), at(6.2), at(9), at(14))):
        if step:
            logs.impressions = whole[10 - 2 * step :]
            logs.events = [*logs.events, logs.happened(dice)]
            logs.events[step] = {**logs.events[step], "value": 9.0}
        workspace = logs.write()
        built = labels.run(workspace, as_of=as_of)
        written.append(built.partitions_written)
        if step % 2 == seed % 2 or as_of == at(14):  # every other seed compares the other instants
            assert built.snapshot == fresh(logs, as_of)
    assert sum(written) > DAYS


def test_a_day_later_only_what_changed_is_rewritten(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(7))
    built = labels.run(workspace, as_of=at(8))
    assert {d: r for d, r in built.days.items() if r != "events"} == {
        "2024-03-04": "matured", "2024-03-05": "matured", "2024-03-06": "matured", "2024-03-07": "new",
    }  # fmt: skip


def test_where_nothing_is_new_a_later_as_of_moves_the_snapshot_and_no_file(logs: Logs) -> None:
    workspace = logs.write()
    first = labels.run(workspace, as_of=at(40))
    second = labels.run(workspace, as_of=at(41))
    assert (second.partitions_written, second.digest) == (0, first.digest)
    assert second.snapshot != first.snapshot
    assert second.snapshot == fresh(logs, at(41))
    assert store(workspace).snapshot(first.snapshot).as_of == at(40)


def test_a_late_event_rewrites_the_days_that_it_touches(logs: Logs) -> None:
    """Also where none was late before."""
    logs.events = [{**e, "ingested_at": None} for e in logs.events]
    labels.run(logs.write(), as_of=at(40))
    logs.events.append(event("click", at(5.5), ingested_at=at(40.5)))
    assert labels.run(logs.write(), as_of=at(40)).partitions_written == 0
    built = labels.run(logs.write(), as_of=at(41))
    assert set(built.days.values()) == {"events"}
    assert "2024-03-05" in built.days
    assert "2024-03-09" not in built.days


def test_another_contract_rewrites_every_day(logs: Logs) -> None:
    first = labels.run(logs.write(), as_of=at(40))
    logs.tasks = logs.tasks.replace("version: 1", "version: 2") + (
        "  more: {family: engagement, positive: {event: click, within: P1D}}\n"
    )
    workspace = logs.write()
    second = labels.run(workspace, as_of=at(40))
    assert set(second.days.values()) == {"contract"}
    assert second.snapshot != first.snapshot
    assert "more" in show(workspace).tasks
    assert "more" not in show(workspace, snapshot=first.snapshot).tasks


def test_corrected_features_make_another_snapshot(logs: Logs) -> None:
    first = labels.run(logs.write(), as_of=at(40))
    logs.impressions[3]["kind"] = "z"
    second = labels.run(logs.write(), as_of=at(40))
    assert (set(second.days.values()), second.rows) == ({"log"}, first.rows)
    assert second.snapshot != first.snapshot


def test_a_column_of_another_type_rewrites_every_day(logs: Logs) -> None:
    labels.run(logs.write(), as_of=at(9))
    workspace = logs.write()
    for file in (workspace.logs / NAME / "impressions").iterdir():
        table = pq.read_table(file)
        index = table.schema.get_field_index("position")
        pq.write_table(table.set_column(index, "position", table.column(index).cast("float64")), file)
    built = labels.run(workspace, as_of=at(9))
    assert set(built.days.values()) == {"contract"}
    found = store(workspace).snapshot(built.snapshot)
    assert str(found.read(["position"]).schema.field(0).type) == "double"


def test_a_place_that_is_not_a_number_gives_way_to_one_that_is(logs: Logs) -> None:
    shown = {"user_id": "u0", "item_id": 1, "shown_at": at(2), "visible": True, "kind": "x"}
    logs.impressions = [
        {"request_id": name, "position": place, **shown} for name, place in (("r0", None), ("r1", 1))
    ]
    logs.events = [event("buy", at(2.1))]
    workspace = logs.write()
    for file in (workspace.logs / NAME / "impressions").iterdir():
        table = pq.read_table(file)
        places = [float("nan") if place is None else float(place) for place in table["position"].to_pylist()]
        index = table.schema.get_field_index("position")
        pq.write_table(table.set_column(index, "position", pa.array(places)), file)
    found = stored(workspace, labels.run(workspace, as_of=at(9)).snapshot)
    assert {request: label["buy"].value for (request, _), label in found.items()} == {"r0": 0, "r1": 1}


def test_days_that_the_log_no_longer_has_stay_and_are_told(logs: Logs) -> None:
    logs.impressions = once_a_key(logs)
    workspace = logs.write()
    first = labels.run(workspace, as_of=at(40))
    logs.impressions = [r for r in logs.impressions if r["shown_at"] >= at(4)]
    second = labels.run(logs.write(), as_of=at(40))
    assert second.gone == ["2024-03-01", "2024-03-02", "2024-03-03"]
    assert second.rows == first.rows


def test_days_that_are_left_out_of_the_log_leave_the_labels_as_if_they_had_never_been_there(
    logs: Logs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs.impressions = once_a_key(logs)
    labels.run(logs.write(), as_of=at(40))
    logs.impressions = [r for r in logs.impressions if not at(4) <= r["shown_at"] < at(5)]
    again = labels.run(logs.write(), as_of=at(40))
    anew = labels.run(replace(logs, folder=tmp_path / "anew").write(), as_of=at(40))
    assert (again.gone, again.digest) == (["2024-03-04"], anew.digest)
    assert "left out of the log since the last build, and dropped: 2024-03-04" in caplog.text


# -- confined and past builds


def test_a_build_can_be_confined_to_days_and_the_next_fills_the_rest(logs: Logs) -> None:
    workspace = logs.write()
    part = labels.run(workspace, as_of=at(40), first_day=day(4), last_day=day(5))
    assert set(part.days) == {"2024-03-04", "2024-03-05"}
    whole = labels.run(workspace, as_of=at(40))
    assert whole.partitions_written == DAYS - 2
    assert whole.snapshot == fresh(logs, at(40))


def test_a_confined_build_as_of_the_past_never_goes_back(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(9))
    built = labels.run(workspace, as_of=at(5), first_day=day(4), last_day=day(4))
    assert (built.as_of, built.partitions_written) == ("2024-03-09T00:00:00Z", 0)


def test_what_a_confined_build_leaves_behind_is_caught_up(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(6))
    confined = labels.run(workspace, as_of=at(9), first_day=day(6), last_day=day(9))
    assert min(confined.days) >= "2024-03-06"
    assert confined.snapshot != fresh(logs, at(9))
    caught_up = labels.run(workspace, as_of=at(9))
    assert set(caught_up.days.values()) == {"left behind"}
    assert caught_up.snapshot == fresh(logs, at(9))


def test_a_build_as_of_the_past_is_written_aside(logs: Logs) -> None:
    workspace = logs.write()
    newest = labels.run(workspace, as_of=at(9))
    past, again = (labels.run(workspace, as_of=at(5.5)) for _ in range(2))
    assert past.snapshot == again.snapshot == fresh(logs, at(5.5))
    assert again.partitions_written == 0
    assert last_build(workspace).id == newest.snapshot
    assert "__as_of" in store(workspace).snapshot(past.snapshot).path
    assert stored(workspace, past.snapshot).keys() < stored(workspace, newest.snapshot).keys()


def test_days_without_an_impression_cannot_be_built(logs: Logs) -> None:
    with pytest.raises(DataError, match="nothing was built"):
        labels.run(logs.write(), as_of=at(40), first_day=day(25))


@pytest.mark.parametrize(
    ("as_of", "first", "last", "said"),
    [(datetime(2024, 3, 5), None, None, "no zone"), (at(9), day(5), day(4), "the first lies after the last")],  # noqa: DTZ001 - what is refused
)
def test_a_wrong_instant_or_range_is_refused(
    logs: Logs, as_of: Any, first: Any, last: Any, said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        labels.run(logs.write(), as_of=as_of, first_day=first, last_day=last)


# -- atomic


def test_a_build_that_is_killed_leaves_the_last_snapshot_and_the_next_finishes(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = logs.write()
    first = labels.run(workspace, as_of=at(6))
    before = stored(workspace, first.snapshot)
    with monkeypatch.context() as broken:
        broken.setattr(delta, "commit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            labels.run(workspace, as_of=at(9))
    assert last_build(workspace).id == first.snapshot
    assert stored(workspace, first.snapshot) == before
    assert labels.run(workspace, as_of=at(9)).snapshot == fresh(logs, at(9))


def test_the_second_of_two_builds_is_refused_and_leaves_no_file(logs: Logs) -> None:
    workspace = logs.write()
    labels.run(workspace, as_of=at(6))
    last = last_build(workspace)
    labels.run(workspace, as_of=at(7))
    files = {f.path for f in delta.files_of(store(workspace).path)}
    path, late = store(workspace).path, replace(last.build(), as_of=at(8))
    new = NewFiles([], delta.schema_of(path), "ds")
    with pytest.raises(StoreError, match="run the step again"):
        store(workspace).commit(late, new, replace=["2024-03-01"], path=path, expected=last.version)
    assert {f.path for f in delta.files_of(store(workspace).path)} == files


# -- quarantine


def test_bad_rows_are_kept_once_with_rule_reason_and_as_of(logs: Logs) -> None:
    logs.impressions += [dict(logs.impressions[0]), {**logs.impressions[1], "item_id": None}]
    logs.events += [{**event("click", at(2)), "event": None}] * 2
    workspace = logs.write()
    for as_of in (at(11), at(11), at(12)):
        built = labels.run(workspace, as_of=as_of)
    kept = delta.read(workspace.home / "quarantine" / NAME).to_pylist()
    assert len(kept) == sum(built.quarantined.values())
    assert {row["as_of"] for row in kept} == {at(11).replace(tzinfo=UTC)}
    nameless = [json.loads(row["row"]) for row in kept if row["rule"] == "no_event"]
    assert [row["user_id"] for row in nameless] == ["u0", "u0"]
    assert {row["table"] for row in kept} == {"impressions", "events"}


def test_without_bad_rows_there_is_no_quarantine(logs: Logs) -> None:
    logs.impressions = once_a_key(logs)
    workspace = logs.write()
    labels.run(workspace, as_of=at(11))
    assert delta.version_of(workspace.home / "quarantine" / NAME) is None


def test_hours_of_the_day_do_not_matter_for_the_day_shown(logs: Logs) -> None:
    workspace = logs.write()
    found = labels.build_snapshot(workspace, as_of=at(11))
    table = found.read(["shown_at", "ds"])
    assert all(
        s.astimezone(UTC).date() == d for s, d in zip(*(c.to_pylist() for c in table.columns), strict=True)
    )
    assert timedelta(0) < max(table.column("shown_at").to_pylist()) - min(
        table.column("shown_at").to_pylist()
    )


def write_clicks(file: Path, click: list[int | None], status: list[str]) -> Path:
    rows = {"request_id": ["r"] * 4, "item_id": [1, 2, 3, 4], "click": pa.array(click, pa.int8())}
    pq.write_table(pa.table({**rows, "click__status": status}), file)
    return file


def test_a_label_that_was_observed_counts_when_its_value_or_status_changes(tmp_path: Path) -> None:
    """The first flips, the second is excluded, the third stays, and the fourth was not known before."""
    before = write_clicks(tmp_path / "a.parquet", [0, 1, 1, None], ["observed"] * 3 + ["immature"])
    after = write_clicks(
        tmp_path / "b.parquet", [1, None, 1, 1], ["observed", "excluded", "observed", "observed"]
    )
    changed = count_changed_labels(duckdb.connect(), ["click"], before=[before], after=[after])
    assert changed == {"click": 2}


def test_rows_that_only_one_side_has_are_not_counted(tmp_path: Path) -> None:
    before = write_clicks(tmp_path / "a.parquet", [0, 0, 0, 0], ["observed"] * 4)
    after = tmp_path / "b.parquet"
    pq.write_table(pq.read_table(before).slice(0, 2), after)
    changed = count_changed_labels(duckdb.connect(), ["click"], before=[before], after=[after])
    assert changed == {"click": 0}


def written(shop: Shop, folder: Path, *days: date, as_of: float = 1000) -> Written:
    with shop.opened(as_of) as log:
        wanted, spec = find_label_days(log.contracts.tasks, days), log.contracts.tasks
        query = compile_days(
            log, spec, horizon=Horizon.whole(small_log.at(as_of)), days=wanted, labels_only=True
        )
        return write_labels(log, query, find_files(log, wanted), folder)


def test_each_day_has_its_files_and_no_other(shop: Shop, tmp_path: Path) -> None:
    found = written(shop, tmp_path / "labels", *WRITTEN)
    assert {day: rows for day, (rows, _) in found.days.items()} == {WRITTEN[0]: 4, WRITTEN[1]: 2}
    assert {f.path.parent.name for f in found.files} == {"ds=2024-03-01", "ds=2024-03-02"}
    assert sorted(f.path for f in found.files) == sorted((tmp_path / "labels").rglob("*.parquet"))
    assert all(
        (f.rows, f.size) == (pq.read_metadata(f.path).num_rows, local(f.path).stat().st_size)
        for f in found.files
    )


def test_the_day_lies_in_the_path_and_in_the_columns(shop: Shop, tmp_path: Path) -> None:
    found = written(shop, tmp_path, *WRITTEN)
    names = pq.read_schema(found.files[0].path).names
    assert found.schema.names == [*names[:6], "ds", *names[6:]]
    assert str(found.schema.field("click").type) == "int8"
    assert str(found.schema.field("click__at").type) == "timestamp[us, tz=UTC]"


def test_a_nested_column_travels_with_the_labels(shop: Shop, tmp_path: Path) -> None:
    """Also one of times without a zone, and of pairs: a footer then has more columns than the table."""
    more = {"pair": pa.array([{"a": 1, "b": "x"}] * 6), "bare": pa.array([0] * 6, pa.timestamp("ns"))}
    shop.put("impressions", impressions(**more))
    found = written(shop, tmp_path, *WRITTEN)
    assert {day: rows for day, (rows, _) in found.days.items()} == {WRITTEN[0]: 4, WRITTEN[1]: 2}
    assert found.schema.field("pair").type == pa.struct({"a": pa.int64(), "b": pa.string()})


def test_one_day_is_labelled_as_it_is_among_all(shop: Shop, tmp_path: Path) -> None:
    whole = written(shop, tmp_path / "whole", *WRITTEN)
    for alone_day in WRITTEN:
        alone = written(shop, tmp_path / f"{alone_day}", alone_day)
        assert alone.days == {alone_day: whole.days[alone_day]}


def test_a_second_writing_adds_files_and_changes_none(shop: Shop, tmp_path: Path) -> None:
    first, second = (written(shop, tmp_path, *WRITTEN) for _ in range(2))
    assert first.days == second.days
    assert {f.path for f in first.files}.isdisjoint(f.path for f in second.files)
    assert all(f.path.is_file() for f in (*first.files, *second.files))
