"""The calibration step: a registered model's scores on the calibrate slice become a registered map.

::

    <surface>.task.<task>, fetched and compared -> scores of the calibrate days
      -> no map, one map or one by segment, as users held out say (calibration/choice.py) -> JSON
    test days -> figures of the calibrated predictions, reliability before and after
      -> run (figures, picture, evidence) -> <surface>.calibrator.<task>, linked to its model

The model's own probabilities already speak of all rows, sampled negatives or not: the map is fitted on them
and applied to them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks.calibration.choice import Kind, fit_map, read_segment_columns
from tasks.calibration.evidence import CalibrationEvidence
from tasks.calibration.pictures import draw_calibration
from tasks.errors import ContractError, GateRefused
from tasks.evaluation.evidence import PinnedModel
from tasks.evaluation.figures import TaskFigures
from tasks.ranking.heads import Head
from tasks.ranking.segmented_map import Calibrator, apply_calibrator
from tasks.stores.parts import CALIBRATOR, Part
from tasks.stores.registry import Registry
from tasks.stores.releases import COMPONENT
from tasks.stores.runs import StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace
from tasks.training import debiasing
from tasks.training.evidence import TrainingEvidence
from tasks.training.inputs import calibrator_inputs
from tasks.training.rows import NEWEST, REPEATS, Recipe, TaskRows, log_labels, read_labels, version_tags
from tasks.training.step import for_refit, model_name
from tasks.training.train_model import score_rows, score_test_rows
from tasks.training.trees import read_model


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
        """The version, named as a release's parts name it."""
        return self.version


@dataclass(frozen=True)
class _Calibration:
    """A model, and rows of which it learned from no calibrate day."""

    rows: TaskRows
    model: Part

    @property
    def workspace(self) -> Workspace:
        """The surface and its home."""
        return self.rows.workspace


def calibrator_name(surface: str, task: str) -> str:
    """Name the registered model of a task's calibrators."""
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
    """Calibrate one task's model.

    Parameters
    ----------
    as_of : the instant at which the world is looked at; the snapshot's own.
    snapshot : id of a published label snapshot.
    model_version : version of ``<surface>.task.<task>``; a refit is calibrated on the newest mature days, and
        nothing is measured then, since the days of the test are learned from.
    parent_run : the MLflow run that this one belongs under.

    Raises
    ------
    GateRefused
        The snapshot was not published, or the model learned from days that it would be calibrated on.
    ImmatureLabels
        The calibrate slice lacks positives or negatives.
    StoreError
        The model holds other bytes than were registered.
    """
    rows = TaskRows.open(workspace, task=task, as_of=as_of, snapshot=snapshot)
    return calibrate(rows, model_version=model_version, parent_run=parent_run)


def calibrate(rows: TaskRows, *, model_version: int, parent_run: str | None = None) -> CalibrateResult:
    """Calibrate a model of a task on the task's rows; raises as `run`."""
    done = CALIBRATE.run(_rows_of_model(rows, model_version), parent_run=parent_run)
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


def _rows_of_model(rows: TaskRows, version: int) -> _Calibration:
    """Return the model to calibrate, and rows of which it learned from no calibrate day."""
    registry = rows.workspace.store.registry
    model = registry.part(model_name(rows.workspace.surface, rows.task), version)
    tags = registry.tags(model)
    if REPEATS in tags:
        rows = for_refit(rows, int(tags[REPEATS]))
    _refuse_overlap(rows, model, tags)
    return _Calibration(rows, model)


def _refuse_overlap(rows: TaskRows, model: Part, tags: Mapping[str, str]) -> None:
    """Refuse to calibrate a model on days that it learned from."""
    newest = date.fromisoformat(tags[NEWEST])
    if newest >= rows.slices.calibrate.first:
        raise GateRefused(
            f"{model} learned from rows up to {newest}; its calibrate slice begins on "
            f"{rows.slices.calibrate.first}. Calibrate it as of {tags['as_of']}, or train anew."
        )


def _inputs(work: _Calibration) -> dict[str, Any]:
    rows, model = work.rows, work.model
    contracts = calibrator_inputs(rows.workspace.contracts, rows.task)
    return {**rows.inputs, "model": [model.version, model.sha256], "contracts": contracts}


def _tags(work: _Calibration) -> dict[str, str]:
    return {
        **version_tags(work.rows.made_from()),
        f"{COMPONENT}{work.model.name}": str(work.model.version),
    }


