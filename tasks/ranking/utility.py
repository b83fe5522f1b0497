"""The utility of a candidate: a sum that can be taken apart.

contribution = weight x prediction [x value column];  utility = sum of contributions, by term's name

The context chooses the weights of a row: the first one whose conditions hold, else none. A null in a
context's column meets no condition. A value column that is null where its term has a weight leaves
the utility unknown (NaN): such a candidate is dropped as ``unknown_value:<column>``, never guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .candidates import Floats, Mask, describe_rows, read_numbers, read_prediction
from .conditions import evaluate_condition
from .policy import Context, UtilityPolicy

Codes = npt.NDArray[np.int16]
_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True)
class Utilities:
    """What each candidate is worth and why.

    Attributes
    ----------
    utility : sum of the contributions, NaN where a value column is unknown, shape [rows].
    contributions : term -> its part of the sum, shape [rows].
    context : index of the row's context in the policy, -1 for none, shape [rows].
    unknown_values : value column -> rows whose utility it leaves unknown.
    """

    utility: Floats
    contributions: Mapping[str, Floats]
    context: Codes
    unknown_values: Mapping[str, Mask]


@np.errstate(over="ignore", invalid="ignore")  # an overflow is refused below, by row
def compute_utilities(
    candidates: pd.DataFrame, predictions: Mapping[str, npt.ArrayLike], policy: UtilityPolicy
) -> Utilities:
    """Compose predictions into utility.

    Raises
    ------
    DataError
        A prediction or column is missing, a prediction is not finite, a value is infinite or no number.

    Examples
    --------
    >>> policy = UtilityPolicy.from_json(
    ...     {"policy": "p", "version": 1, "weights": {"click": 0.4, "hide": -3.0}}
    ... )
    >>> two = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> compute_utilities(two, {"p_click": [0.5, 0.25], "p_hide": [0.0, 0.5]}, policy).utility
    array([ 0.2, -1.4])
    """
    context = choose_contexts(candidates, policy.contexts)
    contributions: dict[str, Floats] = {}
    unknown_values: dict[str, Mask] = {}
    total = np.zeros(len(candidates))
    for term in policy.terms:
        variants = policy.variants(term)
        weight = _pick_by_context(np.array([v.weight for v in variants]), context)
        part = read_prediction(candidates, predictions, term) * weight
        for name in sorted({v.times for v in variants if v.times is not None}):
            rows = _pick_by_context(np.array([v.times == name and v.weight != 0 for v in variants]), context)
            values = read_numbers(candidates, name, f"the utility of '{term}'")
            part = np.where(rows, part * values, part)
            unknown_values[name] = unknown_values.get(name, np.False_) | (rows & np.isnan(values))
        contributions[term] = part
        total += part
    _refuse_overflow(candidates, total, unknown_values)
    return Utilities(total, contributions, context, unknown_values)


def choose_contexts(candidates: pd.DataFrame, declared: tuple[Context, ...]) -> Codes:
    """Return the index of the first context that holds, -1 where none does, shape [rows].

    Examples
    --------
    >>> from tasks.ranking.policy import Condition
    >>> evening = Context("evening", (Condition("hour", "one_of", (20, 21)),), {})
    >>> choose_contexts(pd.DataFrame({"hour": [9, 20]}), (evening,))
    array([-1,  0], dtype=int16)
    """
    chosen = np.full(len(candidates), -1, dtype=np.int16)
    for index, context in reversed(list(enumerate(declared))):
        rows = np.ones(len(candidates), dtype=np.bool_)
        for condition in context.when:
            rows &= evaluate_condition(candidates, condition, f"context '{context.name}'")[0]
        chosen[rows] = index
    return chosen


def _pick_by_context(variants: npt.NDArray[_Kind], context: Codes) -> npt.NDArray[_Kind]:
    """Pick each row's variant, the first one where there is no context; one value where all agree."""
    return variants[:1] if (variants == variants[0]).all() else variants[context + 1]


def _refuse_overflow(candidates: pd.DataFrame, total: Floats, unknown_values: Mapping[str, Mask]) -> None:
    beyond = ~np.isfinite(total)
    for rows in unknown_values.values():
        beyond &= ~rows
    if beyond.any():
        raise DataError(
            f"The utility overflows in {describe_rows(candidates, beyond)}; look at its value columns."
        )
