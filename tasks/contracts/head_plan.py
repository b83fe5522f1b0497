"""What a head is, as it was trained: what a release must know to score with it, beside its model.

::

    {task, kind, level, parent}            every head
    {..., held: {position: 1}}             debiased by a feature: what scoring holds it at
    {..., examined: true}                  debiased by weights: the examination of a place moves it

It is written when the head is trained and stays with the model: a contract that changes afterwards changes
what is trained next, not what a model already is.
"""

from typing import Any, Final

from tasks.columns import POSITION
from tasks.contracts import Contracts
from tasks.contracts.chains import head_parent, position_correction

FILE: Final = "head.json"
"""Its file beside the model's text."""


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
