"""Explains the ranking of a request: each candidate's components, drop reasons, and rules that moved it.

A candidate's natural position is its rank, if the slate is that long. If its slot differs, the explanation
names the slate rules without any one of which the slot would change; if several rules would each have moved
it, those that move it alone. Both are found by filling the slate again with the same kernel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import ITEM_ID, REQUEST_ID
from ..contracts.slate import SlateSpec
from ..contracts.utility import UtilitySpec
from ..errors import DataError
from .candidates import (
    CandidateSets,
    Floats,
    Integers,
    Mask,
    factorize,
    name_codes,
    read_column,
    read_numbers,
)
from .certificate import Certificates
from .decide import Decision, decide
from .rules import Values
from .utility import TermSignal, name_multipliers

TASK = "task"
HEAD = "head"
PREDICTION = "prediction"
WEIGHT = "weight"
TIMES = "times"
VALUE_OF = "value"
CONTRIBUTION = "contribution"
TIER = "tier"
CONSTRAINTS = "constraints"
MOVED_BY = "moved_by"
UNMET = "unmet"
TOTAL = "total"
MULTIPLIED_BY = "multiplied_by"


@dataclass(frozen=True)
class Component:
    """One term of the utility, arrays of shape [candidates].

    Attributes
    ----------
    head : the predicted task, None if the term is a column by itself.
    prediction : prediction of the head, NaN without a head.
    times : index of the value column in the explanation's ``value_columns``, -1 for none.
    value : value of the value column, at most the cap; NaN without one.
    """

    head: Sequence[str | None]
    prediction: Floats
    weight: Floats
    times: Integers
    value: Floats
    contribution: Floats


@dataclass(frozen=True)
class Explanation:
    """One request, as arrays of shape [candidates]; as tables, best first, on request.

    Attributes
    ----------
    decision : the decision on the request's candidates.
    order : row indices, best first: by rank, then candidates without a rank, by item_id.
    tier : the tier that ranks before utility, from 1, the best; None if the policy has none.
    constraints : every constraint that affects each candidate, ``name`` or ``name (unknown)``, by commas.
    moved_by : the slate rules that moved each candidate, joined by commas.
    multiplied_by : under a policy with an offset, the names of the multipliers that apply.
    unmet : the slate's unmet rules, and the rules that exclude candidates; None if all are met.
    value_columns : the columns from which a term's value may come.
    terms : each term of the utility.
    """

    decision: Decision
    order: Integers
    tier: Values | None
    constraints: Sequence[str | None]
    moved_by: Sequence[str | None]
    multiplied_by: Sequence[str | None] | None
    unmet: str | None
    value_columns: tuple[str, ...]
    terms: Mapping[str, Component]

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row per candidate: the decision, its reasons, and in each row the slate's unmet requirements.

        Under a policy with an offset also ``total``, the sum of the contributions, and ``multiplied_by``.
        """
        rows = len(self.order)
        multiplied = {}
        if self.multiplied_by is not None:
            multiplied = {
                TOTAL: self.decision.valued.total,
                MULTIPLIED_BY: pd.array(list(self.multiplied_by), dtype="str"),
            }
        explained = pd.DataFrame(
            {
                **self.decision.columns,
                TIER: pd.array([None] * rows if self.tier is None else self.tier, dtype="Int32"),
                CONSTRAINTS: list(self.constraints),
                MOVED_BY: pd.array(list(self.moved_by), dtype="str"),
                **multiplied,
                UNMET: name_codes(np.full(rows, 0 if self.unmet else -1), [self.unmet] if self.unmet else []),
            }
        )
        return explained.take(self.order).reset_index(drop=True)

    @cached_property
    def components(self) -> pd.DataFrame:
        """One row per candidate and term: prediction, weight, value column and value, contribution."""
        rows, terms = len(self.order), self.terms.values()
        item_ids = self.decision.keys[ITEM_ID]
        return pd.DataFrame(
            {
                ITEM_ID: item_ids.take(np.tile(np.arange(rows), len(terms))),
                TASK: name_codes(np.repeat(np.arange(len(terms)), rows), list(self.terms)),
                HEAD: pd.array([head for term in terms for head in term.head], dtype="str"),
                PREDICTION: np.concatenate([term.prediction for term in terms]),
                WEIGHT: np.concatenate([term.weight for term in terms]),
                TIMES: name_codes(np.concatenate([term.times for term in terms]), self.value_columns),
                VALUE_OF: np.concatenate([term.value for term in terms]),
                CONTRIBUTION: np.concatenate([term.contribution for term in terms]),
            }
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row per candidate and term, with the candidate's decision repeated."""
        return self.candidates.merge(self.components, on=ITEM_ID, validate="one_to_many")


def explain(
    candidates: pd.DataFrame,
    predictions: Mapping[str, npt.ArrayLike],
    utility: UtilitySpec,
    slate: SlateSpec,
    *,
    request_id: object,
) -> Explanation:
    """Explain the decision on one request.

    Raises
    ------
    DataError
        There is no candidate of that request, or an error of ``decide``.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> weights = {"click": 2.0}
    >>> utility = UtilitySpec(policy="p", version=1, owner="o", approvals=["product"], weights=weights)
    >>> slate = SlateSpec(policy="s", version=1, length=1)
    >>> explanation = explain(frame, {"p_click": [0.25, 0.5]}, utility, slate, request_id="r")
    >>> explanation.candidates["item_id"].tolist(), explanation.components["contribution"].tolist()
    (['b', 'a'], [0.5, 1.0])
    """
    sets = CandidateSets.of(candidates)
    rows = np.flatnonzero(_are_named(sets.request_ids, request_id)[sets.request])
    if not len(rows):
        raise DataError(f"No candidate of request '{request_id}' in {len(candidates)} rows.")
    whole = len(rows) == len(candidates)
    mine = candidates if whole else candidates.iloc[rows]
    own = {name: np.asarray(values)[rows] for name, values in predictions.items()}
    decision = decide(mine, own, utility, slate, sets=sets if whole else None)
    context = decision.valued.context
    # by rank, then rows without a rank, by item_id
    by_item = decision.sets.order
    rank = np.where(decision.rank == 0, np.iinfo(decision.rank.dtype).max, decision.rank)
    return Explanation(
        decision=decision,
        order=by_item[np.argsort(rank[by_item], kind="stable")],
        tier=None if decision.tier is None else decision.tier + 1,
        constraints=_list_constraints(decision),
        moved_by=_find_moving_rules(decision),
        multiplied_by=None if utility.offset is None else name_multipliers(mine, utility, context),
        unmet=_describe_unmet(decision.certificates),
        value_columns=utility.columns,
        terms={term: _component_of(term, mine, own, utility, decision) for term in utility.term_names},
    )


def match_request(candidates: pd.DataFrame, request_id: object) -> Mask:
    """Return which candidates belong to a request, shape [rows].

    Ids are compared as text, because a request is given as text on the command line even if the table
    contains integers.

    Examples
    --------
    >>> match_request(pd.DataFrame({"request_id": [7, 8, 7]}), "7")
    array([ True, False,  True])
    """
    codes, distinct = factorize(read_column(candidates, REQUEST_ID, "the explanation"), REQUEST_ID)
    return _are_named(distinct, request_id)[codes]


def _are_named(ids: Iterable[object], request_id: object) -> Mask:
    """Return which ids equal a request's as text, with a final False for code -1 (null)."""
    return np.array([*(str(value) == str(request_id) for value in ids), False])


def _describe_unmet(certificates: Certificates) -> str | None:
    """Describe the slate's unmet rules and the rules that exclude candidates; None if all are met."""
    shortfalls = []
    for rule in certificates.rules:
        if rule.unmet[0]:
            out = [f"{name} keeps out {counts[0]}" for name, counts in rule.kept_out.items() if counts[0]]
            lacking = "; ".join([f"{rule.available[0]} at hand", *out])
            shortfalls.append(f"{rule.name} {rule.got[0]} of {rule.wanted[0]} ({lacking})")
    return ", ".join(shortfalls) or None


def _list_constraints(decision: Decision) -> list[str | None]:
    """List all constraints that affect each candidate, not only the first."""
    acted: list[list[str]] = [[] for _ in range(len(decision.rank))]
    hard = set()
    for constraint, dropped, unknown in decision.drops.violations:
        hard.add(constraint.name)
        for index in np.flatnonzero(dropped):
            acted[index].append(f"{constraint.name} (unknown)" if unknown[index] else constraint.name)
    for row in np.flatnonzero(~decision.drops.kept):
        reason = decision.drops.reasons[decision.drops.codes[row]]
        if reason not in hard:
            acted[row].append(reason)
    return [", ".join(names) or None for names in acted]


def _component_of(
    term: str,
    mine: pd.DataFrame,
    own: Mapping[str, npt.ArrayLike],
    utility: UtilitySpec,
    decision: Decision,
) -> Component:
    variants, columns = utility.variants[term], utility.columns
    signal = TermSignal.of(mine, own, variants, decision.valued.context)
    times = np.array([-1 if v.value_column is None else columns.index(v.value_column) for v in variants])
    variant = decision.valued.context.astype(np.intp) + 1
    values = np.full(len(mine), np.nan)
    for index in np.unique(variant):
        weight = variants[index]
        if weight.value_column is not None:
            numbers = read_numbers(mine, weight.value_column, "the explanation")
            capped = numbers if weight.value_cap is None else np.minimum(numbers, weight.value_cap)
            values = np.where(variant == index, capped, values)
    return Component(
        head=[signal.sources[code] for code in signal.counts],
        prediction=np.where(signal.is_column, np.nan, signal.prediction),
        weight=decision.valued.weights[term],
        times=times[variant],
        value=values,
        contribution=decision.contributions[term],
    )


def _find_moving_rules(decision: Decision) -> list[str | None]:
    """List the rules that move a candidate from its natural position."""
    rules = next(one.rules for one in decision.slates if one.among[0])
    rank = decision.rank
    natural = np.where(rank <= rules.length, rank, 0)
    moved: list[str | None] = [None] * len(rank)
    elsewhere = np.flatnonzero(decision.slate_position != natural)
    if not len(elsewhere):
        return moved
    without = {name: decision.refill(rules.only({*rules.names} - {name})) for name in rules.names}
    needed = {
        row: [name for name, others in without.items() if others[row] != decision.slate_position[row]]
        for row in elsewhere
    }
    alone = {} if all(needed.values()) else {n: decision.refill(rules.only({n})) for n in rules.names}
    for row, names in needed.items():
        enough = [name for name, others in alone.items() if others[row] != natural[row]]
        moved[row] = ", ".join(names or enough or without)
    return moved
