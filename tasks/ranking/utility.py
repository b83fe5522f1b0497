"""The utility of a candidate: a sum of contributions, by which candidates are ranked.

::

    contribution   weight [x factor of the user] x prediction [x value column]
    prediction     of the term's task, or the greatest of its tasks; 1 for a column term
    total S        sum of the contributions, by term's name
    utility        S; with an offset a positive number in the order of totals, x the multipliers that apply:
                   scale x (S + N) / T for S < 0, scale + S otherwise, where N and T are the sums of
                   |weight| (x cap) of the costs and of all terms

The first context whose conditions are met determines the weights of a row. A null in a context's column meets
no condition. If a value column is null where its term has a weight, the utility is unknown (NaN), and the
candidate is dropped as ``unknown_value:<column>``. Below a term's threshold on another prediction its weight
is 0. With a negative value column a total may be below -N; it is then replaced by -N. The offset follows a
published ranker (xAI, x-algorithm, 2026): with it a factor below 1 always lowers the utility, while without
it a negative total would rise.

A perturbed policy multiplies each weight by 1 + size or 1 - size, by a salted hash of user and task. The
signs of two weights, and of two users, are independent and equally likely, so the difference between users
with either sign is the effect of that weight (`tasks.ope.gradient`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import USER_ID, contribution, served, weight
from ..contracts.utility import Multiplier, Perturbation, PolicyContext, Term, UtilitySpec
from ..errors import DataError
from .candidates import (
    Codes,
    Floats,
    Mask,
    describe_rows,
    hash_ids,
    mix,
    read_column,
    read_numbers,
    read_prediction,
)
from .conditions import meets_all

_Shares = float | Floats
_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True)
class Utilities:
    """The utility of each candidate and its components.

    Attributes
    ----------
    utility : ranks candidates, NaN if a value column is unknown, shape [rows].
    total : sum of the contributions, shape [rows]; the utility itself if the policy has no offset.
    contributions : term -> its part of the total, shape [rows].
    context : index of the row's context in the policy, -1 for none, shape [rows].
    unknown_values : value column -> rows with an unknown utility because of it.
    factors : term -> factor of its weight, shape [rows]; empty without a perturbation.
    weights : term -> its weight in the row's context, times its factor, shape [rows].
    """

    utility: Floats
    total: Floats
    contributions: Mapping[str, Floats]
    context: Codes
    unknown_values: Mapping[str, Mask]
    factors: Mapping[str, Floats]
    weights: Mapping[str, Floats]

    @property
    def columns(self) -> dict[str, Floats]:
        """Each term's weight and contribution, by column."""
        return {
            name: numbers
            for term, part in self.contributions.items()
            for name, numbers in ((weight(term), self.weights[term]), (contribution(term), part))
        }

    @property
    def weighted_contributions(self) -> dict[str, Floats]:
        """Each term's contribution, NaN where it has no weight, for example outside its context."""
        return {
            term: np.where(self.weights[term] == 0, np.nan, part) if (self.weights[term] == 0).any() else part
            for term, part in self.contributions.items()
        }


