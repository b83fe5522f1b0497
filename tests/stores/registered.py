"""Releases of which the registry knows no more than that they are there."""

from pathlib import Path
from typing import Final

from tasks.stores.alias_moves import AliasMoves
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.stores.mlflow_home import new_home

MODEL: Final = "feed.release"


def new_aliases(home: Path) -> AliasMoves:
    """Return the aliases of a surface of a new home."""
    return Store.open(new_home(home)).aliases("feed")


def register(moves: AliasMoves, *contents: str) -> None:
    """Register a release for each content."""
    registry = moves.registry
    with registry.runs.step(StepKey("feed", step="release", inputs="i")) as run:
        for content in contents:
            files = {"manifest.json": content.encode()}
            registry.register(MODEL, files, run_id=run.run_id, tags={}, model_type="release")
