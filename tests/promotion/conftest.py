"""Two releases of the mini feed, of which aliases are moved and moved back."""

from collections.abc import Iterator

import pytest

from tasks.stores.releases import VERDICT
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.promotion.moves.moving import MODEL, forget_moves


@pytest.fixture
def workspace(second_retrain: Retrained) -> Iterator[Workspace]:
    """Two releases, of which the first is champion; afterwards it is again, and the second as its gates found it."""
    workspace = second_retrain.workspace
    registry = workspace.store.registry
    judged = registry.part(MODEL, 2)
    verdict = registry.tags(judged)[VERDICT]
    yield workspace
    registry.set_tags(judged, {VERDICT: verdict})
    forget_moves(workspace)
    mini.set_champion(workspace, 1)


@pytest.fixture
def untouched(workspace: Workspace) -> Workspace:
    """The same without any move so far."""
    forget_moves(workspace)
    return workspace
