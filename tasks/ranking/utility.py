"""The utility of a candidate: a sum that can be taken apart.

contribution = weight [x factor] x prediction [x value column];  total = sum of contributions, by term's name
utility      = total; with an offset a positive number in the order of totals, times multipliers (totals.py)

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
from .candidates import Codes, Floats, Mask, describe_rows, read_numbers, read_prediction
from .conditions import meets_all
from .perturbation import weight_factors
from .policy import Context, UtilityPolicy
from .totals import find_factors, offset_totals

_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True)
class Utilities:
    """What each candidate is worth and why.

    Attributes
    ----------
    utility : what candidates are ranked by, NaN where a value column is unknown, shape [rows].
    total : sum of the contributions, shape [rows]; the utility itself where the policy has no offset.
    contributions : term -> its part of the total, shape [rows].
    context : index of the row's context in the policy, -1 for none, shape [rows].
    unknown_values : value column -> rows whose utility it leaves unknown.
    factors : term -> by what its weight was multiplied, shape [rows]; empty without a perturbation.
    weights : term -> its weight in the row's context, times its factor, shape [rows].
    """

    utility: Floats
    total: Floats
    contributions: Mapping[str, Floats]
    context: Codes
    unknown_values: Mapping[str, Mask]
    factors: Mapping[str, Floats]
    weights: Mapping[str, Floats]


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
    weights: dict[str, Floats] = {}
    unknown_values: dict[str, Mask] = {}
    total, factors = np.zeros(len(candidates)), _find_weight_factors(candidates, policy)
    for term in policy.terms:
        variants = policy.variants(term)
        weight = _pick_by_context(np.array([v.weight for v in variants]), context) * factors.get(term, 1.0)
        part = read_prediction(candidates, predictions, term) * weight
        weights[term] = np.broadcast_to(weight, len(candidates))
        for name in sorted({v.times for v in variants if v.times is not None}):
            rows = _pick_by_context(np.array([v.times == name and v.weight != 0 for v in variants]), context)
            caps = _pick_by_context(np.array([np.inf if v.cap is None else v.cap for v in variants]), context)
            values = np.minimum(read_numbers(candidates, name, f"the utility of '{term}'"), caps)
            part = np.where(rows, part * values, part)
            unknown_values[name] = unknown_values.get(name, np.False_) | (rows & np.isnan(values))
        contributions[term] = part
        total += part
    utility = _rank_by(candidates, total, context, policy)
    _refuse_overflow(candidates, utility, unknown_values)
    return Utilities(utility, total, contributions, context, unknown_values, factors, weights)


def _find_weight_factors(candidates: pd.DataFrame, policy: UtilityPolicy) -> dict[str, Floats]:
    if (rule := policy.perturbation) is None:
        return {}
    return {term: weight_factors(candidates, term, rule) for term in policy.terms}


def _rank_by(candidates: pd.DataFrame, total: Floats, context: Codes, policy: UtilityPolicy) -> Floats:
    """Return what totals are ranked by."""
    if policy.offset is None:
        return total
    by_term = [policy.variants(term) for term in policy.terms]
    whole = np.sum([[v.most for v in variants] for variants in by_term], axis=0)
    costs = np.sum([[v.most if v.weight < 0 else 0.0 for v in variants] for variants in by_term], axis=0)
    reach = 1.0 if policy.perturbation is None else 1.0 + policy.perturbation.size
    lifted = offset_totals(
        total,
        scale=policy.offset,
        costs=reach * _pick_by_context(costs, context),
        whole=reach * _pick_by_context(whole, context),
    )
    return lifted * find_factors(candidates, policy, context)


def choose_contexts(candidates: pd.DataFrame, declared: tuple[Context, ...]) -> Codes:
    """Return the index of the first context that holds, -1 where none does, shape [rows].

    Examples
    --------
    >>> from tasks.ranking.condition import Condition
    >>> evening = Context("evening", (Condition("hour", "one_of", (20, 21)),), {})
    >>> choose_contexts(pd.DataFrame({"hour": [9, 20]}), (evening,))
    array([-1,  0], dtype=int16)
    """
    chosen = np.full(len(candidates), -1, dtype=np.int16)
    for index, context in reversed(list(enumerate(declared))):
        chosen[meets_all(candidates, context.when, f"context '{context.name}'")] = index
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
