"""A task that cannot be trained keeps the champion's model, by rule.

::

    trained and calibrated     -> {task, model_version, calibrator_version}
    DataError, ImmatureLabels  -> the champion has the task:  {task, why}, and the release says so
                                  it has not:                 the error, and the run ends with it

So one task without labels holds up no other one. What is kept ages, which the freshness gate bounds.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tasks.errors import DataError
from tasks.release.parts import TrainedPart
from tasks.stores.manifest import Role
from tasks.stores.releases import find_lender, release_manifest
from tasks.stores.workspace import Workspace

WHY: Final = "why"
_LOG = logging.getLogger("equipoise")


def keep(workspace: Workspace, *, task: str, as_of: datetime, error: DataError) -> dict[str, str]:
    """Return what stands for a task that could not be trained or calibrated.

    Raises
    ------
    DataError
        The error itself, where no release lends the task.
    """
    lender = find_lender(workspace, as_of)
    parts = () if lender is None else release_manifest(workspace, lender).parts
    if not any(part.role is Role.TASK and part.task == task for part in parts):
        raise error
    _LOG.warning("train: %s keeps the model of release %s. %s", task, lender, error)
    return {"task": task, WHY: str(error)}


def divided(parts: Sequence[Mapping[str, Any]]) -> tuple[list[TrainedPart], dict[str, str]]:
    """Tell the trained parts from the tasks that keep the champion's, by task with the reason.

    Raises
    ------
    DataError
        Nothing of what was to be trained could be: there is nothing new to release.
    """
    trained = [TrainedPart.of(part) for part in parts if WHY not in part]
    kept = {str(part["task"]): str(part[WHY]) for part in parts if WHY in part}
    if kept and not trained:
        raise DataError(f"No task could be trained, so there is nothing new. {' '.join(kept.values())}")
    return trained, kept
