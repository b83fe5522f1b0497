"""Releases of which the registry knows no more than that they are there."""

from typing import Final

from tasks.stores.alias_moves import AliasMoves
from tasks.stores.registry import Registry
from tasks.stores.runs import StepKey, step_run
from tests.stores.mlflow_home import new_home

MODEL: Final = "feed.release"


def register(moves: AliasMoves, *contents: str) -> None:
    """Register a release for each content."""
    registry = Registry(new_home(moves.home))
    with step_run(StepKey(moves.home, "feed", step="release", inputs="i")) as run:
        for content in contents:
            files = {"manifest.json": content.encode()}
            registry.register(MODEL, files, run_id=run.run_id, tags={}, model_type="release")
