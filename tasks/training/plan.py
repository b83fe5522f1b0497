"""Which tasks a retrain trains: all of a first release, else those due; the champion gives the rest."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tasks.errors import ContractError, unknown
from tasks.stores.policies import refuse_silent_changes
from tasks.stores.registry import Registry
from tasks.stores.releases import alias_moves, find_fallback_release
from tasks.stores.workspace import Workspace, format_instant

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class PlanResult:
    """The tasks that will be trained; the champion's parts stand for the others."""

    as_of: str
    tasks: list[str]


def run(
    workspace: Workspace,
    *,
    as_of: datetime,
    cadence: Literal["fast", "slow"] = "fast",
    tasks: Sequence[str] = (),
) -> PlanResult:
    """Plan a retrain.

    Parameters
    ----------
    as_of : the instant at which the world is looked at.
    cadence : whose tasks are due.
    tasks : train only these; empty is all that are due.

    Raises
    ------
    ContractError
        A task is unknown, or some are left out and no release lends them; or a policy's
        content changed while its version did not, which is better known before the training than after.
    """
    refuse_silent_changes(workspace, Registry(workspace.home))
    if by_hand := alias_moves(workspace).by_hand():
        _LOG.warning("plan: somebody moved an alias of %s by hand. %s", workspace.surface, by_hand)
    known = workspace.contracts.tasks.order()
    for task in tasks:
        if task not in known:
            raise ContractError(unknown("task", task, known, where=f"the surface {workspace.surface}"))
    if find_fallback_release(workspace, as_of) is None:
        missing = [task for task in known if tasks and task not in tasks]
        if missing:
            raise ContractError(
                f"A first release, or one before the champion's as-of, trains every task: there is no "
                f"champion to take {', '.join(missing)} from. Leave the tasks empty."
            )
        due = list(known)
    else:
        wanted = tasks or workspace.contracts.tasks.by_cadence(cadence)
        due = [task for task in known if task in wanted]
    return PlanResult(format_instant(as_of), due)
