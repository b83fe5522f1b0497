"""Why a request was ranked as it was: each candidate's components, what dropped it, what moved it.

A candidate's own place is its rank, if the slate is that long. Where its slot differs, the slate rules
without any one of which it would differ are named; where several rules would each have moved it alike,
those that move it alone. Both are found by deciding again with the same kernel.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import ITEM_ID, REQUEST_ID
from ..errors import DataError
from .candidates import Integers, name_codes, read_column, read_numbers, read_prediction
from .certificate import Certificates
from .constraints import iterate_violations
from .decide import Decision, combine_tiers, decide, slate_in_context
from .exploration import EXPLORATION
from .policy import UtilityPolicy
from .rules import DECAY, DIVERSITY, REQUIRED_FIRST, max_per_rule, max_where_rule, min_where_rule
from .slate_policy import SlatePolicy
from .totals import name_multipliers

TASK = "task"
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
class Explanation:
    """One request, best first.

    Attributes
    ----------
    candidates : one row a candidate: the decision, the tier that ranks before utility (from 1, the best;
        null where the policy has none), every constraint that acted (``name`` or ``name (unknown)``, joined
        by commas), the slate rules that moved it, and the slate's unmet requirements, in each row. Under a
        policy with an offset also ``total``, the sum of the contributions, and ``multiplied_by``, the names
        of the multipliers that apply.
    components : one row a candidate and task: prediction, weight, value column and value, contribution.
    """

    candidates: pd.DataFrame
    components: pd.DataFrame

    @property
    def frame(self) -> pd.DataFrame:
        """One row a candidate and task, with the candidate's decision repeated."""
        return self.candidates.merge(self.components, on=ITEM_ID, validate="one_to_many")


def explain(
    candidates: pd.DataFrame,
    predictions: Mapping[str, npt.ArrayLike],
    utility: UtilityPolicy,
    slate: SlatePolicy,
    *,
    request_id: object,
) -> Explanation:
    """Explain the decision on one request.

    Raises
    ------
    DataError
        There is no candidate of that request, or what ``decide`` refuses.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> utility = UtilityPolicy.from_json({"policy": "p", "version": 1, "weights": {"click": 2.0}})
    >>> slate = SlatePolicy.from_json({"policy": "s", "version": 1, "length": 1})
    >>> explanation = explain(frame, {"p_click": [0.25, 0.5]}, utility, slate, request_id="r")
    >>> explanation.candidates["item_id"].tolist(), explanation.components["contribution"].tolist()
    (['b', 'a'], [0.5, 1.0])
    """
    rows = np.flatnonzero(_match_request(candidates, request_id))
    if not len(rows):
        raise DataError(f"No candidate of request '{request_id}' in {len(candidates)} rows.")
    mine = candidates.iloc[rows].reset_index(drop=True)
    own = {name: np.asarray(values)[rows] for name, values in predictions.items()}
    decision = decide(mine, own, utility, slate)
    multiplied = {}
    if utility.offset is not None:
        applied = name_multipliers(mine, utility, decision.valued.context)
        multiplied = {TOTAL: decision.valued.total, MULTIPLIED_BY: pd.array(applied, dtype="str")}
    unmet = _describe_unmet(decision.certificates)
    moved_by = _find_moving_rules(mine, own, utility, slate, decision)
    explained = pd.DataFrame(
        {
            **decision.columns,
            TIER: _number_tiers(mine, own, utility),
            CONSTRAINTS: _list_constraints(mine, decision, utility),
            MOVED_BY: pd.array(moved_by, dtype="str"),
            **multiplied,
            UNMET: name_codes(np.full(len(mine), 0 if unmet else -1), [unmet] if unmet else []),
        }
    )
    best_first = explained.take(_order_best_first(decision)).reset_index(drop=True)
    return Explanation(best_first, _tabulate_components(mine, own, utility, decision))


def _order_best_first(decision: Decision) -> Integers:
    """Order rows by rank, then those without one, by item_id."""
    by_item = decision.sets.order
    rank = np.where(decision.rank == 0, np.iinfo(decision.rank.dtype).max, decision.rank)
    return by_item[np.argsort(rank[by_item], kind="stable")]


def _describe_unmet(certificates: Certificates) -> str | None:
    """Describe what the slate falls short of and who keeps candidates out; None where all is met."""
    shortfalls = []
    for rule in certificates.rules:
        if rule.unmet[0]:
            out = [f"{name} keeps out {counts[0]}" for name, counts in rule.kept_out.items() if counts[0]]
            lacking = "; ".join([f"{rule.available[0]} at hand", *out])
            shortfalls.append(f"{rule.name} {rule.got[0]} of {rule.wanted[0]} ({lacking})")
    return ", ".join(shortfalls) or None


def _match_request(candidates: pd.DataFrame, request_id: object) -> npt.NDArray[np.bool_]:
    # as text: that is how a request is named on a command line, also where the table holds integers
    ids = read_column(candidates, REQUEST_ID, "the explanation")
    return np.asarray(ids.astype(str) == str(request_id), dtype=np.bool_)


def _number_tiers(
    mine: pd.DataFrame, own: Mapping[str, npt.ArrayLike], utility: UtilityPolicy
) -> pd.api.extensions.ExtensionArray:
    numbers = combine_tiers(mine, own, utility)
    return pd.array([None] * len(mine) if numbers is None else numbers + 1, dtype="Int32")