@dataclass(frozen=True)
class TermSignal:
    """The prediction that each row's weight is multiplied by.

    Attributes
    ----------
    sources : the tasks that may be used, in declared order; None is a column term.
    counts : index of the row's source, shape [rows].
    prediction : prediction of that task, 1 for a column term, shape [rows].
    holds : whether every threshold is reached, shape [rows].
    """

    sources: tuple[str | None, ...]
    counts: Codes
    prediction: Floats
    holds: Mask

    @classmethod
    def of(
        cls,
        candidates: pd.DataFrame,
        predictions: Mapping[str, npt.ArrayLike],
        variants: Sequence[Term],
        context: Codes,
        *,
        certain: bool = False,
    ) -> "TermSignal":
        """Read a term's predictions, in each row by its context.

        Parameters
        ----------
        variants : the term without a context, then in each context.
        context : index of each row's context, -1 for none, shape [rows].
        certain : treat the outcome as certain: a prediction is then read only if it determines which task
            is used, or whether one is.

        Examples
        --------
        >>> best = Term(greater_of=["like", "share"], weight=2.0, where={"share": {"min": 0.3}})
        >>> predictions = {"p_like": [0.5, 0.1], "p_share": [0.2, 0.3]}
        >>> none = np.full(2, -1, dtype=np.int16)
        >>> signal = TermSignal.of(pd.DataFrame(index=range(2)), predictions, [best], none)
        >>> signal.prediction.tolist(), signal.holds.tolist()
        ([0.5, 0.3], [False, True])
        """
        sources = tuple(dict.fromkeys(source for term in variants for source in term.sources))
        reads = [(term.sources, term.where) for term in variants]
        distinct = [read for i, read in enumerate(reads) if read not in reads[:i]]
        signals = []
        for names, where in distinct:
            thresholds = {task: least.min for task, least in where.items()}
            alone = certain and len(names) == 1
            counts, prediction = _pick_greatest(candidates, predictions, [None] if alone else names)
            of = np.array([sources.index(name) for name in names], dtype=np.int16)
            holds = np.ones(len(candidates), dtype=np.bool_)
            for task, least in thresholds.items():
                holds &= read_prediction(candidates, predictions, task) >= least
            signals.append((of[counts], np.ones(len(candidates)) if certain else prediction, holds))
        if len(signals) == 1:
            return cls(sources, *signals[0])
        which = np.array([distinct.index(read) for read in reads])[context + 1]
        rows = np.arange(len(candidates))
        counts, prediction, holds = (np.stack(each)[which, rows] for each in zip(*signals, strict=True))
        return cls(sources, counts, prediction, holds)

    @property
    def is_column(self) -> Mask:
        """Rows whose source is a column term, shape [rows]."""
        return np.array([source is None for source in self.sources])[self.counts]


@np.errstate(over="ignore", invalid="ignore")  # overflows raise an error below
def compute_utilities(
    candidates: pd.DataFrame, predictions: Mapping[str, npt.ArrayLike], policy: UtilitySpec
) -> Utilities:
    """Compose predictions into utility.

    Raises
    ------
    DataError
        A prediction or column is missing, a prediction is not finite, a value is infinite or not a number.

    Examples
    --------
    >>> weights = {"click": 0.4, "hide": -3.0}
    >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["product"], weights=weights)
    >>> two = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> compute_utilities(two, {"p_click": [0.5, 0.25], "p_hide": [0.0, 0.5]}, policy).utility
    array([ 0.2, -1.4])
    """
    context = choose_contexts(candidates, policy.contexts)
    contributions: dict[str, Floats] = {}
    weights: dict[str, Floats] = {}
    unknown_values: dict[str, Mask] = {}
    total, factors = np.zeros(len(candidates)), _find_weight_factors(candidates, policy)
    for term, variants in policy.variants.items():
        signal = TermSignal.of(candidates, predictions, variants, context)
        weighed = _weigh(variants, signal, context) * factors.get(term, 1.0)
        weights[term] = np.broadcast_to(weighed, len(candidates))
        part = signal.prediction * weighed
        for name, used, values in _iterate_values(candidates, term, variants, context):
            rows = used & (weighed != 0)
            part = np.where(rows, part * values, part)
            unknown_values[name] = unknown_values.get(name, np.False_) | (rows & np.isnan(values))
        contributions[term] = part
        total += part
    utility = _rank_by(candidates, total, context, policy)
    _refuse_overflow(candidates, utility, unknown_values)
    return Utilities(utility, total, contributions, context, unknown_values, factors, weights)


def worth_of_outcomes(
    candidates: pd.DataFrame, predictions: Mapping[str, npt.ArrayLike], policy: UtilitySpec
) -> dict[str, Floats]:
    """Return the value that one outcome of each task adds to a candidate's total, shape [rows].

    It is the sum of weight x value over the terms in which the task is used: not below a threshold, and in a
    ``greater_of`` term only for the greatest prediction. A column term needs no outcome and is returned by
    its own name. Predictions are read only for these choices; unknown values count 0.

    Examples
    --------
    >>> policy = UtilitySpec(
    ...     policy="p", version=1, owner="o", approvals=["product"], weights={"like": 1.0},
    ...     terms={"best": {"greater_of": ["like", "share"], "weight": 2.0}},
    ... )
    >>> two = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> worth = worth_of_outcomes(two, {"p_like": [0.5, 0.1], "p_share": [0.2, 0.3]}, policy)
    >>> {task: each.tolist() for task, each in worth.items()}
    {'like': [3.0, 1.0], 'share': [0.0, 2.0]}
    """
    context = choose_contexts(candidates, policy.contexts)
    worth: dict[str, Floats] = {}
    factors = _find_weight_factors(candidates, policy)
    for term, variants in policy.variants.items():
        signal = TermSignal.of(candidates, predictions, variants, context, certain=True)
        each = np.broadcast_to(_weigh(variants, signal, context) * factors.get(term, 1.0), len(candidates))
        for _, rows, values in _iterate_values(candidates, term, variants, context):
            each = np.where(rows, each * np.nan_to_num(values), each)
        for code, task in enumerate(signal.sources):
            added = np.where(signal.counts == code, each, 0.0)
            worth[task or term] = worth.get(task or term, 0.0) + added
    return dict(sorted(worth.items()))


