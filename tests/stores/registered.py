"""Releases of which the registry knows no more than that they are there."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from tasks.stores.aliases import ReleaseAliases
from tasks.stores.audit import Entry
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.stores.mlflow_home import new_home

MODEL: Final = "feed.release"


def new_aliases(home: Path) -> ReleaseAliases:
    """Return the aliases of a surface of a new home."""
    return Store.open(new_home(home)).aliases("feed")


def register(moves: ReleaseAliases, *contents: str) -> None:
    """Register a release for each content."""
    registry = moves.registry
    moves.begin()
    with registry.runs.step(StepKey(moves.audit.surface, step="release", inputs="i")) as run:
        for content in contents:
            files = {"manifest.json": content.encode()}
            registry.register(moves.model, files, run_id=run.run_id, tags={}, model_type="release")


def forge(moves: ReleaseAliases, row: Entry) -> None:
    """Write a row and nothing else, as somebody who may write to the table alone."""
    moves.audit.append(row, seen=moves.audit.read(), announce=lambda _: None)


def append(moves: ReleaseAliases, row: Entry) -> None:
    """Write a row and nothing else, as a process that is killed right after it does."""
    parts = {part.version: part.sha256 for part in moves.registry.versions(moves.model)}
    champion = None if row.champion is None else parts.get(row.champion)
    known = replace(row, sha256=parts.get(row.release), champion_sha256=champion)
    moves.audit.append(known, seen=moves.audit.read(), announce=moves.announce)
