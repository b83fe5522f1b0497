"""A surface's releases in the registry: found by version or alias, listed, and what their tags say.

::

    component.<part>     version of each pinned part        label_snapshot    what the models learned from
    sha256.<part>        and its digest                     verdict           of the gates
    as_of, backfilled    of which instant, and whether made for the past
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
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


@dataclass(frozen=True)
class Releases:
    """The releases of a surface, each version read once for as long as the value lives.

    The bytes of a version never change, and what a release pins is exact versions; so one operation needs no
    second look, and what the next one finds is its own. Aliases and the tags that are set afterwards
    (``verdict``, ``canary_share``) are asked of the registry whenever they are needed. A reference is a
    version or an alias.
    """

    workspace: Workspace
    _parts: dict[int, Part] = field(default_factory=dict, init=False, repr=False, compare=False)
    _manifests: dict[int, Manifest] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tags: dict[Part, dict[str, str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def registry(self) -> Registry:
        """The open registry; it remembers which run made a version."""
        return self.workspace.store.registry

    @property
    def name(self) -> str:
        """The registered model of the surface's releases."""
        return release_name(self.workspace.surface)

    def part(self, ref: str | int) -> Part:
        """Return the release that a reference means."""
        if isinstance(ref, int) and ref in self._parts:
            return self._parts[ref]
        part = self.registry.resolve(self.name, str(ref))
        return self._parts.setdefault(part.version, part)

    def version(self, ref: str | int) -> int:
        """Return the version that a reference means."""
        return self.part(ref).version

    def find(self, alias: str) -> int | None:
        """Return the version that an alias means, None where it means nothing yet."""
        return self.registry.aliases(self.name).get(alias)

    def manifest(self, ref: str | int) -> Manifest:
        """Return a release's manifest; its bytes are compared with what was registered."""
        part = self.part(ref)
        if part.version not in self._manifests:
            data = self.registry.files(part)[f"{ROOT}/{MANIFEST}"]
            self._manifests[part.version] = Manifest.from_bytes(data)
        return self._manifests[part.version]

    def tested_version(self, ref: str | int) -> int:
        """Return the version whose models a release is tested with: its own, but for a refit.

        Refitted models have learned from the days of the test; those of the release that is pinned as tested
        have not.
        """
        tested = self.manifest(ref).find(Role.TESTED)
        return self.version(ref) if tested is None else tested.version

    def tested(self, ref: str | int) -> Manifest:
        """Return the manifest of the models that a release was tested with; see `tested_version`."""
        return self.manifest(self.tested_version(ref))

    def tags(self, pinned: Part) -> dict[str, str]:
        """Return the tags that a pinned part was registered with; none where no record has it."""
        part = Part(pinned.name, pinned.version, pinned.sha256)
        if part not in self._tags:
            self._tags[part] = dict(self.registry.recorded_tags(part))
        return self._tags[part]

    def digests(self, versions: Iterable[int | None]) -> dict[str, str]:
        """Return the digest of each release's files by version."""
        parts = [self.part(version) for version in versions if version is not None]
        return {str(part.version): part.sha256 for part in parts}

    def summaries(self) -> list[ReleaseSummary]:
        """Return what a list of the releases says of each, newest first."""
        aliases, parts = self.registry.aliases(self.name), self.registry.versions(self.name)
        return [summarize_release(part, self.registry.tags(part), aliases) for part in parts]

    def fallback(self, as_of: datetime) -> int | None:
        """Return the release that lends what a retrain as of an instant does not train, None without one."""
        champion = self.find(CHAMPION)
        if champion is None or self.manifest(champion).as_of <= as_of:
            return champion
        made_then = self.registry.find(self.name, {"as_of": format_instant(as_of), BACKFILLED: "false"})
        if made_then is None:
            return None
        manifest = self.manifest(made_then.version)
        same_tasks = manifest.contracts["tasks"] == self.workspace.contracts.digests["tasks"]
        serves = same_tasks and manifest.as_of == as_of and not manifest.backfilled
        return made_then.version if serves else None


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
