"""The calibration step: fits a registered map to a registered model's scores on the calibrate slice.

::

    <surface>.task.<task>, fetched and verified -> scores of the calibrate days
    <surface>.trunk.<trunk>, if the task is     -> trees, trunk or blend, chosen on held-out users
    part of one                                    (calibration/head_models.py)
      -> no map, one map or one by segment, chosen on held-out users (calibration/choice.py) -> JSON
    test days -> figures of the calibrated predictions, reliability before and after
      -> run (figures, chart, evidence) -> <surface>.calibrator.<task>, linked to its model

The model's probabilities already refer to all rows, even if negatives were sampled, so the map is fitted and
applied to them directly.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks.calibration.choice import CalibrationEvidence, fit_map, read_segment_columns
from tasks.calibration.head_models import TaskModels, model_file
from tasks.calibration.pictures import draw_calibration
from tasks.errors import ContractError, GateRefused
from tasks.evaluation.evidence import HeadModels, PinnedModel
from tasks.evaluation.figures import TaskFigures
from tasks.ranking import segmented_map
from tasks.stores.manifest import CALIBRATOR, Part
from tasks.stores.releases import COMPONENT
from tasks.stores.runs import StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace
from tasks.training import debiasing
from tasks.training.evidence import TrainingEvidence
from tasks.training.inputs import calibrator_inputs
from tasks.training.rows import NEWEST, REPEATS, TaskRows, read_labels
from tasks.training.step import for_refit, model_name
from tasks.training.trunk_step import find_trunk


@dataclass(frozen=True)
class CalibrateResult:
    """The calibrator's exact version and the figures of calibrated predictions on the test days."""

    task: str
    calibrator: str
    version: int
    model_version: int
    sha256: str
    run_id: str
    reused: bool
    metrics: dict[str, float | int | None]

    @property
    def calibrator_version(self) -> int:
        """The version, under the name that a release's parts use."""
        return self.version


@dataclass(frozen=True)
class _Calibration:
    """A model, the trunk that may replace it, and rows with calibrate days that neither learned from."""

    rows: TaskRows
    model: Part
    trunk: Part | None

    @property
    def workspace(self) -> Workspace:
        """The surface and its home."""
        return self.rows.workspace


def calibrator_name(surface: str, task: str) -> str:
    """Return the name of the registered model of a task's calibrators."""
    return f"{surface}.calibrator.{task}"


def run(
    workspace: Workspace,
    *,
    task: str,
    as_of: datetime,
    snapshot: str,
    model_version: int,
    parent_run: str | None = None,
) -> CalibrateResult:
    """Calibrate the trees of one task.

    Parameters
    ----------
    as_of : the instant up to which data are used, as in the snapshot.
    snapshot : id of a published label snapshot.
    model_version : version of ``<surface>.task.<task>``; a refit is calibrated on the newest mature days and
        not measured, because it learned from the test days.
    parent_run : the parent MLflow run.

    Raises
    ------
    GateRefused
        The snapshot was not published, or the model learned from days that it would be calibrated on.
    ImmatureLabels
        The calibrate slice lacks positives or negatives.
    StoreError
        The model's bytes differ from the registered ones.
    """
    rows = TaskRows.open(workspace, task=task, as_of=as_of, snapshot=snapshot)
    return calibrate(rows, model_version=model_version, parent_run=parent_run)


def calibrate(
    rows: TaskRows, *, model_version: int, trunk_version: int | None = None, parent_run: str | None = None
) -> CalibrateResult:
    """Choose a task's model and calibrate it on the task's rows; raises the errors of `run`.

    Parameters
    ----------
    trunk_version : version of the task's trunk; None uses the trees.
    """
    work = _rows_of_models(rows, model_version, trunk_version)
    done = CALIBRATE.run(work, parent_run=parent_run)
    test, part = done.evidence.test, done.part
    metrics = {} if test is None else dict(test.headline)
    return CalibrateResult(
        rows.task,
        part.name,
        part.version,
        model_version,
        part.sha256,
        done.run_id,
        done.reused,
        metrics,
    )


