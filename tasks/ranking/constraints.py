"""Excludes candidates from ranking: by hard constraints, unknown values and relevance floors, in this order.

The first reason in that order is reported; within a kind, hard constraints follow declared order, the others
their names. A hard constraint fails closed: an unknown value drops the candidate, and a missing column raises
an error.

A floor ``{quantile: q}`` drops, within each request, the lowest share q of the candidates that passed hard
constraints and unknown values: floor(q x n) candidates, without ties at the threshold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..contracts.utility import HardConstraint, Quantile, UtilitySpec
from .candidates import CandidateSets, Codes, Floats, Mask, read_prediction
from .conditions import evaluate_condition
from .utility import Utilities

_ROUNDING = 1e-9
"""Added before a share of n candidates is rounded down, so that 0.3 x 10 is 3."""


@dataclass(frozen=True)
class Drops:
    """Drop reason of each candidate: an index into ``reasons``, -1 for candidates that are kept.

    ``violations``: each hard constraint with the rows that it drops, and those dropped for an unknown value.
    """

    codes: Codes
    reasons: tuple[str, ...]
    violations: tuple[tuple[HardConstraint, Mask, Mask], ...] = ()

    @property
    def kept(self) -> Mask:
        """The candidates that are not dropped, shape [rows]."""
        return self.codes < 0


def unknown_value_reason(name: str) -> str:
    """Return the drop reason of a candidate whose value column is null.

    Examples
    --------
    >>> unknown_value_reason("margin")
    'unknown_value:margin'
    """
    return f"unknown_value:{name}"


def relevance_floor_reason(task: str) -> str:
    """Return the drop reason of a candidate below a task's floor.

    Examples
    --------
    >>> relevance_floor_reason("click")
    'relevance_floor:click'
    """
    return f"relevance_floor:{task}"


def find_drops(
    candidates: pd.DataFrame,
    predictions: Mapping[str, npt.ArrayLike],
    policy: UtilitySpec,
    *,
    valued: Utilities,
    sets: CandidateSets,
) -> Drops:
    """Find the dropped candidates, and the first reason of each.

    Examples
    --------
    >>> policy = UtilitySpec(
    ...     policy="p", version=1, owner="o", approvals=["product"], weights={"click": 1},
    ...     relevance_floor={"click": 0.3},
    ... )
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> sets = CandidateSets.of(frame)
    >>> from tasks.ranking.utility import compute_utilities
    >>> valued = compute_utilities(frame, {"p_click": [0.5, 0.1]}, policy)
    >>> drops = find_drops(frame, {"p_click": [0.5, 0.1]}, policy, valued=valued, sets=sets)
    >>> drops.codes.tolist(), drops.reasons
    ([-1, 0], ('relevance_floor:click',))
    """
    violations = tuple(iterate_violations(candidates, policy, valued.context))
    drops = [(h.name, rows) for h, rows, _ in violations]
    drops += [(unknown_value_reason(name), rows) for name, rows in sorted(valued.unknown_values.items())]
    left = ~np.logical_or.reduce([np.zeros(len(candidates), dtype=np.bool_), *(rows for _, rows in drops)])
    for task, floors in policy.floors_by_context().items():
        values = read_prediction(candidates, predictions, task)
        below = np.zeros(len(candidates), dtype=np.bool_)
        for floor, contexts in floors:
            rows = np.isin(valued.context, contexts)
            below |= rows & (values < _floor_by_row(values, floor, left, sets))
        drops.append((relevance_floor_reason(task), below))
    codes = np.full(len(candidates), -1, dtype=np.int16)
    for index, (_, rows) in reversed(list(enumerate(drops))):
        codes[rows] = index
    return Drops(codes, tuple(reason for reason, _ in drops), violations)


def iterate_violations(
    candidates: pd.DataFrame, policy: UtilitySpec, context: Codes
) -> Iterator[tuple[HardConstraint, Mask, Mask]]:
    """Yield each hard constraint with the rows that it drops, and those dropped for an unknown value.

    Base constraints apply to all rows, constraints of a context to its own rows.

    Examples
    --------
    >>> legal = {"name": "legal", "keep_when": {"column": "permitted", "equals": True}}
    >>> policy = UtilitySpec(
    ...     policy="p",
    ...     version=1,
    ...     owner="o",
    ...     approvals=["product"],
    ...     weights={"click": 1},
    ...     hard_constraints=[legal],
    ... )
    >>> rows = pd.DataFrame({"permitted": [True, False, None]})
    >>> ((constraint, dropped, unknown),) = iterate_violations(rows, policy, np.full(3, -1, dtype=np.int16))
    >>> constraint.name, dropped.tolist(), unknown.tolist()
    ('legal', [False, True, True], [False, False, True])
    """
    for constraint in policy.hard_constraints:
        yield constraint, *find_violations(candidates, constraint)
    for index, declared in enumerate(policy.contexts):
        for constraint in declared.hard_constraints:
            dropped, unknown = find_violations(candidates, constraint)
            yield constraint, dropped & (context == index), unknown & (context == index)


def find_violations(candidates: pd.DataFrame, constraint: HardConstraint) -> tuple[Mask, Mask]:
    """Return where a hard constraint drops rows, and where because of an unknown value, each of shape [rows].

    Examples
    --------
    >>> constraint = HardConstraint(name="legal", keep_when={"column": "permitted", "equals": True})
    >>> dropped, unknown = find_violations(pd.DataFrame({"permitted": [True, False, None]}), constraint)
    >>> dropped.tolist(), unknown.tolist()
    ([False, True, True], [False, False, True])
    """
    held, known = evaluate_condition(candidates, constraint.condition, f"hard constraint '{constraint.name}'")
    return ~known | (held != constraint.keeps), ~known


def _floor_by_row(values: Floats, floor: float | Quantile, standing: Mask, sets: CandidateSets) -> Floats:
    if not isinstance(floor, Quantile):
        return np.asarray(floor)
    rows = np.flatnonzero(standing)
    ordered = rows[np.lexsort((values[rows], sets.request[rows]))]
    counts = sets.counts(standing)
    below = np.minimum(np.floor(floor.quantile * counts + _ROUNDING).astype(np.int64), counts - 1)
    least = np.full(len(sets), -np.inf)
    some = counts > 0
    least[some] = values[ordered[(np.cumsum(counts) - counts + below)[some]]]
    return least[sets.request]
