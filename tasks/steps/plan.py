"""Which tasks a retrain trains: all of a first release, else those due; the champion gives the rest."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tasks.errors import ContractError, unknown
from tasks.steps.context import Context, format_instant
from tasks.steps.release_parts import find_lender, refuse_silent_changes
from tasks.steps.release_view import alias_moves
from tasks.stores.registry import Registry

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class PlanResult:
    """What will be trained; the release ``lender`` gives the other tasks, None where there is none to ask."""

    as_of: str
    tasks: list[str]
    lender: int | None


def run(
    context: Context,
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
    refuse_silent_changes(context, Registry(context.home))
    if by_hand := alias_moves(context).by_hand():
        _LOG.warning("plan: somebody moved an alias of %s by hand. %s", context.surface, by_hand)
    known = context.contracts.tasks.order()
    for task in tasks:
        if task not in known:
            raise ContractError(unknown("task", task, known, where=f"the surface {context.surface}"))
    lender = find_lender(context, as_of)
    if lender is None:
        missing = [task for task in known if tasks and task not in tasks]
        if missing:
            raise ContractError(
                f"A first release, or one before the champion's as-of, trains every task: there is no "
                f"champion to take {', '.join(missing)} from. Leave the tasks empty."
            )
        due = list(known)
    else:
        wanted = tasks or context.contracts.tasks.by_cadence(cadence)
        due = [task for task in known if task in wanted]
    return PlanResult(format_instant(as_of), due, lender)
