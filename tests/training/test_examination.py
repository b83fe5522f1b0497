"""The examination curve as a registered part: declared, none, or refused where it cannot be estimated."""

from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.ranking.examination import Examination
from tasks.stores.workspace import Workspace
from tasks.training import examination
from tests.feeds.small_feed import NAME, SURFACE, write_contracts

Feed = tuple[Workspace, str]


def _saying(feed: Feed, folder: Path, said: str) -> Workspace:
    surfaces = write_contracts(folder / "surfaces", surface=f"{SURFACE}\nexamination: {said}\n")
    return Workspace.open(NAME, surfaces=surfaces, home=feed[0].home)


def test_a_declared_curve_is_registered_once_whatever_the_labels(labelled_feed: Feed, tmp_path: Path) -> None:
    workspace = _saying(labelled_feed, tmp_path, "{by_position: [1.0, 0.5]}")
    parts = [examination.run(workspace, snapshot=labelled_feed[1]) for _ in range(2)]
    assert parts[0] is not None
    assert parts[0] == parts[1]
    assert examination.read_curve(workspace, parts[0]) == Examination((1.0, 0.5))
    registry = workspace.store.registry
    assert registry.client.get_run(registry.run_id(parts[0])).info.status == "FINISHED"


def test_no_position_bias_is_a_flat_curve(labelled_feed: Feed, tmp_path: Path) -> None:
    workspace = _saying(labelled_feed, tmp_path, "none")
    assert examination.find_curve(workspace, snapshot=labelled_feed[1]).relative([1, 7]).tolist() == [
        1,
        1,
    ]


def test_where_nothing_is_said_there_is_no_curve(labelled_feed: Feed) -> None:
    workspace, snapshot = labelled_feed
    assert examination.run(workspace, snapshot=snapshot) is None
    with pytest.raises(DataError, match=r"does not show how much a position is examined\. Declare"):
        examination.find_curve(workspace, snapshot=snapshot)


def test_a_log_without_propensities_estimates_no_curve(labelled_feed: Feed, tmp_path: Path) -> None:
    other, snapshot = _saying(labelled_feed, tmp_path, "estimated"), labelled_feed[1]
    with pytest.raises(DataError, match=r"needs position and propensity .* declare examination\.by_position"):
        examination.run(other, snapshot=snapshot)