def _rows_of_models(rows: TaskRows, version: int, trunk_version: int | None) -> _Calibration:
    """Return the models to calibrate, and rows with calibrate days that they did not learn from.

    A refit uses the trunk of the tested model.
    """
    registry = rows.workspace.store.registry
    model = registry.part(model_name(rows.workspace.surface, rows.task), version)
    tags = registry.tags(model)
    trunk = None if trunk_version is None else find_trunk(rows.workspace, rows.task, trunk_version)
    if REPEATS in tags:
        rows = for_refit(rows, int(tags[REPEATS]))
        tested = _read_tested(rows, int(tags[REPEATS])).models
        trunk = None if tested is None else registry.part(tested.trunk.name, tested.trunk.version)
    for part in (model, *([trunk] if trunk else [])):
        _refuse_overlap(rows, part, registry.tags(part))
    return _Calibration(rows, model, trunk)


def _refuse_overlap(rows: TaskRows, model: Part, tags: Mapping[str, str]) -> None:
    """Refuse to calibrate a model on days that it learned from."""
    newest = date.fromisoformat(tags[NEWEST])
    if newest >= rows.slices.calibrate.first:
        raise GateRefused(
            f"{model} learned from rows up to {newest}; its calibrate slice begins on "
            f"{rows.slices.calibrate.first}. Calibrate it as of {tags['as_of']}, or train again."
        )


def _inputs(work: _Calibration) -> dict[str, Any]:
    rows, model, trunk = work.rows, work.model, work.trunk
    contracts = calibrator_inputs(rows.workspace.contracts, rows.task)
    shared = {} if trunk is None else {"trunk": [trunk.version, trunk.sha256]}
    return {**rows.inputs, "model": [model.version, model.sha256], **shared, "contracts": contracts}


def _tags(work: _Calibration) -> dict[str, str]:
    return {
        **work.rows.version_tags(),
        f"{COMPONENT}{work.model.name}": str(work.model.version),
        **({} if work.trunk is None else {f"{COMPONENT}{work.trunk.name}": str(work.trunk.version)}),
    }


def _calibrate(work: _Calibration, opened: StepRun) -> Model[CalibrationEvidence]:
    rows = work.rows
    registry = rows.workspace.store.registry
    rows.snapshot.log_to(opened, context="calibration")
    read = [work.model, *([work.trunk] if work.trunk else [])]
    opened.reads_models([registry.model_id(part) for part in read])
    fitted, evidence = _fit(opened, work)
    params, metrics = _describe_map(evidence), _flatten_metrics(evidence)
    opened.params({**params, "slice": " to ".join(rows.slices.calibrate.to_json())})
    opened.metrics({"rows": evidence.rows, "positives": evidence.positives, **metrics})
    if evidence.test is not None:
        opened.table("figures.json", pd.DataFrame(evidence.test.table()))
    files = {
        CALIBRATOR: json.dumps(fitted.to_json(), allow_nan=False).encode(),
        **model_file(evidence.models),
    }
    return Model(evidence, files, kind="calibrator", params=params, metrics=metrics)


CALIBRATE: Final = ModelStep(
    name="calibrate",
    room="calibration",
    without=("reports",),
    document=CalibrationEvidence,
    inputs=_inputs,
    tags=_tags,
    task=lambda work: work.rows.task,
    function=_calibrate,
    model=lambda work: calibrator_name(work.workspace.surface, work.rows.task),
)


