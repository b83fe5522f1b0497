"""What one operation reads of releases and of what they pin, each thing once.

::

    manifest, tested    of a version, held against its digest when it is first read
    verified            every byte and pin, compared when it is first asked
    tags                of a pinned part, as they were registered

The bytes of a version never change, and what a release pins is exact versions; so an operation needs no
second look. It lives as long as one operation: what the next one finds is its own. Aliases and the tags that
are set afterwards (``verdict``, ``canary_share``) are asked of the registry whenever they are needed.
"""

from dataclasses import dataclass, field
from functools import cached_property

from tasks.release.view import VerifyResult, verify_bytes
from tasks.stores.aliases import release_name
from tasks.stores.manifest import Manifest, Role
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.releases import part_manifest
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class ReleaseReader:
    """Reads the releases of a surface for one operation."""

    workspace: Workspace
    _parts: dict[int, Part] = field(default_factory=dict, init=False, repr=False, compare=False)
    _manifests: dict[int, Manifest] = field(default_factory=dict, init=False, repr=False, compare=False)
    _verified: dict[int, VerifyResult] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tags: dict[Part, dict[str, str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def registry(self) -> Registry:
        """The open registry; it remembers which run made a version."""
        return self.workspace.store.registry

    def part(self, version: int) -> Part:
        """Return a release."""
        if version not in self._parts:
            self._parts[version] = self.registry.part(release_name(self.workspace.surface), version)
        return self._parts[version]

    def manifest(self, version: int) -> Manifest:
        """Return a release's manifest; its bytes are compared with what was registered."""
        if version not in self._manifests:
            self._manifests[version] = part_manifest(self.registry, self.part(version))
        return self._manifests[version]

    def tested(self, version: int) -> Manifest:
        """Return the manifest of the models that a release was tested with; its own, but for a refit."""
        manifest = self.manifest(version)
        tested = manifest.find(Role.TESTED)
        return manifest if tested is None else self.manifest(tested.version)

    def verified(self, version: int) -> VerifyResult:
        """Return what comparing every byte and pin of a release found."""
        if version not in self._verified:
            self._verified[version] = verify_bytes(self.workspace, self.part(version))
        return self._verified[version]

    def tags(self, pinned: Part) -> dict[str, str]:
        """Return the tags that a pinned part was registered with; none where no record has it."""
        part = Part(pinned.name, pinned.version, pinned.sha256)
        if part not in self._tags:
            self._tags[part] = dict(self.registry.recorded_tags(part))
        return self._tags[part]
