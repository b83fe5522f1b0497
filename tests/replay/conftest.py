"""The test slice of the mini feed's second release, and what that release makes of it."""

import pytest

from tasks.release import view as release_view
from tasks.replay.slates import Scored, TestSlice
from tests.feeds.mini import Retrained
from tests.replay.whole_slice import whole_slice


@pytest.fixture(scope="session")
def tested_slice(second_retrain: Retrained) -> TestSlice:
    manifest = second_retrain.workspace.releases.manifest(2)
    return whole_slice(second_retrain.workspace, manifest, manifest.test)


@pytest.fixture(scope="session")
def scored(tested_slice: TestSlice) -> Scored:
    return tested_slice.slates_of(release_view.load(tested_slice.workspace, 2), "release 2")