def _fit(opened: StepRun, work: _Calibration) -> tuple[segmented_map.Calibrator, CalibrationEvidence]:
    """Choose the model, fit the map on the calibrate days, and measure it on the test days."""
    rows, model = work.rows, work.model
    models = TaskModels.read(rows, model, work.trunk)
    calibrate = rows.slices.calibrate
    table = rows.report(calibrate)
    outcomes = read_labels(table, rows.task)
    tested = None if rows.repeats is None else _read_tested(rows, rows.repeats.version)
    chosen = models.choose(tested=None if tested is None else tested.models)
    kind = None if tested is None or tested.choice is None else tested.choice.kind
    fitted, choice = fit_map(rows, table, models.scores(calibrate, chosen), outcomes, tested=kind)
    before, after = _measure(opened, rows, models, chosen, fitted) if rows.measures else (None, None)
    return fitted, CalibrationEvidence(
        **rows.made_from(),
        kind=rows.kind,
        model=PinnedModel(name=model.name, version=model.version, sha256=model.sha256),
        calibrator=fitted.kind,
        choice=choice,
        rows=len(table),
        positives=int(np.count_nonzero(outcomes)),
        before=before,
        test=after,
        models=chosen,
    )


def _measure(
    opened: StepRun,
    rows: TaskRows,
    models: TaskModels,
    chosen: HeadModels | None,
    fitted: segmented_map.Calibrator,
) -> tuple[TaskFigures, TaskFigures]:
    """Return and draw the figures of the test days before and after calibration."""
    test = rows.test
    raw = models.scores(rows.slices.test, chosen)
    mapped = segmented_map.apply_calibrator(fitted, raw, read_segment_columns(rows, test))
    raw, calibrated = (debiasing.predict_where_shown(rows, test, predicted) for predicted in (raw, mapped))
    if rows.kind in {"binary", "value"}:
        draw_calibration(opened, rows.task, raw, replace(rows.observed, predictions=calibrated))
    examined = debiasing.ranking_examination(rows, test)
    trees = chosen is None or chosen.model == "trees"
    before = _figures_of_model(rows, models.model) if trees else None
    return before or rows.measured(raw, examination=examined), rows.measured(calibrated, examination=examined)


def _figures_of_model(rows: TaskRows, model: Part) -> TaskFigures | None:
    """Return the figures from the model's training if they used these rows and contracts.

    Figures of rankings are not reused, because the slate length is not an input of training.
    """
    if rows.kind == "ranking":
        return None
    registry = rows.workspace.store.registry
    evidence = registry.runs.read_evidence(registry.run_id(model), TrainingEvidence)
    sources = rows.made_from()
    return evidence.test if evidence.model_dump(mode="json", include=set(sources)) == sources else None


def _read_tested(rows: TaskRows, version: int) -> CalibrationEvidence:
    """Read the tested model's calibration, for the kind of map and the model of its refit."""
    registry, surface = rows.workspace.store.registry, rows.workspace.surface
    name = model_name(surface, rows.task)
    fitted = registry.find(calibrator_name(surface, rows.task), {f"{COMPONENT}{name}": str(version)})
    if fitted is None:
        raise ContractError(
            f"{name} version {version}, whose recipe is repeated, has no calibrator. Calibrate it first."
        )
    return registry.runs.read_evidence(registry.run_id(fitted), CalibrationEvidence)


def _describe_map(made: CalibrationEvidence) -> dict[str, str]:
    """Return the kind of map and the reasons of the choices, as flat parameters."""
    chosen = {} if made.choice is None else {"choice": made.choice.kind, "reason": made.choice.reason}
    models = made.models
    model = {} if models is None else {"model": models.model, "model.asked": models.asked}
    why = {} if models is None or models.choice is None else {"model.reason": models.choice.reason}
    return {"kind": made.calibrator, **chosen, **model, **why}


def _flatten_metrics(made: CalibrationEvidence) -> dict[str, float]:
    metrics: dict[str, float | int | None] = {}
    if made.test is not None and made.before is not None:
        metrics |= {f"test.{name}": value for name, value in made.test.headline.items()}
        metrics["before.calibration_ratio"] = made.before.headline.get("calibration_ratio")
    if made.choice is not None:
        metrics |= {
            f"held_out.normalized_entropy.{kind}": value for kind, value in made.choice.held_out.items()
        }
    if made.models is not None and made.models.choice is not None:
        metrics |= {f"held_out.error.{model}": e for model, e in made.models.choice.held_out.items()}
    return {name: float(value) for name, value in metrics.items() if value is not None}
