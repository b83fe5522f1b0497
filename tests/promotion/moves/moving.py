"""What moved between the two releases of the mini feed: aliases, audit, and how to forget both."""

from dataclasses import replace
from pathlib import Path

from tasks.pipeline import recheck
from tasks.promotion.moves import promote
from tasks.promotion.moves.promote import MoveResult
from tasks.promotion.moves.rules import Mover, Support
from tasks.stores.audit import Audit
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tests.feeds.mini import NAME

MODEL = f"{NAME}.release"
TESTED = Support(experiment="feed-142")


def forget_moves(workspace: Workspace) -> None:
    registry = Registry(workspace.home)
    for alias in ("champion", "previous", "canary"):
        registry.delete_alias(MODEL, alias)
    for part in registry.versions(MODEL):
        for tag in ("canary_share", "override"):
            registry.delete_tag(part, tag)
    for tag in {"equipoise.moves", "equipoise.audit"} & registry.model_tags(MODEL).keys():
        registry.client.delete_registered_model_tag(MODEL, tag)
    audit = Audit(workspace.home, workspace.surface).path
    assert isinstance(audit, Path), "the feed lies on this machine"
    for file in sorted(audit.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def moved_aliases(workspace: Workspace) -> dict[str, int]:
    aliases = Registry(workspace.home).aliases(MODEL)
    return {alias: aliases[alias] for alias in ("champion", "previous", "canary") if alias in aliases}


def moves(workspace: Workspace) -> list[tuple[str, int | None, int]]:
    entries = Audit(workspace.home, workspace.surface).entries()
    return [(entry.kind.value, entry.champion, entry.release) for entry in entries]


def promote_2(workspace: Workspace, *, run: str = "", **asked: str) -> MoveResult:
    support = replace(TESTED, **asked)
    return promote.run(
        workspace, release=2, why="carts rose", by=Mover("ana", run), judge=recheck, support=support
    )
