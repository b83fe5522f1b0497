"""The propose step: request the promotion of a retrained release that passes its gates."""

from dataclasses import dataclass

from tasks.promotion.moves.rules import POLICIES, changed_contracts
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import Manifest
from tasks.stores.releases import BACKFILLED, VERDICT
from tasks.stores.workspace import Workspace, format_instant


@dataclass(frozen=True)
class Proposal:
    """Whether a release is proposed, with the reason."""

    release: int
    proposed: bool
    why: str


def run(workspace: Workspace, *, release: int, unchanged: bool = False) -> Proposal:
    """Decide whether to propose a release for promotion.

    Notes
    -----
    A release that changes tasks or policies needs a person who names the support for the change. A former
    champion is not proposed again, since somebody rolled it back.
    """
    part = workspace.releases.part(release)
    if unchanged:
        return Proposal(part.version, proposed=False, why="a run about the past found it")
    manifest, tags = workspace.releases.manifest(release), workspace.store.registry.tags(part)
    if against := _against(workspace, part.version, manifest, tags):
        return Proposal(part.version, proposed=False, why=against)
    why = f"retrained as of {format_instant(manifest.as_of)}, and no gate holds it"
    return Proposal(part.version, proposed=True, why=why)


def _against(workspace: Workspace, release: int, manifest: Manifest, tags: dict[str, str]) -> str:
    """Return why a release is not proposed, or an empty string."""
    if not workspace.contracts.surface.promotion.propose:
        return "surface.yaml does not set it (promotion.propose)"
    if tags.get(BACKFILLED) == "true":
        return "a backfill made it"
    if tags.get(VERDICT) != "promote":
        return "its gates hold it"
    rows = [entry for entry in workspace.aliases.audit.entries() if entry.release == release]
    if any(entry.sets_alias for entry in rows):
        return f"it was {'champion' if any(entry.moves for entry in rows) else 'the canary'} before"
    champion = workspace.releases.find(CHAMPION)
    of_champion = None if champion is None else workspace.releases.manifest(champion).contracts
    files = ", ".join(POLICIES[name] for name in changed_contracts(manifest.contracts, of_champion))
    if files:
        return f"it changes {files} of champion {champion}: a person names the experiment, or waives it"
    return ""
