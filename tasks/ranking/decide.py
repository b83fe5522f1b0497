"""From predictions to a decision: utility, drops, rank and slate of every request, in one kernel.

Batch scoring, simulation, shadow and serving call ``decide``; callers that decide on one set of candidates
many times pass its ``CandidateSets``. The order of rows does not matter: ties go to the smaller
item_id.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import (
    CERTIFICATE,
    CONTEXT,
    DRAWABLE,
    DROPPED_BY,
    EXPOSURE_BOOST,
    ITEM_ID,
    PROPENSITY,
    RANK,
    REQUEST_ID,
    SLATE_POSITION,
    UTILITY,
    weight_factor,
)
from ..contracts.slate import SlateSpec
from ..contracts.utility import UtilitySpec
from ..errors import DataError
from .candidates import (
    CandidateSets,
    Codes,
    Floats,
    Integers,
    Mask,
    Series,
    describe_rows,
    name_codes,
    read_prediction,
)
from .certificate import Certificates, DecidedSlates, certify
from .conditions import meets_all
from .constraints import Drops, find_drops
from .rules import SlateColumns, Values
from .slate import fill_slates
from .utility import Utilities, compute_utilities

BLOCK_CELLS = 1 << 17
"""Cells of one block, small enough for the processor's cache (``benchmarks/slates.py``)."""