def _calibrate(work: _Calibration, opened: StepRun) -> Model[CalibrationEvidence]:
    rows, model = work.rows, work.model
    registry = rows.workspace.store.registry
    log_labels(opened, rows.snapshot, context="calibration")
    opened.reads_models([registry.model_id(model)])
    head = _fetch_head(registry, model, rows)
    fitted, evidence = _fit(opened, rows, model, head)
    params, metrics = _describe_map(evidence), _flatten_metrics(evidence)
    opened.params({**params, "slice": " to ".join(rows.slices.calibrate.to_json())})
    opened.metrics({"rows": evidence.rows, "positives": evidence.positives, **metrics})
    if evidence.test is not None:
        opened.table("figures.json", pd.DataFrame(evidence.test.table()))
    files = {CALIBRATOR: json.dumps(fitted.to_json(), allow_nan=False).encode()}
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


def _fetch_head(registry: Registry, model: Part, rows: TaskRows) -> Head:
    booster, encoder = read_model(registry.files(model))
    return Head(task=rows.task, kind=rows.kind, booster=booster, encoder=encoder, calibrator=None)


def _fit(opened: StepRun, rows: TaskRows, model: Part, head: Head) -> tuple[Calibrator, CalibrationEvidence]:
    """Fit the map on the calibrate days, and measure what it does to the test days."""
    table = rows.read_for_report(rows.slices.calibrate)
    outcomes = read_labels(table, rows.task)
    tested = None if rows.repeats is None else _find_tested_kind(rows, rows.repeats)
    scores = score_rows(rows, table, head.booster, head.encoder)
    fitted, choice = fit_map(rows, table, scores, outcomes, tested=tested)
    before, after = _measure(opened, rows, model, head, fitted) if rows.measures else (None, None)
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
    )


def _measure(
    opened: StepRun, rows: TaskRows, model: Part, head: Head, fitted: Calibrator
) -> tuple[TaskFigures, TaskFigures]:
    """Return the figures of the test days before and after calibration, and draw them."""
    test = rows.test
    raw = score_test_rows(rows, model.sha256, head.booster, head.encoder)
    mapped = apply_calibrator(fitted, raw, read_segment_columns(rows, test))
    raw, calibrated = (debiasing.predict_where_shown(rows, test, predicted) for predicted in (raw, mapped))
    if rows.kind in {"binary", "value"}:
        draw_calibration(opened, rows.task, raw, replace(rows.observed, predictions=calibrated))
    looks = debiasing.ranking_examination(rows, test)
    before = _figures_of_model(rows, model) or rows.measured(raw, examination=looks)
    return before, rows.measured(calibrated, examination=looks)


def _figures_of_model(rows: TaskRows, model: Part) -> TaskFigures | None:
    """Return what its training measured, where that was on these rows and under these contracts.

    An order's figures are not taken over: what is counted of a slate is no input of a training.
    """
    if rows.kind == "ranking":
        return None
    registry = rows.workspace.store.registry
    evidence = registry.runs.read_evidence(registry.run_id(model), TrainingEvidence)
    sources = rows.made_from()
    return evidence.test if evidence.model_dump(mode="json", include=set(sources)) == sources else None


def _find_tested_kind(rows: TaskRows, recipe: Recipe) -> Kind | None:
    """Return the kind of map that the tested model got; None where there was nothing to choose."""
    registry, surface = rows.workspace.store.registry, rows.workspace.surface
    made_for = {f"{COMPONENT}{model_name(surface, rows.task)}": str(recipe.version)}
    fitted = registry.find(calibrator_name(surface, rows.task), made_for)
    if fitted is None:
        raise ContractError(
            f"{model_name(surface, rows.task)} version {recipe.version}, whose recipe is repeated, has no "
            "calibrator. Calibrate it first."
        )
    choice = registry.runs.read_evidence(registry.run_id(fitted), CalibrationEvidence).choice
    return None if choice is None else choice.kind


def _describe_map(made: CalibrationEvidence) -> dict[str, str]:
    """Say what kind of map it is, and what decided it, as flat parameters."""
    chosen = {} if made.choice is None else {"choice": made.choice.kind, "reason": made.choice.reason}
    return {"kind": made.calibrator, **chosen}


def _flatten_metrics(made: CalibrationEvidence) -> dict[str, float]:
    metrics: dict[str, float | int | None] = {}
    if made.test is not None and made.before is not None:
        metrics |= {f"test.{name}": value for name, value in made.test.headline.items()}
        metrics["before.calibration_ratio"] = made.before.headline.get("calibration_ratio")
    if made.choice is not None:
        metrics |= {
            f"held_out.normalized_entropy.{kind}": value for kind, value in made.choice.held_out.items()
        }
    return {name: float(value) for name, value in metrics.items() if value is not None}
