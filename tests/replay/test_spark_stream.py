"""What Spark's partitions decide is what this process decides, to the bit."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tasks.contracts.surface import EngineName
from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.replay import simulate
from tasks.replay.decided_slice import DecidedSlice, decide_slice
from tasks.replay.entrants import EntrantVersions
from tasks.replay.spark_stream import decide_slice_with_spark
from tasks.stores.manifest import Manifest
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.mini import Retrained
from tests.logs.spark_home import small_session
from tests.replay.same_slices import assert_same
from tests.stores.plain_evidence import read_plain

ENGINES: Final[tuple[EngineName, ...]] = ("spark", "duckdb")

pytestmark = pytest.mark.spark

TERMS: Final = {
    "dear": {"column": "margin", "weight": -0.1, "cap": 2},
    "best": {"greater_of": ["click_30m", "purchase_2d"], "weight": 1.0},
    "liked": {"task": "purchase_2d", "weight": 5.0, "where": {"click_30m": {"min": 0.1}}},
}

ROWS = 3_000
"""Candidates of a block: a day of the feed, which has 4,800, is cut into two."""


@pytest.fixture(scope="module", autouse=True)
def _spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small_session(tmp_path_factory.mktemp("spark")):
        yield


@pytest.fixture(scope="module")
def workspace(first_retrain: Retrained) -> Workspace:
    return replace(first_retrain.workspace, engine="spark")


@pytest.fixture(scope="module")
def manifest(workspace: Workspace) -> Manifest:
    return workspace.releases.manifest(1)


def assert_same_slices(ours: DecidedSlice, theirs: DecidedSlice) -> None:
    assert_same(ours.log, theirs.log)
    for one, other in ((ours.policy, theirs.policy), (ours.baseline, theirs.baseline)):
        assert_same(one, other)
    assert ours.predicted.keys() == theirs.predicted.keys()
    for key, columns in theirs.predicted.items():
        assert list(ours.predicted[key]) == list(columns)
        for name, column in columns.items():
            np.testing.assert_array_equal(ours.predicted[key][name], column)
    for one_of, others in ((ours.anchors, theirs.anchors), (ours.others, theirs.others)):
        assert list(one_of) == list(others)
        for name, slates in others.items():
            assert_same(one_of[name], slates)
    assert ours.rules == theirs.rules


def test_releases_policies_and_slates_are_those_of_one_process(
    workspace: Workspace, manifest: Manifest
) -> None:
    plain = workspace.contracts.utility.model_dump(mode="json") | {"version": 9, "terms": TERMS}
    bold = UtilitySpec.model_validate(plain)
    entrants = EntrantVersions(1, 1, None, {"stable": 1}, {"bold": bold})
    made = decide_slice_with_spark(workspace, manifest, entrants, rows=ROWS)
    assert_same_slices(made, decide_slice(workspace, manifest, entrants.load(workspace), rows=ROWS))


def test_an_order_is_that_of_one_process(workspace: Workspace, manifest: Manifest) -> None:
    entrants = EntrantVersions(1, order="logged")
    made = decide_slice_with_spark(workspace, manifest, entrants, rows=ROWS)
    assert made.baseline.follows_log
    assert_same_slices(made, decide_slice(workspace, manifest, entrants.load(workspace), rows=ROWS))


def test_an_order_that_does_not_exist_is_refused_as_in_one_process(
    workspace: Workspace, manifest: Manifest
) -> None:
    with pytest.raises(DataError, match=r"Unknown baseline 'item_agee_days'.*Did you mean"):
        decide_slice_with_spark(workspace, manifest, EntrantVersions(1, order="item_agee_days"), rows=ROWS)
    assert list((workspace.home / "tmp").glob("replay-*")) == []


def test_a_simulation_finds_with_either_engine_the_same(workspace: Workspace, tmp_path: Path) -> None:
    """The release against itself, in a copy of the home for each engine, which makes its own evidence."""
    spark, duckdb = (
        replace(
            workspace, store=Store.open(shutil.copytree(workspace.home, tmp_path / engine)), engine=engine
        )
        for engine in ENGINES
    )
    runs = [simulate.run(each, release=1, baseline="1") for each in (spark, duckdb)]
    ours, theirs = (
        read_plain(each.home, run.run_id) for each, run in zip((spark, duckdb), runs, strict=True)
    )
    for name in ("measured", "comparisons", "composition", "slate_rules", "notes", "off_policy"):
        assert ours[name] == theirs[name], name
