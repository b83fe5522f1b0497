"""Conflicts between tasks: rank correlations of predictions and of outcomes, pair by pair (R11).

::

    predictions[a, b]   Spearman's rho of the two predictions over all rows
    outcomes[a, b]      Spearman's rho of the two outcomes over the rows[a, b] where both are known
    at_top              share of a task's top tenth that lies in a cost's top tenth too; by chance about .1

Rows of equal prediction are in one tenth, which may then be larger or smaller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ConfigDict

from tasks.arrays import Floats
from tasks.evaluation.documents import CLOSED, MaybeFloat, Section
from tasks.evaluation.grouping import assign_tenths
from tasks.evaluation.support import mean_interval
from tasks.evaluation.verdicts import Estimate


@dataclass(frozen=True)
class TopOverlap:
    """How much of a task's top tenth is a cost's top tenth; ``expected`` is the cost's share of all rows."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    task: str
    cost: str
    share: Estimate
    expected: float
    rows: int


class PairEvidence(Section):
    """Rank correlations of two tasks, of their predictions and of their outcomes; ``rows`` know both."""

    tasks: tuple[str, str]
    predictions: MaybeFloat
    outcomes: MaybeFloat
    rows: int


class ConflictEvidence(Section):
    """Where the tasks of a release pull apart."""

    tasks: tuple[str, ...]
    pairs: tuple[PairEvidence, ...]
    at_top: tuple[TopOverlap, ...]


def measure_conflicts(
    predictions: Mapping[str, Floats],
    outcomes: Mapping[str, Floats],
    users: npt.ArrayLike,
    *,
    costs: Sequence[str],
) -> ConflictEvidence:
    """Compare every pair of tasks on the same rows.

    Parameters
    ----------
    predictions : by task, each [n].
    outcomes : by task, each [n], NaN where unknown.
    users : [n] who is resampled for the shares.
    costs : the tasks of which less is better.

    Examples
    --------
    >>> p = {"click": np.arange(20.0), "hide": np.arange(20.0)[::-1]}
    >>> unknown = {task: np.full(20, np.nan) for task in p}
    >>> found = measure_conflicts(p, unknown, np.arange(20), costs=["hide"])
    >>> found.pairs[0].predictions, found.pairs[0].outcomes, found.at_top[0].share.value
    (-1.0, nan, 0.0)
    """
    names = tuple(predictions)
    known = pd.DataFrame({name: outcomes[name] for name in names})
    counted = known.notna().to_numpy().astype(np.int64)
    of_predictions, of_outcomes = correlate_ranks(pd.DataFrame(dict(predictions))), correlate_ranks(known)
    rows = counted.T @ counted
    pairs = tuple(
        PairEvidence(
            tasks=(names[i], names[j]),
            predictions=float(of_predictions[i, j]),
            outcomes=float(of_outcomes[i, j]),
            rows=int(rows[i, j]),
        )
        for i, j in combinations(range(len(names)), 2)
    )
    at_top = tuple(_measure_top_overlaps(predictions, users, costs))
    return ConflictEvidence(tasks=names, pairs=pairs, at_top=at_top)


def correlate_ranks(columns: pd.DataFrame) -> Floats:
    """Return Spearman's rho of each pair of columns over rows where both are known, NaN for constants.

    Examples
    --------
    >>> correlate_ranks(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [9.0, 4.0, 1.0]}))
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    count, known = columns.shape[1], columns.notna().to_numpy()
    counts = known.sum(axis=0)
    ranks = [columns.iloc[:, i].rank().to_numpy() for i in range(count)]
    correlations = np.full((count, count), np.nan)
    for i in range(count):
        for j in range(i, count):
            both = known[:, i] & known[:, j]
            sides = [
                ranks[side][both]
                if both.sum() == counts[side]
                else columns.iloc[both, side].rank().to_numpy()
                for side in (i, j)
            ]
            correlations[i, j] = correlations[j, i] = _rho(*sides)
    return correlations


def _rho(x: Floats, y: Floats) -> float:
    if len(x) < 2 or not np.ptp(x) or not np.ptp(y):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _measure_top_overlaps(
    predictions: Mapping[str, Floats], users: npt.ArrayLike, costs: Sequence[str]
) -> list[TopOverlap]:
    codes = {name: assign_tenths(p) for name, p in predictions.items() if len(p)}
    top = {name: of == of.max() for name, of in codes.items()}
    return [
        TopOverlap(
            task=task,
            cost=cost,
            share=mean_interval(np.where(mine, top[cost], np.nan), users, replicates=200),
            expected=float(top[cost].mean()),
            rows=int(mine.sum()),
        )
        for task, mine in top.items()
        for cost in costs
        if task not in costs and cost in top
    ]
