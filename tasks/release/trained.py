"""Result of a retrain for one task: a new model and calibrator, or reuse of the champion's.

::

    trained and calibrated     -> Trained         {task, model_version, calibrator_version}
    DataError, ImmatureLabels  -> ReusedChampion  {task, why}     if the champion has the task
                                  the error       otherwise; it ends the run

A task without labels therefore does not block the others. The freshness gate limits the age of reused parts.
Between the steps of a workflow both results are plain JSON.

A policy change needs no training::

    champion -> the release that it was tested as -> its tasks' model and calibrator versions, its labels
    current utility.yaml and slate.yaml           -> the policies of the new release
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, assert_never

from tasks.contracts import Contracts
from tasks.errors import ContractError, DataError
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import Manifest, Role
from tasks.stores.workspace import Workspace

_LOG = logging.getLogger("equipoise")


_POLICIES = ("utility", "slate")


@dataclass(frozen=True)
class Trained:
    """Versions of the model and the calibrator that were trained for a task."""

    task: str
    model_version: int
    calibrator_version: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ReusedChampion:
    """A task that could not be trained or calibrated and reuses the champion's parts, and why."""

    task: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


TaskResult = Trained | ReusedChampion


def read_reused(plain: Mapping[str, object]) -> ReusedChampion | None:
    """Read a reused champion from JSON; None if the JSON describes a trained model.

    Examples
    --------
    >>> read_reused({"task": "buy", "why": "3 positives"}), read_reused({"task": "buy", "version": 2})
    (ReusedChampion(task='buy', why='3 positives'), None)
    """
    return ReusedChampion(str(plain["task"]), str(plain["why"])) if "why" in plain else None


def read_result(plain: Mapping[str, str | int | bool]) -> TaskResult:
    """Read the JSON of `to_json`; additional keys are ignored.

    Examples
    --------
    >>> read_result({"task": "buy", "model_version": 2, "calibrator_version": 1, "reused": True})
    Trained(task='buy', model_version=2, calibrator_version=1)
    """
    return read_reused(plain) or Trained(
        str(plain["task"]), int(plain["model_version"]), int(plain["calibrator_version"])
    )


def keep_champion(workspace: Workspace, *, task: str, as_of: datetime, error: DataError) -> ReusedChampion:
    """Reuse the champion's parts for a task that could not be trained or calibrated."""
    fallback = workspace.releases.fallback(as_of)
    if fallback is None or workspace.releases.manifest(fallback).find(Role.TASK, task) is None:
        raise error
    _LOG.warning("train: %s keeps the model of release %s. %s", task, fallback, error)
    return ReusedChampion(task, str(error))


def split_results(results: Sequence[TaskResult]) -> tuple[list[Trained], dict[str, str]]:
    """Split results into trained tasks and the reasons of tasks that reuse the champion's parts."""
    trained, kept = list[Trained](), dict[str, str]()
    for result in results:
        match result:
            case Trained():
                trained.append(result)
            case ReusedChampion(task, why):
                kept[task] = why
            case _:
                assert_never(result)
    if kept and not trained:
        raise DataError(f"No task could be trained, so there is nothing new. {' '.join(kept.values())}")
    return trained, kept


def champion_parts(workspace: Workspace) -> tuple[Manifest, list[Trained]]:
    """Return the champion's parts for a release under the current policies.

    Returns
    -------
    The manifest of the release that the champion was tested as, with its instant and labels, and its models
    with their calibrators.
    """
    champion = workspace.releases.find(CHAMPION)
    if champion is None:
        raise ContractError(
            f"{workspace.surface} has no champion whose models a changed policy could use: retrain, and "
            "promote the release"
        )
    tested = workspace.releases.tested(champion)
    refuse_no_policy_change(tested.contracts, workspace.contracts, champion=champion)
    return tested, [
        Trained(task, tested.part(Role.TASK, task).version, tested.part(Role.CALIBRATOR, task).version)
        for task in tested.tasks
    ]


def refuse_no_policy_change(before: Mapping[str, str], contracts: Contracts, *, champion: int) -> None:
    """Refuse unless a policy, and nothing else, differs from the champion's."""
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
