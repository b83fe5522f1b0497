"""A change of policy without training: the champion's models and calibrators under the policies in force.

::

    champion -> the release that it was tested as -> its tasks' model and calibrator versions, its labels
    utility.yaml, slate.yaml as they are now      -> the policies of the new release
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tasks.contracts import Contracts
from tasks.errors import ContractError
from tasks.release.trained import Trained
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import Manifest, Role
from tasks.stores.releases import find_release, tested_manifest
from tasks.stores.workspace import Workspace

_POLICIES = ("utility", "slate")


@dataclass(frozen=True)
class ChampionParts:
    """What a release takes from the champion: its instant, its labels, its models with calibrators."""

    as_of: datetime
    snapshot: str
    parts: tuple[Trained, ...]


def champion_parts(workspace: Workspace) -> ChampionParts:
    """Return the champion's parts for a release under the policies in force."""
    champion = find_release(workspace, CHAMPION)
    if champion is None:
        raise ContractError(
            f"{workspace.surface} has no champion whose models a changed policy could use: retrain, and "
            "promote the release"
        )
    tested = tested_manifest(workspace, champion)
    refuse_no_policy_change(tested.contracts, workspace.contracts, champion=champion)
    return ChampionParts(tested.as_of, tested.snapshot.id, tuple(_parts(tested)))


def refuse_no_policy_change(before: Mapping[str, str], contracts: Contracts, *, champion: int) -> None:
    """Refuse where more than a policy, or no policy at all, differs from the champion's."""
    now = contracts.digests
    if before["tasks"] != now["tasks"]:
        raise ContractError(
            f"tasks.yaml is not that of champion {champion}, whose models predict other tasks: a retrain is "
            "needed, or take the change back"
        )
    if all(before[name] == now[name] for name in _POLICIES):
        raise ContractError(
            f"utility.yaml and slate.yaml are those of champion {champion}: there is no change to apply. "
            "Change one of them, and raise its version"
        )


def _parts(manifest: Manifest) -> list[Trained]:
    return [
        Trained(task, manifest.part(Role.TASK, task).version, manifest.part(Role.CALIBRATOR, task).version)
        for task in manifest.tasks
    ]
