"""Two releases of the mini feed, of which aliases are moved and moved back."""

from collections.abc import Iterator

import pytest

from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.promotion.moves.moving import forget_moves


@pytest.fixture
def workspace(second_retrain: Retrained) -> Iterator[Workspace]:
    """Two releases, of which the first is champion; afterwards it is again."""
    workspace = second_retrain.workspace
    yield workspace
    forget_moves(workspace)
    mini.set_champion(workspace, 1)


@pytest.fixture
def untouched(workspace: Workspace) -> Workspace:
    """The same without any move so far."""
    forget_moves(workspace)
    return workspace
