"""The whole sequence without Airflow: the same steps in the same order, ending in the same release."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tasks.errors import GateRefused
from tasks.steps import calibrate, gate, labels, plan, release, shadow, simulate, train, validate
from tasks.steps.context import Context

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
    context: Context,
    *,
    as_of: datetime,
    tasks: Sequence[str] = (),
    cadence: Literal["fast", "slow"] = "fast",
) -> RetrainResult:
    """Retrain a surface as of an instant.

    Raises
    ------
    GateRefused
        The labels failed validation critically.
    """
    planned = plan.run(context, as_of=as_of, cadence=cadence, tasks=tasks)
    steps = _Progress(total=6 + 2 * len(planned.tasks))
    steps.begin("labels")
    built = labels.run(context, as_of=as_of)
    steps.begin("validate")
    checked = validate.run(context, as_of=as_of, snapshot=built.snapshot)
    if not checked.success:
        raise GateRefused(f"The labels failed their suite ({checked.severity}). Report: {checked.report}")
    parts = [_fit(context, task, as_of, built.snapshot, steps) for task in planned.tasks]
    steps.begin("release")
    made = release.run(context, as_of=as_of, snapshot=built.snapshot, parts=parts)
    steps.begin("simulate")
    simulated = simulate.run(context, release=made.version)
    steps.begin("shadow")
    shadowed = shadow.run(context, as_of=as_of, challenger=made.version)
    steps.begin("gate")
    judged = gate.run(
        context,
        as_of=as_of,
        release=made.version,
        validation_run=checked.run_id,
        simulation_run=simulated.run_id,
        shadow_run=shadowed.run_id,
    )
    return RetrainResult(judged.release, judged.verdict, judged.reasons, judged.gates, judged.dossier)


def _fit(context: Context, task: str, as_of: datetime, snapshot: str, steps: "_Progress") -> dict[str, Any]:
    steps.begin(f"train {task}")
    model = train.run(context, task=task, as_of=as_of, snapshot=snapshot)
    steps.begin(f"calibrate {task}")
    calibrator = calibrate.run(
        context, task=task, as_of=as_of, snapshot=snapshot, model_version=model.version
    )
    return {"task": task, "model_version": model.version, "calibrator_version": calibrator.version}


@dataclass
class _Progress:
    """Says which step begins and how far the whole is."""

    total: int
    begun: int = 0

    def begin(self, step: str) -> None:
        self.begun += 1
        log.info("[%d/%d] %s", self.begun, self.total, step)
