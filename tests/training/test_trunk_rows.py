"""The rows of the tasks that share a trunk, on the small feed: whose labels, on which days, held out how."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.columns import DAY, ITEM_ID, REQUEST_ID, USER_ID
from tasks.contracts.training import Balance, Trunk
from tasks.errors import ContractError, ImmatureLabels
from tasks.stores.workspace import Workspace
from tasks.training import trunk_rows
from tasks.training.draw_examples import draw_training_rows
from tasks.training.inputs import calibrator_inputs, model_inputs, trunk_inputs
from tasks.training.rows import TaskRows
from tasks.training.slices import learning_window
from tasks.training.trunk_rows import SharedRows
from tests.feeds.small_feed import AS_OF, NAME, SURFACE, write_contracts
from tests.training.test_inputs import CONTRACTS, edited

BALANCED = {"half_life": "P3D", "balanced": True}
TASKS = ("click_1d", "buy_2d", "back_2d", "spend_2d")
Feed = tuple[Workspace, str]


def with_trunk(feed: Feed, folder: Path, *, training: Any = None, **trunk: Any) -> SharedRows:
    declared = {"feed": {"tasks": [*TASKS], **trunk}}
    surfaces = write_contracts(folder, surface=f"{SURFACE}training: {training or {}}\ntrunks: {declared}\n")
    workspace = Workspace.open(NAME, surfaces=surfaces, home=feed[0].home)
    return SharedRows.open(workspace, trunk="feed", as_of=AS_OF, snapshot=feed[1])


@pytest.fixture(scope="module")
def rows(labelled_feed: Feed, tmp_path_factory: pytest.TempPathFactory) -> SharedRows:
    return with_trunk(labelled_feed, tmp_path_factory.mktemp("trunk"), ids={"user_id": 4})


def read(rows: SharedRows, folder: Path) -> pa.Table:
    """Return the whole stream as one table, read anew to find the same."""
    tables = rows.stream(folder)
    first, again = (pa.concat_tables(tables()).unify_dictionaries() for _ in range(2))
    pd.testing.assert_frame_equal(first.to_pandas(), again.to_pandas())
    return first


@pytest.fixture(scope="module")
def table(rows: SharedRows, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return read(rows, tmp_path_factory.mktemp("drawn"))


def test_no_label_tells_of_the_days_on_which_any_task_is_calibrated(
    labelled_feed: Feed, rows: SharedRows
) -> None:
    workspace, snapshot = labelled_feed
    alone = [TaskRows.open(workspace, task=task, as_of=AS_OF, snapshot=snapshot).slices for task in TASKS]
    first = min(slices.calibrate.start for slices in alone)
    for one in rows.tasks:
        assert one.slices.train.end + learning_window(workspace.contracts, one.task) <= first


def test_each_label_stands_on_its_own_impression_and_days(
    labelled_feed: Feed, rows: SharedRows, table: pa.Table
) -> None:
    """By hand: the labels of the snapshot, by request and item."""
    frame = table.to_pandas().set_index([REQUEST_ID, ITEM_ID])
    stored = (
        rows.snapshot.read([REQUEST_ID, ITEM_ID, DAY, *TASKS]).to_pandas().set_index([REQUEST_ID, ITEM_ID])
    )
    for one in rows.tasks:
        known = frame[frame[one.task].notna()]
        assert len(known) > 0
        truth = stored.loc[known.index]
        pd.testing.assert_series_equal(known[one.task], truth[one.task].astype(float))
        assert one.slices.train.first <= truth[DAY].min()
        assert truth[DAY].max() <= one.slices.train.last
        outside = (frame[DAY] < one.slices.train.first) | (frame[DAY] > one.slices.train.last)
        assert ((frame[f"{one.task}__weight"] == 0) == outside).all()


@pytest.mark.parametrize(
    "training",
    [
        {"click_1d": {"delayed": True}},
        {"default": {"weights": {"half_life": "P3D", "column": "price"}}, "buy_2d": {"weights": BALANCED}},
    ],
)
def test_in_parts_of_days_each_task_learns_from_the_very_rows_of_its_trees(
    labelled_feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: dict[str, Any]
) -> None:
    monkeypatch.setattr(trunk_rows, "SPAN", 200)
    rows = with_trunk(labelled_feed, tmp_path, training=training)
    tables = [*rows.stream(tmp_path / "drawn")()]
    assert max(map(len, tables)) < 300, "of about 450 rows a day"
    frame = pa.concat_tables(tables).to_pandas()
    for one in rows.tasks:
        own, alone = frame[frame[one.task].notna()], draw_training_rows(one).examples
        np.testing.assert_array_equal(own[one.task], alone.labels)
        weights, offsets = own[f"{one.task}__weight"], own.get(f"{one.task}__offset", 0.0)
        np.testing.assert_allclose(weights, 1.0 if alone.weights is None else alone.weights, rtol=1e-9)
        np.testing.assert_allclose(offsets, 0.0 if alone.offsets is None else alone.offsets)


def test_a_task_of_too_few_positives_in_all_days_is_refused(labelled_feed: Feed, tmp_path: Path) -> None:
    rows = with_trunk(labelled_feed, tmp_path, tasks=["back_2d", "buy_2d"])
    most = SURFACE.replace("positives: 20", "positives: 2000")
    workspace = Workspace.open(
        NAME, surfaces=write_contracts(tmp_path / "most", surface=most), home=labelled_feed[0].home
    )
    few = replace(rows, tasks=tuple(replace(one, workspace=workspace) for one in rows.tasks))
    with pytest.raises(ImmatureLabels, match="back_2d"):
        few.stream(tmp_path / "drawn")


def test_a_sampled_task_has_fewer_negatives_and_the_log_odds_that_undo_it(table: pa.Table) -> None:
    frame = table.to_pandas()
    sampled = frame[frame["buy_2d"].notna()]
    np.testing.assert_allclose(sampled["buy_2d__offset"], np.log(2))
    assert "click_1d__offset" not in frame
    every = frame[frame["spend_2d"].notna()]
    kept, all_of = (len(part) for part in (sampled[sampled["buy_2d"] == 0], every[every["spend_2d"] == 0]))
    assert kept / all_of == pytest.approx(0.5, abs=0.05)


def test_where_ids_are_read_the_newest_days_of_every_task_are_held_out(
    rows: SharedRows, table: pa.Table
) -> None:
    frame = table.to_pandas()
    held = frame["held_out"]
    assert frame.loc[held, DAY].min() > frame.loc[~held, DAY].max()
    assert all(frame.loc[held, one.task].notna().any() for one in rows.tasks)


def test_without_ids_users_are_held_out_as_for_trees(labelled_feed: Feed, tmp_path: Path) -> None:
    frame = read(with_trunk(labelled_feed, tmp_path), tmp_path / "drawn").to_pandas()
    by_user = frame.groupby(USER_ID, observed=True)["held_out"].nunique()
    assert (by_user == 1).all()
    assert 0.02 < frame["held_out"].mean() < 0.25


def test_outputs_are_the_heads_of_the_tasks(rows: SharedRows) -> None:
    outputs = {one.name: one for one in rows.outputs}
    assert outputs["back_2d"].parent == "buy_2d"
    assert (outputs["spend_2d"].objective, outputs["buy_2d"].loss_weight) == ("l2", 2.0)


def test_an_unknown_trunk_is_named(labelled_feed: Feed) -> None:
    with pytest.raises(ContractError, match="Unknown trunk 'fed'"):
        SharedRows.open(labelled_feed[0], trunk="fed", as_of=AS_OF, snapshot=labelled_feed[1])


EDITS = {
    "architecture": "ple",
    "experts": 3,
    "layers": (4,),
    "ids": {"user_id": 8},
    "interactions": (("user_id", "item_id"),),
    "rows_per_id": 3,
    "epochs": 3,
    "batch": 64,
    "learning_rate": 0.5,
    "seed": 3,
    "tasks": ("click_1d",),
}


def test_every_field_of_a_trunk_makes_another_trunk_and_no_other_trees() -> None:
    plain = edited(CONTRACTS, "surface.trunks", {"feed": Trunk(tasks=("click_1d", "buy_2d"))})
    assert {*EDITS, "balance"} == {*Trunk.model_fields}
    for name, value in {**EDITS, "balance": Balance(method="pcgrad")}.items():
        other = edited(plain, f"surface.trunks.feed.{name}", value)
        assert trunk_inputs(other, "feed") != trunk_inputs(plain, "feed")
        assert model_inputs(other, "click_1d") == model_inputs(plain, "click_1d")


def test_which_model_is_asked_for_makes_another_calibrator_of_the_tasks_of_a_trunk() -> None:
    plain = edited(CONTRACTS, "surface.trunks", {"feed": Trunk(tasks=("click_1d",))})
    other = edited(plain, "surface.models", {"click_1d": "best"})
    assert calibrator_inputs(other, "click_1d") != calibrator_inputs(plain, "click_1d")
    assert calibrator_inputs(other, "buy_2d") == calibrator_inputs(CONTRACTS, "buy_2d")
