"""Policies are registered once by content, and never changed under the same version."""

from pathlib import Path

import pytest

from tasks.errors import ContractError
from tasks.stores.aliases import release_name
from tasks.stores.manifest import Role
from tasks.stores.policies import (
    POLICY_FILE,
    contract_tags,
    policy_files,
    refuse_silent_changes,
    register_policies,
)
from tasks.stores.registry import Registry
from tasks.stores.runs import StepKey
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs
from tests.stores.mlflow_home import new_home


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    written = Logs.random(tmp_path, seed=1).write()
    new_home(written.home)
    return written


@pytest.fixture
def registry(workspace: Workspace) -> Registry:
    return workspace.store.registry


def register(workspace: Workspace, registry: Registry) -> list[tuple[str, int]]:
    with workspace.store.runs.step(StepKey(NAME, step="release", inputs="i")) as run:
        pinned = register_policies(workspace, registry, run.run_id)
    return [(part.name, part.version) for part in pinned]


def change(workspace: Workspace, before: str, after: str, *, kind: str = "slate") -> Workspace:
    """Edit a policy's file and open the surface again."""
    file = workspace.surfaces / NAME / f"{kind}.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    return Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home)


def test_a_policy_is_registered_once_with_its_canonical_content(
    workspace: Workspace, registry: Registry
) -> None:
    names = [(f"{NAME}.utility_policy", 1), (f"{NAME}.slate_policy", 1)]
    assert register(workspace, registry) == register(workspace, registry) == names
    files = registry.files(registry.part(f"{NAME}.slate_policy", 1))
    assert files[POLICY_FILE] == policy_files(workspace)[Role.SLATE_POLICY]


def test_a_change_without_a_new_version_is_refused(workspace: Workspace, registry: Registry) -> None:
    refuse_silent_changes(workspace, registry)
    register(workspace, registry)
    refuse_silent_changes(workspace, registry)
    changed = change(workspace, "length: 2", "length: 3")
    with pytest.raises(ContractError, match=r"slate\.yaml changed while its version did not"):
        refuse_silent_changes(changed, registry)


def test_a_change_under_a_new_version_is_another_version(workspace: Workspace, registry: Registry) -> None:
    register(workspace, registry)
    changed = change(change(workspace, "length: 2", "length: 3"), "version: 1", "version: 2")
    refuse_silent_changes(changed, registry)
    assert register(changed, registry) == [(f"{NAME}.utility_policy", 1), (f"{NAME}.slate_policy", 2)]


def test_a_registered_utility_policy_says_who_answers_for_it_and_what_justified_it(
    workspace: Workspace, registry: Registry
) -> None:
    register(workspace, registry)
    first = registry.tags(registry.part(f"{NAME}.utility_policy", 1))
    assert (first["owner"], first["approvals"]) == ("tests", "product")
    assert "experiment" not in first
    proven = change(workspace, "version: 1", "version: 2\nexperiment: feed-142", kind="utility")
    assert register(proven, registry)[0] == (f"{NAME}.utility_policy", 2)
    second = registry.tags(registry.part(f"{NAME}.utility_policy", 2))
    assert (second["owner"], second["approvals"], second["experiment"]) == ("tests", "product", "feed-142")


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [("surface", "owner: tests", "owner: others"), ("tasks", "within: PT2H", "within: PT1H")],
)
def test_a_file_that_a_release_was_made_of_changes_with_its_version(
    workspace: Workspace, registry: Registry, kind: str, before: str, after: str
) -> None:
    refuse_silent_changes(workspace, registry)
    with workspace.store.runs.step(StepKey(NAME, step="release", inputs="i")) as run:
        tags = contract_tags(workspace.contracts)
        registry.register(release_name(NAME), {"a": b"a"}, run_id=run.run_id, tags=tags, model_type="release")
    refuse_silent_changes(workspace, registry)
    changed = change(workspace, before, after, kind=kind)
    with pytest.raises(
        ContractError, match=rf"{kind}\.yaml changed while its version did not: version 1 was"
    ):
        refuse_silent_changes(changed, registry)
    refuse_silent_changes(change(changed, "version: 1", "version: 2", kind=kind), registry)
