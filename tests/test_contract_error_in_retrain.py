"""A task whose declaration cannot be ends the retrain, although one without labels keeps the champion's model.

A `DataError` speaks of rows: nobody asked for them, and other days may mend it. A `ContractError` speaks of what
somebody has just declared, and no day mends it. To keep the champion's model would be to release another recipe
than the one that was reviewed, retrain after retrain, until it is too old. So its author is told at once.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import yaml

from tasks.errors import ContractError, ImmatureLabels
from tasks.pipeline import retrain
from tasks.release.parts import ReusedChampion, keep_champion
from tasks.stores.workspace import Workspace
from tests.feeds import mini, small_release
from tests.feeds.small_feed import (
    AS_OF,
    CLICKS_AND_PURCHASES,
    NAME,
    SURFACE,
    labelled,
    write_contracts,
    write_logs,
)

pytestmark = pytest.mark.xdist_group("contract_error")  # in one process, which makes the home once

UTILITY = """
policy: small-feed-utility
version: 1
owner: tests
approvals: [product]
weights: {click_1d: 1.0, buy_2d: 10.0}
"""
LATER = AS_OF + timedelta(days=1)
FIRST, BAD = "click_1d", "buy_2d"  # in the order in which a retrain takes them
BOUND = {"monotone": {"price": 1}}


@dataclass(frozen=True)
class Ended:
    """A retrain beside a champion, in which purchases were to go on from trees that had no bound."""

    workspace: Workspace
    error: ContractError

    def versions(self, part: str) -> list[int]:
        return sorted(found.version for found in self.workspace.store.registry.versions(f"{NAME}.{part}"))


def asking(workspace: Workspace, **training: Any) -> Workspace:
    surface = yaml.safe_load(SURFACE) | {"training": {BAD: training}, "version": 2}
    surfaces = write_contracts(
        workspace.surfaces, surface=json.dumps(surface), tasks=CLICKS_AND_PURCHASES, utility=UTILITY
    )
    return Workspace.open(NAME, surfaces=surfaces, home=workspace.home)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("declared")
    write_contracts(folder / "surfaces", tasks=CLICKS_AND_PURCHASES, utility=UTILITY)
    write_logs(folder / "home/logs", requests_a_day=30)
    feed = labelled(folder)
    mini.set_champion(feed[0], small_release.released(feed).version)
    workspace = asking(feed[0], warm_start=True, **BOUND)
    with pytest.raises(ContractError) as error:
        retrain(workspace, as_of=LATER)
    return Ended(workspace, error.value)


def test_the_author_is_told_what_was_changed_and_the_way_out(ended: Ended) -> None:
    said = str(ended.error)
    assert f"Task '{BAD}' cannot be warm-started from {NAME}.task.{BAD}" in said
    assert "monotone was {}, is {'price': 1}. Train it in full once (warm_start: false)" in said


def test_nothing_is_released_and_the_champion_stays(ended: Ended) -> None:
    assert ended.versions("release") == [1]
    assert ended.workspace.store.registry.aliases(f"{NAME}.release")["champion"] == 1


def test_tasks_before_it_were_trained_and_are_in_no_release(ended: Ended) -> None:
    assert (ended.versions(f"task.{FIRST}"), ended.versions(f"task.{BAD}")) == ([1, 2], [1])
    pins = ended.workspace.releases.manifest("challenger").pins
    assert pins[f"{NAME}.task.{FIRST}"] == 1


def test_labels_that_do_not_suffice_keep_the_champions_model_of_the_same_task(ended: Ended) -> None:
    error = ImmatureLabels(f"Task '{BAD}' cannot be trained: it has 3 positives.")
    assert keep_champion(ended.workspace, task=BAD, as_of=LATER, error=error) == ReusedChampion(
        BAD, str(error)
    )
