"""Plans a retrain and checks it before it begins.

::

    run       selects the tasks to train: all of a first release, else those due; others keep their model
    require   refuses tasks that cannot be trained, and missing columns, before labels are built
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tasks.errors import ContractError, ImmatureLabels
from tasks.logs.schema_fit import require_schema
from tasks.stores.releases import refuse_silent_changes
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.cluster import require_dask
from tasks.training.outlook import Outlook, foresee
from tasks.training.trunk_step import require_libraries

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class PlanResult:
    """Tasks that will be trained; the other tasks reuse the champion's parts.

    ``mismatch`` describes how audit, registry and aliases differ. It blocks promotions, but not retrains.
    """

    as_of: str
    tasks: list[str]
    mismatch: str = ""


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
    as_of : the instant up to which data are used.
    cadence : cadence of the tasks that are due.
    tasks : tasks to train; empty selects all that are due.

    Raises
    ------
    ContractError
        A task is unknown or never trained; or tasks are left out and no release has their parts; or a file's
        content changed while its version did not, which is checked here before the costly training.
    """
    refuse_silent_changes(workspace, workspace.store.registry)
    mismatch = workspace.aliases.mismatch()
    if mismatch is not None:
        _LOG.warning("plan: %s.", mismatch)
    known = workspace.contracts.tasks.trained
    for task in tasks:
        workspace.contracts.require_trained(task)
    if workspace.releases.fallback(as_of) is None:
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
    return PlanResult(format_instant(as_of), due, mismatch="" if mismatch is None else f"{mismatch.what}.")


def require(workspace: Workspace, planned: PlanResult, *, as_of: datetime) -> Outlook:
    """Refuse a retrain that cannot end in a release, before labels are built; warn of reused models.

    Raises
    ------
    ContractError
        The surface declares trunks, or trains on a cluster, and JAX or Dask is not installed.
    DataError
        The log lacks columns that the contracts require.
    ImmatureLabels
        A planned task cannot be trained, and there is no champion whose model it could reuse.
    """
    require_libraries(workspace.contracts)
    require_dask(workspace.contracts)
    has_fallback = workspace.releases.fallback(as_of) is not None
    require_schema(workspace.contracts, workspace.logs, first_release=not has_fallback)
    foreseen = foresee(workspace, as_of=as_of)
    missing = [why for task, why in foreseen.missing.items() if task in planned.tasks]
    if missing and not has_fallback:
        raise ImmatureLabels("\n".join(missing))
    for why in missing:
        _LOG.warning("plan: %s Until then the champion's model stays.", why)
    for task in planned.tasks:
        if days := foreseen.tasks[task].slices:
            _LOG.info(
                "plan: %s %s", task, ", ".join(f"{name} {' to '.join(of)}" for name, of in days.items())
            )
    return foreseen
