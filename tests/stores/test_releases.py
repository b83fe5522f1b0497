"""Releases are found by version or alias; who lends parts and what is tested follow from their tags and pins.

Policies are registered once by content, and never changed under the same version.
"""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tasks.errors import ContractError
from tasks.stores.aliases import release_name
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, Part, PinnedSnapshot, Role
from tasks.stores.registry import Registry
from tasks.stores.releases import (
    POLICY_FILE,
    contract_tags,
    policy_files,
    refuse_silent_changes,
    register_policies,
)
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME as SURFACE
from tests.feeds.days_of_logs import Logs
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


@pytest.fixture
def surface(tmp_path: Path) -> Workspace:
    written = Logs.random(tmp_path, seed=1).write()
    new_home(written.home)
    return written


@pytest.fixture
def registry(surface: Workspace) -> Registry:
    return surface.store.registry


def register_both(surface: Workspace, registry: Registry) -> list[tuple[str, int]]:
    with surface.store.runs.step(StepKey(SURFACE, step="release", inputs="i")) as run:
        pinned = register_policies(surface, registry, run.run_id)
    return [(part.name, part.version) for part in pinned]


def change(surface: Workspace, before: str, after: str, *, kind: str = "slate") -> Workspace:
    """Edit a policy's file and open the surface again."""
    file = surface.surfaces / SURFACE / f"{kind}.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    return Workspace.open(SURFACE, surfaces=surface.surfaces, home=surface.home)


def test_a_policy_is_registered_once_with_its_canonical_content(
    surface: Workspace, registry: Registry
) -> None:
    names = [(f"{SURFACE}.utility_policy", 1), (f"{SURFACE}.slate_policy", 1)]
    assert register_both(surface, registry) == register_both(surface, registry) == names
    files = registry.files(registry.part(f"{SURFACE}.slate_policy", 1))
    assert files[POLICY_FILE] == policy_files(surface)[Role.SLATE_POLICY]


def test_a_change_without_a_new_version_is_refused(surface: Workspace, registry: Registry) -> None:
    refuse_silent_changes(surface, registry)
    register_both(surface, registry)
    refuse_silent_changes(surface, registry)
    changed = change(surface, "length: 2", "length: 3")
    with pytest.raises(ContractError, match=r"slate\.yaml changed while its version did not"):
        refuse_silent_changes(changed, registry)


def test_a_change_under_a_new_version_is_another_version(surface: Workspace, registry: Registry) -> None:
    register_both(surface, registry)
    changed = change(change(surface, "length: 2", "length: 3"), "version: 1", "version: 2")
    refuse_silent_changes(changed, registry)
    assert register_both(changed, registry) == [
        (f"{SURFACE}.utility_policy", 1),
        (f"{SURFACE}.slate_policy", 2),
    ]


def test_a_registered_utility_policy_says_who_answers_for_it_and_what_justified_it(
    surface: Workspace, registry: Registry
) -> None:
    register_both(surface, registry)
    first = registry.tags(registry.part(f"{SURFACE}.utility_policy", 1))
    assert (first["owner"], first["approvals"]) == ("tests", "product")
    assert "experiment" not in first
    proven = change(surface, "version: 1", "version: 2\nexperiment: feed-142", kind="utility")
    assert register_both(proven, registry)[0] == (f"{SURFACE}.utility_policy", 2)
    second = registry.tags(registry.part(f"{SURFACE}.utility_policy", 2))
    assert (second["owner"], second["approvals"], second["experiment"]) == ("tests", "product", "feed-142")


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [("surface", "owner: tests", "owner: others"), ("tasks", "within: PT2H", "within: PT1H")],
)
def test_a_file_that_a_release_was_made_of_changes_with_its_version(
    surface: Workspace, registry: Registry, kind: str, before: str, after: str
) -> None:
    refuse_silent_changes(surface, registry)
    with surface.store.runs.step(StepKey(SURFACE, step="release", inputs="i")) as run:
        tags = contract_tags(surface.contracts)
        registry.register(
            release_name(SURFACE), {"a": b"a"}, run_id=run.run_id, tags=tags, model_type="release"
        )
    refuse_silent_changes(surface, registry)
    changed = change(surface, before, after, kind=kind)
    with pytest.raises(
        ContractError, match=rf"{kind}\.yaml changed while its version did not: version 1 was"
    ):
        refuse_silent_changes(changed, registry)
    refuse_silent_changes(change(changed, "version: 1", "version: 2", kind=kind), registry)
