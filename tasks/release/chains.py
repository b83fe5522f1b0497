"""What an impression led to along a chain of tasks: the truth that a joint probability is held against.

::

    root observed 1, child observed        -> the child's label
    root known to be 0                     -> 0: who did not buy did not return
    root unknown, or child unknown after 1 -> unknown (NaN), never a negative
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tasks.contracts import TasksSpec

Floats = npt.NDArray[np.float64]


def parent(spec: TasksSpec, task: str) -> str | None:
    """Return the task on whose positives a task is learned: its ``after``, or its ``observed_when``."""
    when = spec.tasks[task].observed_when
    return spec.parent(task) or (when.task if when else None)


def chain(spec: TasksSpec, task: str) -> tuple[str, ...]:
    """Return root, ..., parent, task."""
    above = parent(spec, task)
    return (*(chain(spec, above) if above else ()), task)


def known_outcomes(labels: Mapping[str, Floats], chain: Sequence[str]) -> Floats:
    """Return what is known of the last task of a chain, shape [rows].

    Parameters
    ----------
    labels : task -> its label where observed, else NaN, each of shape [rows].
    chain : root, ..., task.

    Examples
    --------
    >>> bought = np.array([0.0, 1.0, 1.0, np.nan])
    >>> returned = np.array([np.nan, 1.0, np.nan, np.nan])
    >>> known_outcomes({"bought": bought, "returned": returned}, ["bought", "returned"])
    array([ 0.,  1., nan, nan])
    """
    known = np.asarray(labels[chain[0]], dtype=np.float64)
    for task in chain[1:]:
        known = np.where(known == 0.0, 0.0, np.asarray(labels[task], dtype=np.float64))
    return known
