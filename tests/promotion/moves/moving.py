"""What moved between the two releases of the mini feed: aliases, audit, and how to forget both."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tasks.pipeline import recheck
from tasks.promotion.gate import GateResult
from tasks.promotion.moves import answers, promote
from tasks.promotion.moves.answers import Review
from tasks.promotion.moves.promote import GateEvaluator, MoveResult
from tasks.promotion.moves.rules import Actor, PromotionRequest, PromotionSupport
from tasks.release.view import ReleaseReader
from tasks.stores.aliases import CANARIES, CARRIED_OUT
from tasks.stores.audit import HEAD, AuditHead, Entry, Kind
from tasks.stores.workspace import Workspace
from tests.feeds.mini import NAME

MODEL = f"{NAME}.release"
TESTED = PromotionSupport(experiment="feed-142", why="carts rose")


def forget_moves(workspace: Workspace) -> None:
    registry = workspace.store.registry
    for alias in ("champion", "previous", *CANARIES):
        registry.delete_alias(MODEL, alias)
    for part in registry.versions(MODEL):
        for tag in ("canary_share", "canary_pool", "override"):
            registry.delete_tag(part, tag)
    registry.delete_model_tag(MODEL, CARRIED_OUT)
    registry.set_model_tag(MODEL, HEAD, str(AuditHead.begun(MODEL, key=None)))
    audit = workspace.audit.path
    assert isinstance(audit, Path), "the feed lies on this machine"
    for file in sorted(audit.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def moved_aliases(workspace: Workspace) -> dict[str, int]:
    aliases = workspace.store.registry.aliases(MODEL)
    return {alias: aliases[alias] for alias in ("champion", "previous", "canary") if alias in aliases}


def moves(workspace: Workspace) -> list[tuple[str, int | None, int]]:
    entries = workspace.audit.entries()
    return [(entry.kind.value, entry.champion, entry.release) for entry in entries]


def end_ramp(workspace: Workspace) -> None:
    """Let the last stage of the canary have ended well."""
    workspace.aliases.add(lambda *_: Entry(Kind.RAMPED, "equipoise ramp", 2, 1, "no guardrail is harmed"))


REVIEWERS = {"product": "ana", "safety": "sam"}


def approve(workspace: Workspace, evidence: str, *roles: str, run: str = "") -> None:
    """Let the reviewers of roles, by default of all, approve release 2 on this evidence."""
    for role in roles or REVIEWERS:
        answers.answer(workspace, Review(role, REVIEWERS[role], True, evidence), release=2, run=run)


def prepared(workspace: Workspace, release: str | int = 2, **asked: str) -> PromotionRequest:
    """Return the request of a promotion, judged once."""
    return promote.prepare(
        workspace, release=release, evaluate_gate=evaluate_once, support=replace(TESTED, **asked)
    )


_JUDGED: dict[tuple[object, ...], GateResult] = {}


def evaluate_once(
    workspace: Workspace,
    release: int,
    /,
    *,
    as_of: datetime | None = None,
    override: str = "",
    reader: ReleaseReader | None = None,
) -> GateResult:
    """Return what `recheck` says, asked once by the same contracts beside each champion.

    For tests of what is done with a judgement.
    """
    contracts = sorted((workspace.surfaces / NAME).glob("*.yaml"))
    champion = workspace.store.registry.aliases(MODEL).get("champion")
    asked = (workspace.home, *(file.read_bytes() for file in contracts), champion, release, as_of, override)
    if asked not in _JUDGED:
        _JUDGED[asked] = recheck(workspace, release, as_of=as_of, override=override)
    return _JUDGED[asked]


def promote_2(
    workspace: Workspace,
    *,
    release: str | int = 2,
    by: str = "ana",
    run: str = "",
    evaluate_gate: GateEvaluator = evaluate_once,
    **asked: str,
) -> MoveResult:
    support = replace(TESTED, **asked)
    return promote.run(
        workspace, release=release, by=Actor(by, run), evaluate_gate=evaluate_gate, support=support
    )
