"""A retrain as of a past date, in a home that has gone on since: a longer log, newer labels, a later champion.

::

    release 1   as of AS_OF, the first champion
    release 2   as of LATER, clicks trained anew, under version 2 of the utility policy: champion now
    backfill    as of AS_OF once more
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.promotion.moves import request
from tasks.release import view as release_view
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME, Retrained, Versions, versions

pytestmark = pytest.mark.e2e

RELEASE = f"{NAME}.release"


@dataclass(frozen=True)
class Before:
    """A home in which release 2 is champion, and what its registry held before the backfill."""

    home: Path
    versions: Versions
    aliases: dict[str, int]
    shown: dict[str, Any]

    def backfill(self, surfaces: Path) -> Retrained:
        return Retrained.run(Workspace.open(NAME, surfaces=surfaces, home=self.home), as_of=AS_OF)


@pytest.fixture
def later(second_retrain: Retrained, tmp_path: Path) -> Before:
    workspace = second_retrain.workspace
    home = Path(shutil.copytree(workspace.home, tmp_path / "home"))
    workspace = Workspace.open(NAME, surfaces=workspace.surfaces, home=home)
    entry = Entry(Kind.PROMOTE, "ana", 2, 1, "the second champion", "of no evidence")
    workspace.aliases.add(lambda entries, aliases: entry)
    aliases = Store.open(home).registry.aliases(RELEASE)
    return Before(home, versions(workspace), aliases, release_view.show(workspace, 1))


def test_it_ends_in_the_release_of_that_day_and_changes_nothing_about_it(
    later: Before, first_retrain: Retrained
) -> None:
    again = later.backfill(first_retrain.workspace.surfaces)
    assert again.result.release == 1
    assert again.versions == later.versions
    assert again.aliases == later.aliases == {"champion": 2, "previous": 1, "challenger": 2}
    assert release_view.show(again.workspace, 1) == later.shown
    assert Path(again.result.dossier).name.startswith("dossier-release-1-")
    assert request.propose(again.workspace, release=1, unchanged=True).why == "a run about the past found it"


def test_under_other_policies_it_pins_the_models_of_that_day_is_marked_and_moves_no_alias(
    later: Before, second_retrain: Retrained
) -> None:
    again = later.backfill(second_retrain.workspace.surfaces)
    assert again.result.release == 3
    assert again.aliases == later.aliases
    shown = release_view.show(again.workspace, 3)
    assert shown["backfilled"]
    assert shown["snapshot"] == later.shown["snapshot"]
    assert _models(shown) == _models(later.shown)


def test_what_a_backfill_made_lends_nothing_and_is_found_again(
    later: Before, mini_surfaces: Path, tmp_path: Path
) -> None:
    def raised(tasks: dict[str, Any]) -> None:
        tasks["version"] = 2
        tasks["tasks"]["click_30m"]["positive"]["within"] = "PT20M"

    there = mini.changed(
        Workspace.open(NAME, surfaces=mini_surfaces, home=later.home), tmp_path, tasks=raised
    )
    newest = max(one["version"] for one in there.releases.summaries())
    first = later.backfill(there.surfaces)
    again = later.backfill(there.surfaces)
    assert first.result.release == again.result.release > newest  # a deleted version is not used again
    assert again.versions == first.versions
    assert release_view.show(again.workspace, first.result.release)["backfilled"]


def _models(shown: dict[str, Any]) -> dict[str, str]:
    return {
        name: digest
        for name, digest in shown["digests"].items()
        if ".task." in name or ".calibrator." in name
    }
