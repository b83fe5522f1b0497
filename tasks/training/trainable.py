"""Checks of labels, settings and libraries before training, with errors that a user can act on.

::

    labels of the train slice   -> enough positives, both outcomes (require_trainable)
    labels and the loss         -> 0 and 1, values of 0 or more, numbers that trees can hold (require_labels)
    an extra                    -> its libraries are installed (require_extra)
    monotone, groups            -> values that LightGBM accepts; others would crash the process
    trained trees               -> differ between candidates (refuse_constant)
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from tasks.arrays import AnyFloats, Integers
from tasks.contracts.training import LARGEST_LABEL, HeadKind, Objective
from tasks.errors import ContractError, DataError, ImmatureLabels, unknown
from tasks.training.slices import explain_too_few

LONGEST: Final = 10_000
"""Maximum number of items of a request that LightGBM ranks."""


def require_extra(asked: str, extra: str, libraries: Iterable[str]) -> None:
    """Raise an error if a library of an extra is not installed; imports nothing.

    Examples
    --------
    >>> require_extra("feed declares trunks (feed)", "trunk", ["numpy"])
    """
    missing = ", ".join(name for name in libraries if importlib.util.find_spec(name) is None)
    if missing:
        raise ContractError(
            f"{asked}, and {missing} is not installed. Install the extra: make setup {extra.upper()}=1, or "
            f"pip install 'equipoise[{extra}]'."
        )


def require_trainable(task: str, labels: AnyFloats, *, kind: HeadKind, minimum: int) -> None:
    """Refuse a train slice that is not sufficient for training.

    Parameters
    ----------
    labels : float [n], labels of the rows with positive weight.
    minimum : minimum number of positives (nonzero values).

    Examples
    --------
    >>> require_trainable("click", np.array([1.0, 0.0]), kind="binary", minimum=1)
    """
    spread = (float(labels.min()), float(labels.max())) if len(labels) else (0.0, 0.0)
    require_outcomes(task, int(np.count_nonzero(labels)), len(labels), spread, kind=kind, minimum=minimum)


def require_outcomes(
    task: str, count: int, rows: int, spread: tuple[float, float], *, kind: HeadKind, minimum: int
) -> None:
    """Like `require_trainable`, from the count of nonzero labels, the number of rows and the label range.

    Examples
    --------
    >>> require_outcomes("click", 1, 2, (0.0, 1.0), kind="binary", minimum=1)
    """
    if count < minimum:
        valued = kind in ("value", "quantile")
        raise ImmatureLabels(explain_too_few(task, count, rows, valued=valued, minimum=minimum))
    if spread[0] == spread[1]:
        raise DataError(
            f"Task '{task}' cannot be trained: all {rows} observed labels of its train slice are "
            f"{spread[0]:g}. It needs both outcomes; check the task's event, window and observed_when."
        )


def require_labels(labels: AnyFloats, objective: Objective) -> None:
    """Refuse labels outside the range of a loss.

    Examples
    --------
    >>> require_labels(np.array([1.0, 0.0]), "binary")
    """
    if objective in ("binary", "lambdarank") and (other := (labels != 0) & (labels != 1)).any():
        raise DataError(
            f"{other.sum()} of {len(labels)} labels are neither 0 nor 1, the first is {labels[other][0]:g}; "
            f"{objective} learns outcomes. Declare the task with kind: value if it has more of them."
        )
    if objective == "tweedie" and (below := int(np.count_nonzero(labels < 0))):
        raise DataError(
            f"{below} of {len(labels)} values are below 0, the least is {labels.min():g}; tweedie learns "
            "values of 0 or more. Use objective: l2, or clip the value in tasks.yaml."
        )
    if beyond := int(np.count_nonzero(np.abs(labels) > LARGEST_LABEL)):
        raise DataError(
            f"{beyond} of {len(labels)} values are beyond {LARGEST_LABEL:.2g}, the most that trees can hold. "
            "Clip the value in tasks.yaml."
        )


def require_monotone(
    monotone: Mapping[str, int], numeric: Sequence[str], categorical: Sequence[str], objective: Objective
) -> None:
    """Refuse monotone bounds that LightGBM does not support, or that would crash it.

    Examples
    --------
    >>> require_monotone({"price": -1}, ["price"], ["aisle"], "binary")
    """
    for name in monotone:
        if name in categorical:
            raise ContractError(
                f"monotone names '{name}', a categorical feature, whose codes have no order. Known: "
                f"{', '.join(numeric) or 'none'}."
            )
        if name not in numeric:
            raise ContractError(unknown("numeric feature", name, numeric, where="monotone"))
    if monotone and objective == "quantile":
        raise ContractError(
            "A quantile head takes no monotone: its leaves are set to quantiles after the trees are grown. "
            "Leave monotone out, or declare `monotone: {}` for the task."
        )


def require_short_requests(lengths: Integers) -> None:
    """Refuse requests with too many items to rank.

    Examples
    --------
    >>> require_short_requests(np.array([12, 40]))
    """
    longest = int(lengths.max(initial=0))
    if longest > LONGEST:
        raise DataError(
            f"A request has {longest} observed items, and lambdarank orders {LONGEST} at most. Look at "
            "request_id, or choose another objective."
        )
