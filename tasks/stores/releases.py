"""A surface's releases in the registry, found by version or alias, and its registered policies.

::

    component.<part>     version of each pinned component   label_snapshot    training labels
    sha256.<part>        and its digest                     verdict           of the gates
    as_of, backfilled    its instant, and whether it was built for a past as-of

The two policies are registered models of their own. The version of each of the surface's four files must
increase whenever its content changes; a change under the same version is refused. The tags of a registered
utility policy contain its owner, the approving roles and, if the policy names one, the experiment that
justified it.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, TypedDict

from tasks.contracts import Contracts, SlateSpec, UtilitySpec, canonical, canonical_json, digest
from tasks.errors import ContractError, StoreError
from tasks.stores.aliases import CANARY_SHARE, CHAMPION, release_name
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, Part, PinnedPart, Role
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace, format_instant

COMPONENT: Final = "component."
FILE: Final = "sha256."
SNAPSHOT: Final = "label_snapshot"
VERDICT: Final = "verdict"
BACKFILLED: Final = "backfilled"


class ReleaseSummary(TypedDict):
    """Entry of a list of releases; a field is None without the version's tag."""

    version: int
    aliases: list[str]
    as_of: str | None
    snapshot: str | None
    verdict: str | None
    backfilled: bool


@dataclass(frozen=True)
class Releases:
    """The releases of a surface; each version is read once per instance.

    A version's bytes never change, and a release pins exact versions, so they can be cached. Aliases and
    later tags (``verdict``, ``canary_share``) are always read from the registry. A reference is a version or
    an alias.
    """

    workspace: Workspace
    _parts: dict[int, Part] = field(default_factory=dict, init=False, repr=False, compare=False)
    _manifests: dict[int, Manifest] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tags: dict[Part, dict[str, str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def registry(self) -> Registry:
        """The open registry; it remembers which run created a version."""
        return self.workspace.store.registry

    @property
    def name(self) -> str:
        """The registered model of the surface's releases."""
        return release_name(self.workspace.surface)

    def part(self, ref: str | int) -> Part:
        """Return the release for a reference."""
        if isinstance(ref, int) and ref in self._parts:
            return self._parts[ref]
        part = self.registry.resolve(self.name, str(ref))
        return self._parts.setdefault(part.version, part)

    def version(self, ref: str | int) -> int:
        """Return the version for a reference."""
        return self.part(ref).version

    def find(self, alias: str) -> int | None:
        """Return the version with an alias, or None."""
        return self.registry.aliases(self.name).get(alias)

    def manifest(self, ref: str | int) -> Manifest:
        """Return a release's manifest, verified with the registered digest."""
        part = self.part(ref)
        if part.version not in self._manifests:
            data = self.registry.files(part)[f"{ROOT}/{MANIFEST}"]
            self._manifests[part.version] = Manifest.from_bytes(data)
        return self._manifests[part.version]

    def tested_version(self, ref: str | int) -> int:
        """Return the version whose models a release is tested with: its own, except for a refit.

        Refitted models were trained on the test days. The models of the pinned ``tested`` release were not.
        """
        tested = self.manifest(ref).find(Role.TESTED)
        return self.version(ref) if tested is None else tested.version

    def tested(self, ref: str | int) -> Manifest:
        """Return the manifest of the models that a release was tested with; see `tested_version`."""
        return self.manifest(self.tested_version(ref))

    def tags(self, pinned: Part) -> dict[str, str]:
        """Return the tags that a pinned component was registered with; empty without a record."""
        part = Part(pinned.name, pinned.version, pinned.sha256)
        if part not in self._tags:
            self._tags[part] = dict(self.registry.recorded_tags(part))
        return self._tags[part]

    def digests(self, versions: Iterable[int | None]) -> dict[str, str]:
        """Return the digest of each release's files by version."""
        parts = [self.part(version) for version in versions if version is not None]
        return {str(part.version): part.sha256 for part in parts}

    def summaries(self) -> list[ReleaseSummary]:
        """Return the entries of a list of releases, newest first."""
        aliases, parts = self.registry.aliases(self.name), self.registry.versions(self.name)
        return [summarize_release(part, self.registry.tags(part), aliases) for part in parts]

    def fallback(self, as_of: datetime) -> int | None:
        """Return the release whose models a retrain as of an instant reuses for untrained tasks, or None."""
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
    """Return the entry of one release in a list, as plain JSON."""
    return {
        "version": part.version,
        "aliases": sorted(alias for alias, version in aliases.items() if version == part.version),
        "as_of": tags.get("as_of"),
        "snapshot": tags.get(SNAPSHOT),
        "verdict": tags.get(VERDICT),
        "backfilled": tags.get(BACKFILLED) == "true",
    }


def read_share(tags: Mapping[str, str]) -> float | None:
    """Return the traffic share in a version's tags; None without the tag.

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


POLICY_FILE: Final = "policy.json"
_FILES_OF_RELEASES: Final = ("surface", "tasks")


def policy_files(workspace: Workspace) -> dict[Role, bytes]:
    """Return the canonical content of both policies."""
    contracts = workspace.contracts
    specs = {Role.UTILITY_POLICY: contracts.utility, Role.SLATE_POLICY: contracts.slate}
    return {role: canonical_json(canonical(spec)).encode() for role, spec in specs.items()}


def refuse_silent_changes(workspace: Workspace, registry: Registry) -> None:
    """Refuse a file of the surface whose content changed without a new version.

    Policies are registered themselves; surface.yaml and tasks.yaml are compared with releases built from
    them.
    """
    contracts = workspace.contracts
    for file, role, spec in (
        ("utility.yaml", Role.UTILITY_POLICY, contracts.utility),
        ("slate.yaml", Role.SLATE_POLICY, contracts.slate),
    ):
        known = registry.find(f"{workspace.surface}.{role}", _policy_identity(spec))
        if known is not None:
            before = registry.tags(known)["contract_digest"]
            _refuse_change(workspace, file, f"{spec.policy} version {spec.version}", before, _digest(spec))
    for kind in _FILES_OF_RELEASES:
        version, now = contract_tags(contracts)[f"{kind}_version"], contracts.digests[kind]
        known = registry.find(release_name(workspace.surface), {f"{kind}_version": version})
        if known is not None:
            before = registry.tags(known)[f"{kind}_digest"]
            _refuse_change(workspace, f"{kind}.yaml", f"version {version}", before, now)


def contract_tags(contracts: Contracts) -> dict[str, str]:
    """Return the release tags that identify the surface.yaml and tasks.yaml that it was built from."""
    versions = {"surface": contracts.surface.version, "tasks": contracts.tasks.version}
    return {
        **{f"{kind}_version": str(version) for kind, version in versions.items()},
        **{f"{kind}_digest": contracts.digests[kind] for kind in versions},
    }


def _refuse_change(workspace: Workspace, file: str, registered: str, before: str, now: str) -> None:
    if before != now:
        raise ContractError(
            f"{file} changed while its version did not: {registered} was registered with digest "
            f"{before[:12]}, it is now {now[:12]}. Raise the version in "
            f"{workspace.surfaces / workspace.surface / file}, or take the change back."
        )


def register_policies(workspace: Workspace, registry: Registry, run_id: str) -> tuple[PinnedPart, PinnedPart]:
    """Register both policies, or find their registered versions."""
    contracts, files = workspace.contracts, policy_files(workspace)
    utility = _register(workspace, registry, Role.UTILITY_POLICY, contracts.utility, files, run_id)
    slate = _register(workspace, registry, Role.SLATE_POLICY, contracts.slate, files, run_id)
    return utility, slate


def _register(
    workspace: Workspace,
    registry: Registry,
    role: Role,
    spec: UtilitySpec | SlateSpec,
    files: Mapping[Role, bytes],
    run_id: str,
) -> PinnedPart:
    part = registry.register(
        f"{workspace.surface}.{role}",
        {POLICY_FILE: files[role]},
        run_id=run_id,
        tags={
            "surface": workspace.surface,
            "contract_digest": _digest(spec),
            **_policy_identity(spec),
            **_answers(spec),
        },
        model_type="policy",
    )
    return PinnedPart.of(part, role)


def _answers(spec: UtilitySpec | SlateSpec) -> dict[str, str]:
    """Return the owner and the justification of a policy; empty for a slate policy."""
    if isinstance(spec, SlateSpec):
        return {}
    experiment = {} if spec.experiment is None else {"experiment": spec.experiment}
    return {"owner": spec.owner, "approvals": ", ".join(spec.approvals), **experiment}


def _policy_identity(spec: UtilitySpec | SlateSpec) -> dict[str, str]:
    return {"policy": spec.policy, "policy_version": str(spec.version)}


def _digest(spec: UtilitySpec | SlateSpec) -> str:
    return digest(canonical(spec))