def served_predictions(logged: pd.DataFrame, names: Sequence[str]) -> dict[str, Floats]:
    """Return the logged predictions of the serving release, as far as the log has them.

    Examples
    --------
    >>> served_predictions(pd.DataFrame({"served_p_like": [0.5]}), ["p_like", "p_share"])
    {'p_like': array([0.5])}
    """
    held = [name for name in names if served(name) in logged]
    return {name: logged[served(name)].to_numpy(dtype=np.float64, na_value=np.nan) for name in held}


def _pick_greatest(
    candidates: pd.DataFrame, predictions: Mapping[str, npt.ArrayLike], names: Sequence[str | None]
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the index of each row's greatest prediction, the first of equal ones, and the prediction."""
    read = [
        np.ones(len(candidates)) if task is None else read_prediction(candidates, predictions, task)
        for task in names
    ]
    if len(read) == 1:
        return np.zeros(len(candidates), dtype=np.intp), read[0]
    return np.argmax(read, axis=0), np.max(read, axis=0)


def _weigh(variants: Sequence[Term], signal: TermSignal, context: Codes) -> Floats:
    """Return a term's weight by row, 0 below its thresholds."""
    weighed = _pick_by_context(np.array([v.weight for v in variants]), context)
    return weighed if signal.holds.all() else np.where(signal.holds, weighed, 0.0)


def _iterate_values(
    candidates: pd.DataFrame, term: str, variants: Sequence[Term], context: Codes
) -> Iterator[tuple[str, Mask, Floats]]:
    """Yield each value column of a term with the rows where it is used, and its values up to the cap."""
    for name in sorted({v.value_column for v in variants if v.value_column is not None}):
        counts = np.array([v.value_column == name and not v.is_zero for v in variants])
        caps = np.array([np.inf if v.value_cap is None else v.value_cap for v in variants])
        values = read_numbers(candidates, name, f"the utility of '{term}'")
        rows, most = (_pick_by_context(each, context) for each in (counts, caps))
        yield name, rows, np.minimum(values, most)


def _find_weight_factors(candidates: pd.DataFrame, policy: UtilitySpec) -> dict[str, Floats]:
    if (rule := policy.perturbation) is None:
        return {}
    return {term: weight_factors(candidates, term, rule) for term in policy.term_names}


def _rank_by(candidates: pd.DataFrame, total: Floats, context: Codes, policy: UtilitySpec) -> Floats:
    """Return the utility by which totals are ranked."""
    if policy.offset is None:
        return total
    by_term = [*policy.variants.values()]
    whole = np.sum([[v.most for v in variants] for variants in by_term], axis=0)
    costs = np.sum([[v.most if v.costs else 0.0 for v in variants] for variants in by_term], axis=0)
    reach = 1.0 if policy.perturbation is None else 1.0 + policy.perturbation.size
    lifted = offset_totals(
        total,
        scale=policy.offset.scale,
        costs=reach * _pick_by_context(costs, context),
        whole=reach * _pick_by_context(whole, context),
    )
    return lifted * find_factors(candidates, policy, context)


def choose_contexts(candidates: pd.DataFrame, declared: tuple[PolicyContext, ...]) -> Codes:
    """Return the index of the first context that applies, -1 for none, shape [rows].

    Examples
    --------
    >>> evening = PolicyContext(name="evening", when={"hour": (20, 21)}, weights={"click": 2.0})
    >>> choose_contexts(pd.DataFrame({"hour": [9, 20]}), (evening,))
    array([-1,  0], dtype=int16)
    """
    chosen = np.full(len(candidates), -1, dtype=np.int16)
    for index, context in reversed(list(enumerate(declared))):
        chosen[meets_all(candidates, context.when, f"context '{context.name}'")] = index
    return chosen


def _pick_by_context(variants: npt.NDArray[_Kind], context: Codes) -> npt.NDArray[_Kind]:
    """Return each row's variant, the first without a context; a single value if all variants are equal."""
    return variants[:1] if (variants == variants[0]).all() else variants[context + 1]


def _refuse_overflow(candidates: pd.DataFrame, total: Floats, unknown_values: Mapping[str, Mask]) -> None:
    beyond = ~np.isfinite(total)
    for rows in unknown_values.values():
        beyond &= ~rows
    if beyond.any():
        raise DataError(
            f"The utility overflows in {describe_rows(candidates, beyond)}; check its value columns."
        )


def weight_factors(candidates: pd.DataFrame, term: str, rule: Perturbation) -> Floats:
    """Return the factor of a term's weight, [rows]; 1 if the user is unknown.

    Examples
    --------
    >>> two = pd.DataFrame({"user_id": ["ana", "bo", None]})
    >>> weight_factors(two, "click", Perturbation(size=0.05, salt="a")).tolist()
    [0.95, 0.95, 1.0]
    """
    users = read_column(candidates, USER_ID, "the perturbation of weights")
    numbers = mix(hash_ids(users, USER_ID, f"{rule.salt}/{term}"))
    sign = np.where(numbers >> np.uint64(63), 1.0, -1.0)
    return np.where(users.isna(), 1.0, 1.0 + rule.size * sign)


def offset_totals(totals: Floats, *, scale: float, costs: _Shares, whole: _Shares) -> Floats:
    """Return positive numbers in the order of totals, shape [rows]; NaN where a total is NaN.

    Parameters
    ----------
    totals : [rows].
    scale : the value for a total of 0, above 0.
    costs, whole : N and T, by row or for all rows.

    Examples
    --------
    >>> offset_totals(np.array([-3.0, -1.5, 0.0, 2.0]), scale=0.5, costs=3.0, whole=5.0)
    array([0.  , 0.15, 0.5 , 2.5 ])
    """
    lifted = np.maximum(totals + costs, 0.0) / np.where(np.asarray(whole) > 0, whole, 1.0)
    return np.asarray(np.where(totals < 0, scale * lifted, totals + scale))


def find_factors(candidates: pd.DataFrame, policy: UtilitySpec, context: Codes) -> Floats:
    """Return the product of the multipliers that apply to each row, 1 without any, shape [rows].

    A null in a multiplier's column meets no condition.

    Parameters
    ----------
    context : [rows] index of each row's context, -1 for none: a context may have its own multipliers.

    Examples
    --------
    >>> less = {"name": "less_of_this", "when": {"control": "less"}, "factor": 0.3}
    >>> policy = UtilitySpec(
    ...     policy="p", version=1, owner="o", approvals=["product"], weights={"click": 1}, multipliers=[less]
    ... )
    >>> rows = pd.DataFrame({"control": ["less", None, "more"]})
    >>> find_factors(rows, policy, np.full(3, -1, dtype=np.int16))
    array([0.3, 1. , 1. ])
    """
    product = np.ones(len(candidates))
    for variants in policy.multipliers_by_context().values():
        for multiplier, contexts in variants:
            rows = np.isin(context, contexts) & _where_applies(candidates, multiplier)
            product[rows] *= multiplier.factor
    return product


def _where_applies(candidates: pd.DataFrame, multiplier: Multiplier) -> Mask:
    """Return where every condition of a multiplier is met, shape [rows]."""
    return meets_all(candidates, multiplier.when, f"multiplier '{multiplier.name}'")


def name_multipliers(candidates: pd.DataFrame, policy: UtilitySpec, context: Codes) -> list[str | None]:
    """List the multipliers that apply to each row, joined by commas; None without any.

    Examples
    --------
    >>> less = {"name": "less_of_this", "when": {"control": "less"}, "factor": 0.3}
    >>> policy = UtilitySpec(
    ...     policy="p", version=1, owner="o", approvals=["product"], weights={"click": 1}, multipliers=[less]
    ... )
    >>> rows = pd.DataFrame({"control": ["less", None, "more"]})
    >>> name_multipliers(rows, policy, np.full(3, -1, dtype=np.int16))
    ['less_of_this', None, None]
    """
    named: list[list[str]] = [[] for _ in range(len(candidates))]
    for name, variants in policy.multipliers_by_context().items():
        for multiplier, contexts in variants:
            for row in np.flatnonzero(np.isin(context, contexts) & _where_applies(candidates, multiplier)):
                named[row].append(name)
    return [", ".join(names) or None for names in named]
