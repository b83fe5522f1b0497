"""The whole sequence without Airflow: the same steps in the same order, ending in the same release."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

from tasks import launch
from tasks.errors import DataError, GateRefused
from tasks.labels import build as labels
from tasks.logs import arrival
from tasks.promotion import gate
from tasks.release import step as release
from tasks.release.trained import TaskResult, Trained, keep_champion
from tasks.replay import shadow, simulate
from tasks.stores.workspace import Workspace
from tasks.training import plan
from tasks.validation import step as validate

log = logging.getLogger("equipoise")


@dataclass(frozen=True)
class RetrainResult:
    """The release that was made and what the gates say of it."""

    release: int
    verdict: str
    reasons: list[str]
    gates: list[dict[str, Any]]
    dossier: str


def run(
    workspace: Workspace,
    *,
    as_of: datetime,
    tasks: Sequence[str] = (),
    cadence: Literal["fast", "slow"] = "fast",
    parent_run: str | None = None,
) -> RetrainResult:
    """Retrain a surface as of an instant; what the log lacks up to it is said, not waited for.

    Parameters
    ----------
    parent_run : the MLflow run that the runs of the steps belong under.

    Raises
    ------
    GateRefused
        The labels failed validation critically.
    DataError
        A task cannot be trained and there is no champion whose model it could keep; or none can.
    """
    arrival.warn(workspace, as_of=as_of)
    planned = plan.run(workspace, as_of=as_of, cadence=cadence, tasks=tasks)
    steps = _Progress(total=6 + 2 * len(planned.tasks))
    steps.begin("labels")
    built = labels.run(workspace, as_of=as_of)
    steps.begin("validate")
    labelled: _Labelled = {"as_of": as_of, "snapshot": built.snapshot, "parent_run": parent_run}
    checked = validate.run(workspace, **labelled)
    if not checked.success:
        raise GateRefused(f"The labels failed their suite ({checked.severity}). Report: {checked.report}")
    parts = [_fit(workspace, task, labelled, steps) for task in planned.tasks]
    steps.begin("release")
    made = release.run(workspace, **labelled, parts=parts)
    steps.begin("simulate")
    simulated = simulate.run(workspace, release=made.version, parent_run=parent_run)
    steps.begin("shadow")
    shadowed = shadow.run(workspace, as_of=as_of, challenger=made.version, parent_run=parent_run)
    steps.begin("gate")
    judged = gate.run(
        workspace,
        as_of=as_of,
        release=made.version,
        validation_run=checked.run_id,
        simulation_run=simulated.run_id,
        shadow_run=shadowed.run_id,
        stands=made.stands,
        parent_run=parent_run,
    )
    return RetrainResult(judged.release, judged.verdict, judged.reasons, judged.gates, judged.dossier)


class _Labelled(TypedDict):
    """What every step after the labels is given."""

    as_of: datetime
    snapshot: str
    parent_run: str | None


def _fit(workspace: Workspace, task: str, labelled: _Labelled, steps: "_Progress") -> TaskResult:
    try:
        steps.begin(f"train {task}")
        model = launch.train(workspace, task=task, **labelled)
        steps.begin(f"calibrate {task}")
        calibrator = launch.calibrate(workspace, task=task, model_version=model.version, **labelled)
    except DataError as error:
        return keep_champion(workspace, task=task, as_of=labelled["as_of"], error=error)
    return Trained(task, model.version, calibrator.version)


@dataclass
class _Progress:
    """Says which step begins and how far the whole is."""

    total: int
    begun: int = 0

    def begin(self, step: str) -> None:
        self.begun += 1
        log.info("[%d/%d] %s", self.begun, self.total, step)
