"""Inputs that determine a task's model and calibrator, by which an existing version is looked up.

::

    contracts         what a task learns, and how          model_inputs
    label snapshot    as-of and digest of its content     |
    slices            first and last day of each          |->  TaskRows.inputs
    a repeated recipe, a continued model, a model's bytes      versions with their sha256

All other declarations are inputs of the release: after a change of a gate, a guardrail or a policy the same
models make another release. ``UNUSED`` lists those fields; a test fails for fields in neither place.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel

from tasks.contracts import Contracts

Plain = dict[str, Any]
TRAINING_RECIPE: Final = "equipoise.training_recipe"
"""Tag of a model's version: digest of its training recipe according to the contracts, regardless of data."""

UNUSED: Final[Mapping[str, str]] = {
    "surface.surface": "part of the registered model's name",
    "surface.version": "a label for people",
    "surface.owner": "a label for people",
    "surface.reviewers": "decide on promotions",
    "surface.sources": "decide the rows of the label store, whose content has a digest",
    "surface.engine": "how the labels are computed; every engine gives the same, and threads change no tree",
    "surface.columns": "rename the log's columns on the way into the label store",
    "surface.shown_is_all": "names the candidates of a replay; training reads only impressions",
    "surface.segments": "split the figures of a report; a calibrator has them among its inputs",
    "surface.values": "columns of the log that a utility multiplies by",
    "surface.propensity_kind": "weighs the outcomes of a replay",
    "surface.split.train": "acts through the days of the slices",
    "surface.split.calibrate": "acts through the days of the slices",
    "surface.split.test": "acts through the days of the slices",
    "surface.minimum.train": "refuses slices that are too short, before a version is looked for",
    "surface.training.scheduler": "address of a cluster; its use is an input (`engine`)",
    "surface.training.warm_start": "acts through the version that is continued",
    "surface.training.refit": "makes a further model and leaves the tested one as it is",
    "surface.proxies": "a report of the release",
    "surface.base_rates": "bounds of the validation",
    "surface.trunks": "decides a shared trunk, a model with inputs of its own (`trunk_inputs`)",
    "surface.models": "chooses among models; a calibrator has it among its inputs",
    "surface.until": "ends schedules",
    "surface.schedule": "when a workflow runs",
    "surface.arrival": "how long a retrain waits",
    "surface.promotion": "how a release is proposed",
    "surface.notify": "who receives messages",
    "surface.monitor": "which alarms fail a run",
    "surface.keep": "what is removed when it is old",
    "surface.override": "who may lift a gate",
    "surface.ramp": "how a release is exposed",
    "surface.gates": "evaluate a release",
    "tasks.contract": "a label for people",
    "tasks.version": "a label for people",
    "tasks.tasks.description": "words for people",
    "tasks.tasks.family": "the value of an outcome, not its definition",
    "tasks.tasks.cadence": "acts through the days of the slices",
    "tasks.tasks.train": "a task that is never trained has no model",
}
"""Fields of surface.yaml and tasks.yaml that do not affect a model's bytes, each with the reason."""


def model_inputs(contracts: Contracts, task: str) -> Plain:
    """Return the contracts' settings for training a task's model, as plain JSON.

    They contain the task's outcome and the outcomes that it depends on, its features, its settings and those
    of the denser task that it starts from. They contain nothing of other tasks.
    """
    surface = contracts.surface
    start = surface.training_for(task).start_from
    learned = dict.fromkeys((task, start.task) if start else (task,))
    return {
        "outcomes": {name: outcome_inputs(contracts, name) for name in _outcomes(contracts, learned)},
        "learned": {name: _learned(contracts, name) for name in learned},
        "features": _plain(surface.features),
        "early_stop": surface.split.early_stop,
        "positives": surface.minimum.positives,
    }


def trunk_inputs(contracts: Contracts, trunk: str) -> Plain:
    """Return the contracts' settings for training a shared trunk, as plain JSON.

    They contain the model inputs of each task and the shape of the network.
    """
    spec = contracts.surface.trunks[trunk]
    return {"trunk": _plain(spec), "tasks": {task: model_inputs(contracts, task) for task in spec.tasks}}


def training_recipe(contracts: Contracts, task: str, *, lightgbm: str) -> Plain:
    """Return the training recipe of a task's model, regardless of data: models of other days may share it.

    The recipe excludes this program's code: a changed program trains a new model with the same recipe.
    """
    return {
        "contracts": model_inputs(contracts, task),
        "split": contracts.surface.split.model_dump(mode="json"),
        "lightgbm": lightgbm,
    }


def calibrator_inputs(contracts: Contracts, task: str) -> Plain:
    """Return the contracts' settings for fitting a task's calibrator, as plain JSON.

    They include the segments, which have their own effects in the calibrator.
    """
    surface = contracts.surface
    segments = [_plain(segment) for segment in surface.segments]
    shared = {} if surface.trunk_of(task) is None else {"model": surface.model_for(task)}
    return {**model_inputs(contracts, task), "segments": segments, **shared}


def curve_inputs(contracts: Contracts) -> Plain:
    """Return the contracts' settings for the examination curve, as plain JSON.

    A curve is estimated from the train days of the trained task with the most positives.
    """
    surface, tasks = contracts.surface, contracts.tasks.tasks
    declared = surface.examination_curve
    inputs: Plain = {"declared": declared, "reference": surface.reference_position}
    if surface.examination != "estimated":
        return inputs
    cadences = {name: task.cadence for name, task in tasks.items()}
    outcomes = {name: outcome_inputs(contracts, name) for name in tasks}
    trained = sorted(contracts.tasks.trained)
    learned = {"outcomes": outcomes, "cadences": cadences, "trained": trained}
    return {**inputs, **learned, "split": _plain(surface.split)}


def _outcomes(contracts: Contracts, tasks: Mapping[str, None]) -> dict[str, None]:
    """Return tasks with all tasks that their labels depend on, each after its dependencies."""
    found: dict[str, None] = {}
    for task in tasks:
        found |= _outcomes(contracts, dict.fromkeys(contracts.tasks.needs(task))) | {task: None}
    return found


def outcome_inputs(contracts: Contracts, task: str) -> Plain:
    """Return the definition of a label, without training settings."""
    return _plain(
        contracts.tasks.tasks[task], without={"family", "cadence", "train", "loss_weight", "sampling"}
    )


def _learned(contracts: Contracts, task: str) -> Plain:
    """Return the training settings of one task: trees, examples, and correction for position."""
    surface, spec = contracts.surface, contracts.tasks.tasks[task]
    training = surface.training_for(task)
    apart = {"warm_start", "refit", "scheduler", *(() if training.engine == "dask" else ("engine",))}
    inputs: Plain = {
        "lightgbm": surface.lightgbm_for(task),
        "training": _plain(training, without=apart),
        "loss_weight": spec.loss_weight,
        "sampling": None if spec.sampling is None else _plain(spec.sampling),
    }
    match contracts.position_correction(task):
        case "feature":
            return {**inputs, "reference": surface.reference_position}
        case "weight":
            return {**inputs, "examination": curve_inputs(contracts)}
        case "none":
            return inputs


def _plain(model: BaseModel, *, without: Collection[str] = ()) -> Plain:
    """Return plain JSON without unset fields, so that a new optional field changes no digest."""
    return model.model_dump(mode="json", by_alias=True, exclude=set(without), exclude_none=True)
