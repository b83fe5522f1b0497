"""Releases are found by version or alias; who lends parts and what is tested follow from their tags and pins."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tasks.errors import ContractError
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, PinnedSnapshot
from tasks.stores.parts import Part
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.stores.mlflow_home import new_home

NAME = "feed.release"
TAGS = {"as_of": "2026-03-01T00:00:00Z", "backfilled": "false", "label_snapshot": "s1"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace("feed", surfaces=tmp_path / "surfaces", store=Store.open(new_home(tmp_path / "home")))


MADE = Manifest(
    surface="feed",
    as_of=datetime(2026, 3, 1, tzinfo=UTC),
    snapshot=PinnedSnapshot("s1", "0" * 64, "0" * 64, datetime(2026, 3, 1, tzinfo=UTC)),
    contracts={"tasks": "0" * 64},
    test=(date(2026, 2, 20), date(2026, 2, 26)),
    parts=(),
    files={},
    code={},
)


def register(workspace: Workspace, **tags: str) -> Part:
    with workspace.store.runs.step(StepKey("feed", step="release", inputs="-".join(tags.values()))) as run:
        files = {"f": str(tags).encode(), f"{ROOT}/{MANIFEST}": MADE.to_bytes()}
        return workspace.store.registry.register(
            NAME, files, run_id=run.run_id, tags={**TAGS, **tags}, model_type="release"
        )


def test_a_version_or_an_alias_means_a_release(workspace: Workspace) -> None:
    first, second = register(workspace), register(workspace, verdict="promote")
    workspace.store.registry.set_alias(second, "champion")
    assert workspace.releases.part(1) == first
    assert workspace.releases.version("champion") == 2
    assert workspace.releases.find("champion") == 2
    assert workspace.releases.find("challenger") is None


def test_an_alias_that_means_nothing_is_refused_where_a_release_is_needed(workspace: Workspace) -> None:
    register(workspace)
    with pytest.raises(ContractError, match="champion"):
        workspace.releases.version("champion")


def test_a_list_is_newest_first_and_says_what_each_release_is(workspace: Workspace) -> None:
    register(workspace, backfilled="true")
    part = register(workspace, verdict="hold")
    workspace.store.registry.set_alias(part, "challenger")
    newest, oldest = workspace.releases.summaries()
    assert newest == {
        "version": 2,
        "aliases": ["challenger"],
        "as_of": "2026-03-01T00:00:00Z",
        "snapshot": "s1",
        "verdict": "hold",
        "backfilled": False,
    }
    assert (oldest["version"], oldest["aliases"], oldest["backfilled"]) == (1, [], True)


def test_the_champion_lends_where_it_is_not_of_a_later_instant(workspace: Workspace) -> None:
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    assert workspace.releases.fallback(as_of) is None
    workspace.store.registry.set_alias(register(workspace), "champion")
    assert workspace.releases.fallback(as_of) == 1
    assert workspace.releases.fallback(datetime(2026, 2, 1, tzinfo=UTC)) is None
