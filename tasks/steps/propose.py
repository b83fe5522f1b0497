"""The propose step: whether a release that its gates let through is put before its reviewers by itself."""

from dataclasses import dataclass

from tasks.release.manifest import Manifest
from tasks.release.promotion import POLICIES, changed_contracts
from tasks.steps.context import Context, format_instant
from tasks.steps.release_view import (
    BACKFILLED,
    VERDICT,
    alias_moves,
    find_release,
    release_manifest,
    release_part,
)
from tasks.stores.alias_moves import CHAMPION
from tasks.stores.registry import Registry


@dataclass(frozen=True)
class Proposal:
    """Whether a release is proposed, and why, or why not."""

    release: int
    proposed: bool
    why: str


def run(context: Context, *, release: int, stands: bool = False) -> Proposal:
    """Decide whether to propose a release for promotion.

    Parameters
    ----------
    stands : a run about the past found it; whether to propose it was decided in its own time.

    Notes
    -----
    A release that changes tasks or policies is left to a person, who names what supports the change; one that
    was champion before is not proposed again, since somebody went back from it.
    """
    part = release_part(context, release)
    if stands:
        return Proposal(part.version, proposed=False, why="a run about the past found it")
    manifest, tags = release_manifest(context, release), Registry(context.home).tags(part)
    if against := _against(context, part.version, manifest, tags):
        return Proposal(part.version, proposed=False, why=against)
    why = f"retrained as of {format_instant(manifest.as_of)}, and no gate holds it"
    return Proposal(part.version, proposed=True, why=why)


def _against(context: Context, release: int, manifest: Manifest, tags: dict[str, str]) -> str:
    """Say why a release is not proposed; empty where nothing speaks against it."""
    if not context.contracts.surface.promotion.propose:
        return "surface.yaml does not ask for it (promotion.propose)"
    if tags.get(BACKFILLED) == "true":
        return "a backfill made it"
    if tags.get(VERDICT) != "promote":
        return "its gates hold it"
    if any(entry.moves and entry.release == release for entry in alias_moves(context).audit.entries()):
        return "it was champion before"
    champion = find_release(context, CHAMPION)
    theirs = None if champion is None else release_manifest(context, champion).contracts
    files = ", ".join(POLICIES[name] for name in changed_contracts(manifest.contracts, theirs))
    if files:
        return f"it changes {files} of champion {champion}: a person names the experiment, or waives it"
    return ""
