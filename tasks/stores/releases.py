"""A surface's releases in the registry: found by version or alias, listed, and what their tags say.

::

    component.<part>     version of each pinned part        label_snapshot    what the models learned from
    sha256.<part>        and its digest                     verdict           of the gates
    as_of, backfilled    of which instant, and whether made for the past
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, TypedDict

from tasks.errors import StoreError
from tasks.stores.aliases import CANARY_SHARE, CHAMPION, release_name
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, Role
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace, format_instant

COMPONENT: Final = "component."
FILE: Final = "sha256."
SNAPSHOT: Final = "label_snapshot"
VERDICT: Final = "verdict"
BACKFILLED: Final = "backfilled"


class ReleaseSummary(TypedDict):
    """What a list of releases says of one; None where its version has no such tag."""

    version: int
    aliases: list[str]
    as_of: str | None
    snapshot: str | None
    verdict: str | None
    backfilled: bool


def release_part(workspace: Workspace, ref: str | int) -> Part:
    """Return the release that a version or an alias means."""
    return workspace.store.registry.resolve(release_name(workspace.surface), str(ref))


def resolve_release(workspace: Workspace, ref: str | int) -> int:
    """Return the version that a reference means."""
    return release_part(workspace, ref).version


def find_release(workspace: Workspace, ref: str) -> int | None:
    """Return the version that an alias means, None where it means nothing yet."""
    return workspace.store.registry.aliases(release_name(workspace.surface)).get(ref)


def resolve_tested_release(workspace: Workspace, ref: str | int) -> int:
    """Return the version whose models a release is tested with: the one that it pins as tested, else its own.

    Refitted models have learned from the days of the test; those of the release pinned as tested have not.
    """
    tested = release_manifest(workspace, ref).find(Role.TESTED)
    return resolve_release(workspace, ref) if tested is None else tested.version


def tested_manifest(workspace: Workspace, ref: str | int) -> Manifest:
    """Return the manifest of the models that a release was tested with; see `resolve_tested_release`."""
    manifest = release_manifest(workspace, ref)
    tested = manifest.find(Role.TESTED)
    return manifest if tested is None else release_manifest(workspace, tested.version)


def release_digests(workspace: Workspace, versions: Iterable[int | None]) -> dict[str, str]:
    """Return the digest of each release's files by version, for what is found again by what it has read."""
    parts = [release_part(workspace, version) for version in versions if version is not None]
    return {str(part.version): part.sha256 for part in parts}


def release_manifest(workspace: Workspace, ref: str | int) -> Manifest:
    """Return a release's manifest; its bytes are compared with what was registered."""
    return part_manifest(workspace.store.registry, release_part(workspace, ref))


def part_manifest(registry: Registry, part: Part) -> Manifest:
    """Return the manifest of a registered release; people may set its tags, and nobody its bytes."""
    return Manifest.from_bytes(registry.files(part)[f"{ROOT}/{MANIFEST}"])


def list_releases(workspace: Workspace) -> list[ReleaseSummary]:
    """List a surface's releases, newest first."""
    registry, name = workspace.store.registry, release_name(workspace.surface)
    aliases = registry.aliases(name)
    return [summarize_release(part, registry.tags(part), aliases) for part in registry.versions(name)]


def summarize_release(part: Part, tags: Mapping[str, str], aliases: Mapping[str, int]) -> ReleaseSummary:
    """Return what a list of releases says of one, as plain JSON."""
    return {
        "version": part.version,
        "aliases": sorted(alias for alias, version in aliases.items() if version == part.version),
        "as_of": tags.get("as_of"),
        "snapshot": tags.get(SNAPSHOT),
        "verdict": tags.get(VERDICT),
        "backfilled": tags.get(BACKFILLED) == "true",
    }


def find_fallback_release(workspace: Workspace, as_of: datetime) -> int | None:
    """Return the release that lends what a retrain as of an instant does not train, None where none may."""
    registry, name = workspace.store.registry, release_name(workspace.surface)
    champion = registry.aliases(name).get(CHAMPION)
    if champion is None:
        return None
    if release_manifest(workspace, champion).as_of <= as_of:
        return champion
    made_then = registry.find(name, {"as_of": format_instant(as_of), BACKFILLED: "false"})
    if made_then is None:
        return None
    manifest = part_manifest(registry, made_then)
    same_tasks = manifest.contracts["tasks"] == workspace.contracts.digests["tasks"]
    has_fallback = same_tasks and manifest.as_of == as_of and not manifest.backfilled
    return made_then.version if has_fallback else None


def read_share(tags: Mapping[str, str]) -> float | None:
    """Return the share of the traffic that a version's tag sets; None without the tag.

    Examples
    --------
    >>> read_share({"canary_share": "0.05"}), read_share({})
    (0.05, None)
    """
    text = tags.get(CANARY_SHARE)
    with suppress(ValueError):
        if text is None or 0 <= float(text) <= 1:
            return None if text is None else float(text)
    raise StoreError(f"The tag {CANARY_SHARE} is {text!r}, which is no share: `equipoise release verify`")