def _list_constraints(mine: pd.DataFrame, decision: Decision, utility: UtilityPolicy) -> list[str | None]:
    """Name all constraints that acted on each candidate, not only the first."""
    acted: list[list[str]] = [[] for _ in range(len(mine))]
    hard = set()
    for constraint, dropped, unknown in iterate_violations(mine, utility, decision.valued.context):
        hard.add(constraint.name)
        for index in np.flatnonzero(dropped):
            acted[index].append(f"{constraint.name} (unknown)" if unknown[index] else constraint.name)
    for row in np.flatnonzero(~decision.drops.kept):
        reason = decision.drops.reasons[decision.drops.codes[row]]
        if reason not in hard:
            acted[row].append(reason)
    return [", ".join(names) or None for names in acted]


def _tabulate_components(
    mine: pd.DataFrame, own: Mapping[str, npt.ArrayLike], utility: UtilityPolicy, decision: Decision
) -> pd.DataFrame:
    """Return one row a task and candidate."""
    terms = utility.terms
    parts = [_components_of(term, mine, own, utility, decision) for term in terms]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    candidate = np.tile(np.arange(len(mine)), len(terms))
    return pd.DataFrame(
        {
            ITEM_ID: mine[ITEM_ID].take(candidate).reset_index(drop=True),
            TASK: name_codes(np.repeat(np.arange(len(terms)), len(mine)), terms),
            **columns,
            TIMES: name_codes(columns[TIMES], utility.columns),
        }
    )


def _components_of(
    term: str,
    mine: pd.DataFrame,
    own: Mapping[str, npt.ArrayLike],
    utility: UtilityPolicy,
    decision: Decision,
) -> dict[str, npt.NDArray[Any]]:
    """Return one term's numbers, each of shape [candidates]; its value column as an index of the policy's."""
    variants = utility.variants(term)
    times = np.array([-1 if v.times is None else utility.columns.index(v.times) for v in variants])
    variant = decision.valued.context.astype(np.intp) + 1
    values = np.full(len(mine), np.nan)
    for index in np.unique(variant):
        weight = variants[index]
        if weight.times is not None:
            numbers = read_numbers(mine, weight.times, "the explanation")
            capped = numbers if weight.cap is None else np.minimum(numbers, weight.cap)
            values = np.where(variant == index, capped, values)
    return {
        PREDICTION: read_prediction(mine, own, term),
        WEIGHT: decision.valued.weights[term],
        TIMES: times[variant],
        VALUE_OF: values,
        CONTRIBUTION: decision.contributions[term],
    }


def _find_moving_rules(
    mine: pd.DataFrame,
    own: Mapping[str, npt.ArrayLike],
    utility: UtilityPolicy,
    slate: SlatePolicy,
    decision: Decision,
) -> list[str | None]:
    slate = slate_in_context(int(decision.valued.context[0]), utility, slate)
    utility = replace(utility, contexts=tuple(replace(c, slate=None) for c in utility.contexts))

    def slots(policy: SlatePolicy) -> npt.NDArray[np.int32]:
        return decide(mine, own, utility, policy).slate_position

    rank = decision.rank
    natural = np.where(rank <= slate.length, rank, 0)
    without = {name: slots(rest) for name, rest, _ in _iterate_rules(slate)}
    alone = {name: slots(only) for name, _, only in _iterate_rules(slate)}
    moved: list[str | None] = [None] * len(rank)
    for row in np.flatnonzero(decision.slate_position != natural):
        needed = [name for name, others in without.items() if others[row] != decision.slate_position[row]]
        enough = [name for name, others in alone.items() if others[row] != natural[row]]
        moved[row] = ", ".join(needed or enough or without)
    return moved


def _without_rules(slate: SlatePolicy) -> SlatePolicy:
    return replace(
        slate,
        max_per={},
        max_where={},
        min_where={},
        required_first=None,
        diversity=None,
        decay=None,
        exploration=None,
    )


def _iterate_rules(slate: SlatePolicy) -> Iterator[tuple[str, SlatePolicy, SlatePolicy]]:
    """Yield each rule's name, the policy without it and the policy of it alone."""
    bare = _without_rules(slate)
    for field, name in (
        ("max_per", max_per_rule),
        ("max_where", max_where_rule),
        ("min_where", min_where_rule),
    ):
        declared: Mapping[str, int] = getattr(slate, field)
        for key, limit in declared.items():
            rest: dict[str, Any] = {field: {other: n for other, n in declared.items() if other != key}}
            only: dict[str, Any] = {field: {key: limit}}
            yield name(key), replace(slate, **rest), replace(bare, **only)
    if slate.required_first is not None:
        yield (
            REQUIRED_FIRST,
            replace(slate, required_first=None),
            replace(bare, required_first=slate.required_first),
        )
    if slate.diversity is not None:
        yield DIVERSITY, replace(slate, diversity=None), replace(bare, diversity=slate.diversity)
    if slate.decay is not None:
        yield DECAY, replace(slate, decay=None), replace(bare, decay=slate.decay)
    if slate.exploration is not None:
        yield EXPLORATION, replace(slate, exploration=None), replace(bare, exploration=slate.exploration)
