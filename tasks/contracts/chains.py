"""Chains of tasks: the outcome along a chain, and what each head learns of it.

::

    root observed 1, child observed        -> the child's label
    root known to be 0                     -> 0: who did not buy did not return
    root unknown, or child unknown after 1 -> unknown (NaN), never a negative

A head of ``space: conditional`` learns the last link on its parent's positives and is multiplied along the
chain; one of ``space: entire`` learns the outcome of the whole chain, wherever that is known, and has no
parent. ``head_plan`` describes a head as it was trained, in a file beside its model: a contract that changes
later changes what is trained next, not what a model is::

    {task, kind, level, parent}            every head
    {..., held: {position: 1}}             debiased by a feature: the value at which scoring holds it
    {..., examined: true}                  debiased by weights: scaled by the examination of its position
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from tasks.columns import POSITION
from tasks.contracts import Contracts, TasksSpec

Floats = npt.NDArray[np.float64]

HEAD_FILE: Final = "head.json"
"""Its file beside the model's text."""


def parent(spec: TasksSpec, task: str) -> str | None:
    """Return the task on whose positives a task is learned: its ``after``, or its ``observed_when``."""
    when = spec.tasks[task].observed_when
    return spec.window_opener(task) or (when.task if when else None)


def chain(spec: TasksSpec, task: str) -> tuple[str, ...]:
    """Return root, ..., parent, task."""
    above = parent(spec, task)
    return (*(chain(spec, above) if above else ()), task)


def learns_joint_event(contracts: Contracts, task: str) -> bool:
    """Whether a task with a parent is learned as the joint event, on all impressions."""
    return (
        parent(contracts.tasks, task) is not None and contracts.surface.training_for(task).space == "entire"
    )


def head_parent(contracts: Contracts, task: str) -> str | None:
    """Return the task whose head's probability a head's own is multiplied by."""
    return None if learns_joint_event(contracts, task) else parent(contracts.tasks, task)


def position_correction(contracts: Contracts, task: str) -> Literal["none", "feature", "weight"]:
    """Return how a head is corrected for position.

    An item on which something has happened already was examined: there is nothing to correct in a return
    given a purchase, or in an answer. Weights are those of log loss.
    """
    when = contracts.tasks.tasks[task].observed_when
    happened = head_parent(contracts, task) is not None or (when is not None and when.event is not None)
    position = contracts.surface.training_for(task).position
    if position is None or happened or (position == "weight" and contracts.head_kind(task) != "binary"):
        return "none"
    return position


def join_outcomes(labels: Mapping[str, Floats], chain: Sequence[str]) -> Floats:
    """Return what is known of the last task of a chain, shape [rows].

    Parameters
    ----------
    labels : task -> its label where observed, else NaN, each of shape [rows].
    chain : root, ..., task.

    Examples
    --------
    >>> bought = np.array([0.0, 1.0, 1.0, np.nan])
    >>> returned = np.array([np.nan, 1.0, np.nan, np.nan])
    >>> join_outcomes({"bought": bought, "returned": returned}, ["bought", "returned"])
    array([ 0.,  1., nan, nan])
    """
    known = np.asarray(labels[chain[0]], dtype=np.float64)
    for task in chain[1:]:
        known = np.where(known == 0.0, 0.0, np.asarray(labels[task], dtype=np.float64))
    return known


def head_plan(contracts: Contracts, task: str) -> dict[str, Any]:
    """Return what the contracts ask a task's head to be, as plain JSON."""
    plan = {
        "task": task,
        "kind": contracts.head_kind(task),
        "level": contracts.tasks.tasks[task].level,
        "parent": head_parent(contracts, task),
    }
    match position_correction(contracts, task):
        case "feature":
            return {**plan, "held": {POSITION: contracts.surface.reference_position}}
        case "weight":
            return {**plan, "examined": True}
        case "none":
            return plan
