"""Which release a retrain proposes by itself; the second one of the mini feed changes the utility policy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.promotion.moves import propose
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import NAME, Retrained

MODEL = f"{NAME}.release"


def proposing(surface: dict[str, Any]) -> None:
    surface["promotion"] = {"propose": True}


@pytest.fixture
def workspace(second_retrain: Retrained, tmp_path: Path) -> Workspace:
    return mini.changed(second_retrain.workspace, tmp_path, surface=proposing)


@pytest.fixture
def no_champion(workspace: Workspace) -> Iterator[Workspace]:
    """The same while no release is champion."""
    registry = workspace.store.registry
    registry.client.delete_registered_model_alias(MODEL, "champion")
    yield workspace
    registry.set_alias(registry.part(MODEL, 1), "champion")


def why_not(workspace: Workspace, release: int) -> str:
    found = propose.run(workspace, release=release)
    assert not found.proposed
    return found.why


def test_a_release_that_its_gates_let_through_is_proposed_with_what_it_is(no_champion: Workspace) -> None:
    found = propose.run(no_champion, release=2)
    assert (found.release, found.proposed) == (2, True)
    assert found.why == "retrained as of 2026-02-12T00:00:00Z, and no gate holds it"


def test_nothing_is_proposed_where_the_surface_does_not_ask_for_it(second_retrain: Retrained) -> None:
    assert "promotion.propose" in why_not(second_retrain.workspace, 2)


def test_a_change_of_policy_is_left_to_a_person_who_names_what_supports_it(workspace: Workspace) -> None:
    assert why_not(workspace, 2).startswith("it changes utility.yaml of champion 1")


def test_a_release_that_somebody_went_back_from_is_not_proposed_again(no_champion: Workspace) -> None:
    assert why_not(no_champion, 1) == "it was champion before"


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [("verdict", "hold", "its gates hold it"), ("backfilled", "true", "a backfill made it")],
)
def test_what_is_held_or_backfilled_is_never_proposed(
    no_champion: Workspace, tag: str, value: str, why: str
) -> None:
    registry = Store.open(no_champion.home).registry
    part = registry.part(MODEL, 2)
    before = registry.tags(part)[tag]
    registry.set_tags(part, {tag: value})
    try:
        assert why_not(no_champion, 2) == why
    finally:
        registry.set_tags(part, {tag: before})
