"""What steps read of the log: nothing later than the as-of, and labels only of what was shown."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_series_equal

from tasks.errors import DataError
from tasks.labels.store import LabelStore
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.replay.logged_candidates import (
    cut_requests,
    labelled_candidates,
    newest_candidates,
    reading_spans,
)
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import AS_OF, BINARY, FIRST, NAME, TASKS, Retrained

DAY = timedelta(days=1)


def test_the_newest_traffic_is_that_of_the_last_day_before_the_instant(second_retrain: Retrained) -> None:
    at_noon = AS_OF - DAY / 2
    newest = newest_candidates(second_retrain.workspace, as_of=at_noon)
    assert newest["shown_at"].min() >= AS_OF - DAY
    assert newest["shown_at"].max() < at_noon


def test_the_newest_traffic_holds_what_was_scored_and_not_shown(second_retrain: Retrained) -> None:
    newest = newest_candidates(second_retrain.workspace, as_of=AS_OF)
    per_request = newest.groupby("request_id")["shown"].agg(["size", "sum"])
    assert set(per_request["size"]) == {40}
    assert set(per_request["sum"]) == {12}


def test_before_the_first_request_there_is_nothing_to_shadow_on(second_retrain: Retrained) -> None:
    with pytest.raises(DataError, match="No traffic before 2026-01-01T00:00:00Z"):
        newest_candidates(second_retrain.workspace, as_of=FIRST)


def test_a_candidate_that_was_not_shown_has_no_label(first_retrain: Retrained) -> None:
    workspace = first_retrain.workspace
    day = FIRST.date() + 30 * DAY
    frame = labelled_candidates(workspace, snapshot=_snapshot(workspace), first_day=day, last_day=day)
    assert frame.loc[~frame["shown"], list(TASKS)].isna().all(axis=None)
    assert frame.loc[frame["shown"], "hide_2d"].notna().all()


def test_labels_of_shown_candidates_are_the_stores(first_retrain: Retrained) -> None:
    workspace = first_retrain.workspace
    first, last = (FIRST.date() + day * DAY for day in (30, 31))
    frame = labelled_candidates(workspace, snapshot=_snapshot(workspace), first_day=first, last_day=last)
    store = LabelStore(workspace.store, NAME)
    stored = (
        store.snapshot(_snapshot(workspace)).read(list(BINARY), first_day=first, last_day=last).to_pandas()
    )
    for task in BINARY:
        assert frame[task].sum() == stored[task].sum() > 0
        assert frame[task].notna().sum() == stored[task].notna().sum()


def test_candidates_without_positions_have_those_of_their_impressions(
    first_retrain: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, day = first_retrain.workspace, FIRST.date() + 30 * DAY
    logged = labelled_candidates(workspace, snapshot=_snapshot(workspace), first_day=day, last_day=day)
    read = LogTables.read

    def without_positions(log: LogTables, table: str, *args: Any, **kwargs: Any) -> pa.Table:
        return read(log, table, *args, **kwargs).drop_columns(["position"])

    monkeypatch.setattr(LogTables, "read", without_positions)
    joined = labelled_candidates(workspace, snapshot=_snapshot(workspace), first_day=day, last_day=day)
    assert logged["position"].notna().any()
    assert_series_equal(joined["position"], logged["position"], check_dtype=False)


def test_without_a_table_of_candidates_they_are_the_impressions(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    store = LabelStore(workspace.store, workspace.surface)
    last = store.snapshot(snapshot).last_day
    frame = labelled_candidates(workspace, snapshot=snapshot, first_day=last, last_day=last)
    assert len(frame) == store.snapshot(snapshot).read(["item_id"], first_day=last).num_rows
    assert "shown" not in frame
    assert {"price", "click_1d"} <= set(frame.columns)
    assert [name for name in frame.columns if "__" in name] == ["back_2d__status"]


def _snapshot(workspace: Workspace) -> str:
    return workspace.releases.manifest(1).snapshot.id


@pytest.mark.parametrize(
    ("requests", "most", "parts"),
    [
        ("aabbcc", 2, [(0, 2), (2, 2), (4, 2)]),
        ("aaabcc", 2, [(0, 3), (3, 1), (4, 2)]),
        ("aaaaab", 2, [(0, 5), (5, 1)]),
        ("aabbcc", 100, [(0, 6)]),
        ("abab", 1, [(0, 4)]),  # rows of a request that do not follow each other stay in one part
        ("", 2, []),
    ],
)
def test_parts_hold_whole_requests(requests: str, most: int, parts: list[tuple[int, int]]) -> None:
    table = pa.table({"request_id": pa.array([*requests], pa.string())})
    assert [*cut_requests(table, most)] == parts


def test_days_are_read_one_by_one_unless_a_request_lies_on_two(mini_world: Path, tmp_path: Path) -> None:
    days = [FIRST.date(), FIRST.date() + DAY]
    home, surfaces = tmp_path / "home", mini.write_contracts(tmp_path / "surfaces")
    for table in ("impressions", "candidates", "events"):
        (home / "logs" / NAME / table).mkdir(parents=True)
        for file in sorted((mini_world / table).glob("*.parquet"))[:2]:
            pq.write_table(pq.read_table(file), home / "logs" / NAME / table / file.name)
    workspace = Workspace.open(NAME, surfaces=surfaces, home=home)

    def spans() -> list[tuple[date, date]]:
        with open_log(workspace) as log:
            return reading_spans(log, AS_OF, (days[0], days[1]))

    assert spans() == [(day, day) for day in days]
    first = min((home / "logs" / NAME / "candidates").glob("*.parquet"))
    rows = pq.read_table(first)
    times = rows["shown_at"].to_pylist()
    place = rows.schema.get_field_index("shown_at")
    moved = pa.array([times[0] + DAY, *times[1:]], rows.schema.field(place).type)
    pq.write_table(rows.set_column(place, "shown_at", moved), first)
    assert spans() == [(days[0], days[1])]
