"""What a retrain ends with for one task: a model and a calibrator of its own, or the champion's, by rule.

::

    trained and calibrated     -> Trained         {task, model_version, calibrator_version}
    DataError, ImmatureLabels  -> ReusedChampion    {task, why}     where the champion has the task
                                  the error       where it has not, and the run ends with it

So one task without labels holds up no other one. What is kept ages, which the freshness gate bounds. Between
the steps of a workflow both travel as plain JSON.

A change of policy needs no training::

    champion -> the release that it was tested as -> its tasks' model and calibrator versions, its labels
    utility.yaml, slate.yaml as they are now      -> the policies of the new release
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
    """Exact versions of the model and the calibrator that were made for a task."""

    task: str
    model_version: int
    calibrator_version: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ReusedChampion:
    """A task that could not be trained or calibrated, and why: it keeps the champion's parts."""

    task: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


TaskResult = Trained | ReusedChampion


def read_reused(plain: Mapping[str, object]) -> ReusedChampion | None:
    """Read a kept champion; None where the plain JSON of a step is about a model that was trained.

    Examples
    --------
    >>> read_reused({"task": "buy", "why": "3 positives"}), read_reused({"task": "buy", "version": 2})
    (ReusedChampion(task='buy', why='3 positives'), None)
    """
    return ReusedChampion(str(plain["task"]), str(plain["why"])) if "why" in plain else None


def read_result(plain: Mapping[str, str | int | bool]) -> TaskResult:
    """Read what `to_json` wrote; what a step adds to it is left alone.

    Examples
    --------
    >>> read_result({"task": "buy", "model_version": 2, "calibrator_version": 1, "reused": True})
    Trained(task='buy', model_version=2, calibrator_version=1)
    """
    return read_reused(plain) or Trained(
        str(plain["task"]), int(plain["model_version"]), int(plain["calibrator_version"])
    )


def keep_champion(workspace: Workspace, *, task: str, as_of: datetime, error: DataError) -> ReusedChampion:
    """Keep the champion's parts for a task that could not be trained or calibrated."""
    fallback = workspace.releases.fallback(as_of)
    if fallback is None or workspace.releases.manifest(fallback).find(Role.TASK, task) is None:
        raise error
    _LOG.warning("train: %s keeps the model of release %s. %s", task, fallback, error)
    return ReusedChampion(task, str(error))


def split_results(results: Sequence[TaskResult]) -> tuple[list[Trained], dict[str, str]]:
    """Tell what was trained from what keeps the champion's parts, by task with the reason."""
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
    """Return what a release under the policies in force takes from the champion.

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
