"""What decides the bytes of a task's model and calibrator: the inputs by which a version is found again.

::

    contracts         what a task learns, and how          model_inputs
    label snapshot    as-of and digest of its content    \
    slices            first and last day of each          >  TaskRows.inputs
    a repeated recipe, a continued model, a model's bytes     versions with their sha256

Everything else that people declare is an input of what is made of the parts: after an edit of a gate, a
guardrail or a policy the same models make another release. ``UNUSED`` names those fields; a test walks the
contracts' models and fails at a field that is in neither place.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel

from tasks.contracts import Contracts

Plain = dict[str, Any]
TRAINING_RECIPE: Final = "equipoise.training_recipe"
"""Tag of a model's version: the digest of how the contracts say that it is learned, whatever the data."""

UNUSED: Final[Mapping[str, str]] = {
    "surface.surface": "part of the registered model's name",
    "surface.version": "a label for people",
    "surface.owner": "a label for people",
    "surface.reviewers": "decide on promotions",
    "surface.sources": "decide the rows of the label store, whose content has a digest",
    "surface.engine": "how the labels are computed; every engine gives the same, and threads change no tree",
    "surface.columns": "rename the log's columns on the way into the label store",
    "surface.shown_is_all": "says which candidates a replay has; training reads impressions alone",
    "surface.segments": "split the figures of a report; a calibrator has them among its inputs",
    "surface.values": "columns of the log that a utility multiplies by",
    "surface.propensity_kind": "weighs the outcomes of a replay",
    "surface.split.train": "acts through the days of the slices",
    "surface.split.calibrate": "acts through the days of the slices",
    "surface.split.test": "acts through the days of the slices",
    "surface.minimum.train": "refuses slices that are too short, before a version is looked for",
    "surface.training.scheduler": "where a cluster is found; that one was asked for is an input (`engine`)",
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
    "tasks.tasks.family": "what an outcome is worth, not what it is",
    "tasks.tasks.cadence": "acts through the days of the slices",
    "tasks.tasks.train": "a task that is never trained has no model",
}
"""Fields of surface.yaml and tasks.yaml that decide no model's bytes, each with the reason."""


def model_inputs(contracts: Contracts, task: str) -> Plain:
    """Return what the contracts say of how a task's model is learned, as plain JSON.

    The task's own outcome and those that it follows or is made of, its features, its settings and those of
    the denser task that it starts from. What other tasks declare is not among it.
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
    """Return what the contracts say of how a shared trunk is learned, as plain JSON.

    Each of its tasks as a model of its own would learn it, and the shape of the network.
    """
    spec = contracts.surface.trunks[trunk]
    return {"trunk": _plain(spec), "tasks": {task: model_inputs(contracts, task) for task in spec.tasks}}


def training_recipe(contracts: Contracts, task: str, *, lightgbm: str) -> Plain:
    """Return how a task's model is learned, whatever the data: models of other days may share a recipe.

    The code of this program is no part of it: a changed program trains a new model by the same recipe.
    """
    return {
        "contracts": model_inputs(contracts, task),
        "split": contracts.surface.split.model_dump(mode="json"),
        "lightgbm": lightgbm,
    }


def calibrator_inputs(contracts: Contracts, task: str) -> Plain:
    """Return what the contracts say of how a task's calibrator is fitted, as plain JSON.

    Segments get effects of their own in it.
    """
    surface = contracts.surface
    segments = [_plain(segment) for segment in surface.segments]
    shared = {} if surface.trunk_of(task) is None else {"model": surface.model_for(task)}
    return {**model_inputs(contracts, task), "segments": segments, **shared}


def curve_inputs(contracts: Contracts) -> Plain:
    """Return what the contracts say of the examination curve, as plain JSON.

    A curve is estimated from the train days of the trained task with the most positives, whichever that is.
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
    """Return tasks with all that their labels hang on, each after what it needs."""
    found: dict[str, None] = {}
    for task in tasks:
        found |= _outcomes(contracts, dict.fromkeys(contracts.tasks.needs(task))) | {task: None}
    return found


def outcome_inputs(contracts: Contracts, task: str) -> Plain:
    """Return what a label means, without how it is learned."""
    return _plain(
        contracts.tasks.tasks[task], without={"family", "cadence", "train", "loss_weight", "sampling"}
    )


def _learned(contracts: Contracts, task: str) -> Plain:
    """Return how one task is learned: its trees, its examples, and its correction for position."""
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
    """Return plain JSON without what is left out, so that a new optional field alters no digest."""
    return model.model_dump(mode="json", by_alias=True, exclude=set(without), exclude_none=True)
