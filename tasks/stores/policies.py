"""A surface's two policies as registered models, and the versions of its other two files.

The version of a file must increase whenever its content changes; a change under the same version is refused.
The tags of a registered utility policy contain its owner, the approving roles and, if the policy names one,
the experiment that justified it.
"""

from collections.abc import Mapping
from typing import Final

from tasks.contracts import Contracts, SlateSpec, UtilitySpec, canonical, canonical_json, digest
from tasks.errors import ContractError
from tasks.stores.aliases import release_name
from tasks.stores.manifest import PinnedPart, Role
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace

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