@dataclass(frozen=True)
class Decision:
    """The decision on each candidate, in the order of the input rows.

    Attributes
    ----------
    keys : request_id and item_id of each candidate.
    valued : utility, its contributions and the context.
    drops : drop reasons.
    tier : ranks before utility, smallest first; None if the policy has no tiers.
    boost : added to the utility for ranking by exposure targets; None if the slate policy has no target.
    rank : from 1 within the request, by tier, utility and boost, item_id; 0 for dropped candidates.
    slate_position : slot from 1; 0 for candidates off the slate.
    drawn_from : number of candidates from which exploration drew it; 0 if it was not drawn.
    drawable : whether exploration could have drawn it.
    sets : the candidates by request.
    slates : the rules of each slate policy and the requests that it applies to.
    """

    keys: Mapping[str, pd.api.extensions.ExtensionArray]
    valued: Utilities
    drops: Drops
    tier: Values | None
    boost: Floats | None
    contexts: tuple[str, ...]
    rank: Values
    slate_position: Values
    drawn_from: Values
    drawable: Mask
    sets: CandidateSets
    slates: tuple[DecidedSlates, ...]

    @property
    def utility(self) -> Floats:
        """Utility, NaN where a value column is unknown, shape [rows]."""
        return self.valued.utility

    @property
    def score(self) -> Floats:
        """Utility and boost, by which candidates are ranked, shape [rows]."""
        return _boosted(self.utility, self.boost)

    @property
    def contributions(self) -> Mapping[str, Floats]:
        """Term -> its contribution to the utility, shape [rows]."""
        return self.valued.contributions

    @cached_property
    def certificates(self) -> Certificates:
        """The rules that each slate meets, and why it falls short of the others."""
        return certify(
            self.slates,
            self.sets,
            kept=self.drops.kept,
            position=self.slate_position,
            drawn=self.drawn_from > 0,
        )

    def refill(self, rules: SlateColumns) -> Values:
        """Return the slots from 1 under other rules, 0 off the slate, shape [rows]."""
        position = np.zeros(len(self.rank), dtype=np.int32)
        for ordered, valid in _iterate_best_first(self.sets, self.drops.kept, self.score, self.tier):
            block = rules.block(ordered, valid, self.score, self.tier)
            position[ordered[valid]] = fill_slates(block, rules.length).slots[valid]
        return position

    @property
    def propensity(self) -> Floats:
        """The probability of each item at its slot given those above it; NaN off the slate, shape [rows]."""
        placed = np.where(self.slate_position > 0, 1.0, np.nan)
        return np.asarray(placed / np.maximum(self.drawn_from, 1))

    @property
    def certificate(self) -> Series:
        """Each request's certificate as JSON in its first row, null in the others, shape [rows]."""
        texts = np.full(len(self.rank), None, dtype=object)
        texts[np.unique(self.sets.request, return_index=True)[1]] = self.certificates.texts()
        return pd.Series(texts, name=CERTIFICATE, dtype="str")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The decision as columns of ``columns.py``; null where there is no rank, slot, drop or context.

        It includes propensities and drawable rows if the slate policy draws slots, and the factors of
        perturbed weights.
        """
        return pd.DataFrame(self.columns)

    @property
    def columns(self) -> dict[str, object]:
        """The columns of ``frame``, each of shape [rows]."""
        explores = any(one.rules.pool is not None for one in self.slates)
        return {
            **self.keys,
            UTILITY: self.utility,
            RANK: _as_nullable(self.rank),
            SLATE_POSITION: _as_nullable(self.slate_position),
            DROPPED_BY: name_codes(self.drops.codes, self.drops.reasons),
            CONTEXT: name_codes(self.valued.context, self.contexts),
            **({PROPENSITY: self.propensity, DRAWABLE: self.drawable} if explores else {}),
            **({} if self.boost is None else {EXPOSURE_BOOST: self.boost}),
            **{weight_factor(term): factor for term, factor in self.valued.factors.items()},
        }


def decide(
    candidates: pd.DataFrame,
    predictions: Mapping[str, npt.ArrayLike],
    utility: UtilitySpec,
    slate: SlateSpec,
    *,
    sets: CandidateSets | None = None,
) -> Decision:
    """Decide on every candidate of every request.

    Parameters
    ----------
    candidates : one row per candidate: request_id, item_id and the columns that the policies read.
    predictions : ``p_<task>`` or ``v_<task>`` -> one number per candidate, calibrated and joint.
    sets : the grouping of these candidates, if it is already computed.

    Raises
    ------
    DataError
        A column or prediction is missing, of the wrong type or not finite, or a key is null or repeated.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> weights = {"click": 1.0}
    >>> utility = UtilitySpec(policy="p", version=1, owner="o", approvals=["product"], weights=weights)
    >>> slate = SlateSpec(policy="s", version=1, length=1)
    >>> decision = decide(frame, {"p_click": [0.2, 0.6]}, utility, slate)
    >>> decision.rank.tolist(), decision.slate_position.tolist()
    ([2, 1], [0, 1])
    """
    sets = CandidateSets.of(candidates) if sets is None else sets
    valued = compute_utilities(candidates, predictions, utility)
    dropped = find_drops(candidates, predictions, utility, valued=valued, sets=sets)
    tier, boost = combine_tiers(candidates, predictions, utility), find_boost(candidates, slate)
    slates = tuple(
        DecidedSlates(SlateColumns.of(candidates, policy), requests)
        for policy, requests in _slates_by_request(candidates, valued.context, utility, slate, sets)
    )
    score = _boosted(valued.utility, boost)
    rank, position, drawn_from = np.zeros((3, len(candidates)), dtype=np.int32)
    drawable = np.zeros(len(candidates), dtype=np.bool_)
    for one in slates:
        among = dropped.kept & one.among[sets.request]
        for ordered, valid in _iterate_best_first(sets, among, score, tier):
            filled = fill_slates(one.rules.block(ordered, valid, score, tier), one.rules.length)
            rows = ordered[valid]
            rank[rows] = np.nonzero(valid)[1] + 1
            position[rows], drawn_from[rows] = filled.slots[valid], filled.drawn_from[valid]
            drawable[rows] = filled.drawable[valid]
    return Decision(
        keys={name: candidates[name].array for name in (REQUEST_ID, ITEM_ID)},
        valued=valued,
        drops=dropped,
        tier=tier,
        boost=boost,
        contexts=tuple(context.name for context in utility.contexts),
        rank=rank,
        slate_position=position,
        drawn_from=drawn_from,
        drawable=drawable,
        sets=sets,
        slates=slates,
    )


def _boosted(utility: Floats, boost: Floats | None) -> Floats:
    return utility if boost is None else utility + boost


def find_boost(candidates: pd.DataFrame, slate: SlateSpec) -> Floats | None:
    """Return the exposure boost of each candidate's utility, shape [rows]; None without a target.

    It is added, not multiplied, because a factor above 1 would lower a negative utility. The orders with the
    greatest utility under a bound on the exposure of groups are those by utility plus the bound's price, the
    dual variable of the linear program of Singh and Joachims (2018).

    Examples
    --------
    >>> exposure = {"by": "tier", "least": {"new": 0.8}, "most": 0.5}
    >>> slate = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 2, "exposure": exposure})
    >>> tiers = pd.DataFrame({"tier": ["new", "old", None]})
    >>> find_boost(tiers, slate.boosted({"tier": {"new": 0.25}}))
    array([0.25, 0.  , 0.  ])
    """
    if slate.exposure is None or not slate.exposure.least:
        return None
    boost, by = np.zeros(len(candidates)), slate.exposure.by
    for value, added in slate.exposure.boosts.items():
        boost[meets_all(candidates, {by: (value,)}, "slate rule 'exposure'")] = added
    return boost


def _slates_by_request(
    candidates: pd.DataFrame, context: Codes, utility: UtilitySpec, slate: SlateSpec, sets: CandidateSets
) -> list[tuple[SlateSpec, Mask]]:
    """Return each slate policy with the requests that it applies to."""
    own = {index: of.slate for index, of in enumerate(utility.contexts) if of.slate is not None}
    if not own:
        return [(slate, np.ones(len(sets), dtype=np.bool_))]
    of_row = np.where(np.isin(context, [*own]), context, -1)
    of_request = np.full(len(sets), -1)
    of_request[sets.request] = of_row
    mixed = of_row != of_request[sets.request]
    if mixed.any():
        names = ", ".join(utility.contexts[index].name for index in own)
        raise DataError(
            f"A slate belongs to a request, and contexts with a slate ({names}) hold for a part of one: "
            f"{describe_rows(candidates, mixed)}. Let their conditions name columns of the request."
        )
    changed = [(slate.overridden(of), of_request == index) for index, of in own.items()]
    return [(slate, of_request == -1), *changed]


def combine_tiers(
    candidates: pd.DataFrame, predictions: Mapping[str, npt.ArrayLike], policy: UtilitySpec
) -> Values | None:
    """Return one number per row that orders all tiers at once, best first; None without tiers.

    Examples
    --------
    >>> tier = {"task": "report", "cuts": [0.1], "prefer": "low"}
    >>> policy = UtilitySpec(
    ...     policy="p", version=1, owner="o", approvals=["product"], weights={"click": 1},
    ...     lexicographic=[tier],
    ... )
    >>> combine_tiers(pd.DataFrame(index=range(3)), {"p_report": [0.5, 0.01, 0.02]}, policy)
    array([1, 0, 0], dtype=int32)
    """
    if not policy.lexicographic:
        return None
    combined = np.zeros(len(candidates), dtype=np.int64)
    for tier in policy.lexicographic:
        band = np.searchsorted(tier.cuts, read_prediction(candidates, predictions, tier.task), side="right")
        combined = combined * (len(tier.cuts) + 1) + (
            band if policy.better_first(tier) == "low" else len(tier.cuts) - band
        )
    return np.unique(combined, return_inverse=True)[1].astype(np.int32)


def _iterate_best_first(
    sets: CandidateSets, kept: Mask, utility: Floats, tier: Values | None
) -> Iterator[tuple[Integers, Mask]]:
    """Yield rectangles of rows, requests of similar size together, each request's best first.

    Invalid cells repeat a row.
    """
    rows, starts, counts = sets.ragged(kept)
    by_size = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    first = 0
    while first < len(by_size):
        width = counts[by_size[first]]
        requests = by_size[first : first + max(1, BLOCK_CELLS // int(width))]
        valid = np.arange(width) < counts[requests][:, None]
        places = starts[requests][:, None] + np.where(valid, np.arange(width), 0)
        yield _sort_best_first(rows[places], valid, utility, tier), valid
        first += len(requests)


def _sort_best_first(rows: Integers, valid: Mask, utility: Floats, tier: Values | None) -> Integers:
    """Order each request's rows by tier, utility and item_id (the input order); invalid cells last."""
    order = np.argsort(np.where(valid, -utility[rows], np.inf), axis=1, kind="stable")
    if tier is not None:
        worst = np.iinfo(tier.dtype).max
        tiers = np.take_along_axis(np.where(valid, tier[rows], worst), order, axis=1)
        order = np.take_along_axis(order, np.argsort(tiers, axis=1, kind="stable"), axis=1)
    return np.take_along_axis(rows, order, axis=1)


def _as_nullable(values: Values) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.IntegerArray(values, mask=values == 0)
