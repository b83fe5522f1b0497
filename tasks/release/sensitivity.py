"""Effect of calibration errors on the utility: of an average slot, and of each candidate of a request.

::

    error of a term    contribution x (observed / predicted - 1), with the interval of that ratio
    share of spread    largest |ratio - 1| of the interval x the term's spread / the utility's spread
    error bar          root of the sum over terms of (contribution x largest |ratio - 1|)^2
    error of a gap     root of the sum over terms of (difference of contributions x largest |ratio - 1|)^2

The ratio in the slots is used if measurable, else the ratio of all shown items. A term is
named if its error may move candidates by a tenth of the utilities' spread.

The ratio of a candidate is that of all shown items on the release's test days. A head's error affects
neighbours equally, so equal contributions cancel in the error of their gap, and only differences count. Heads
are assumed independent. Under a policy with an offset, gaps are differences of totals. Between candidates
with different multipliers, the multipliers decide too.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd

from tasks.arrays import Floats
from tasks.columns import ITEM_ID, RANK, UTILITY
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import Measured, Sensitivity, TermShare, UtilityComposition
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate
from tasks.ranking import explain as e

RATIO, RATIO_LOW, RATIO_HIGH = "calibration_ratio", "calibration_ratio_low", "calibration_ratio_high"
ERROR, ERROR_LOW, ERROR_HIGH = "error", "error_low", "error_high"
UTILITY_ERROR: Final = "utility_error"
UNTOLD: Final = "untold"
GAP, GAP_ERROR, ORDER = "gap", "gap_error", "order"
_EXACT: Final = Estimate(1.0, 1.0, 1.0, 0)
"""Ratio of a term that needs no prediction."""


def sensitivities(
    composition: UtilityComposition, slots: Mapping[str, Estimate], whole: Mapping[str, Estimate]
) -> list[Sensitivity]:
    """Combine the simulated terms with the calibration of their heads."""
    spread = composition.spread
    return [
        _sensitivity(term, spread, _worst(term.heads, slots), _worst(term.heads, whole))
        for term in composition.terms
    ]


def _worst(heads: Sequence[str], ratios: Mapping[str, Estimate]) -> Estimate:
    """Return the ratio furthest from 1 among a term's heads; unknown if any is unknown."""
    found = [ratios.get(head, UNKNOWN_ESTIMATE) for head in heads]
    unknown = next((ratio for ratio in found if not ratio.known), None)
    return unknown or max(found, key=furthest, default=_EXACT)


def _sensitivity(term: TermShare, spread: float, slots: Estimate, whole: Estimate) -> Sensitivity:
    ratio = slots if slots.known else whole
    share = furthest(ratio) * term.spread / spread if spread else math.nan
    return Sensitivity.of(term, slots=slots, whole=whole, share=share)


def furthest(ratio: Estimate) -> float:
    """Return the largest relative error of a head's predictions; NaN if unknown."""
    return max(abs(ratio.low - 1), abs(ratio.high - 1)) if ratio.known else math.nan


def error_bar(terms: Sequence[Sensitivity]) -> float:
    """Return the error bar of a slot's utility, over terms with measurable calibration."""
    return math.sqrt(sum(term.largest**2 for term in terms if term.error.known))


def whole_ratios(tasks: Iterable[TaskFigures]) -> dict[str, Estimate]:
    """Return the calibration ratios of all shown items on the release's test days, by task."""
    found = ((task.task, task.estimate("calibration_ratio")) for task in tasks)
    return {task: ratio for task, ratio in found if ratio is not None}


def slot_ratios(measured: Iterable[Measured]) -> dict[str, Estimate]:
    """Return the simulated calibration ratios of the items in the slots, by task."""
    return {
        one.subject.task: one.policy
        for one in measured
        if one.subject.metric == MetricKind.CALIBRATION and one.segment == ALL and one.policy is not None
    }


class Order(StrEnum):
    """Significance of a candidate's place before the next one."""

    SIGNIFICANT = "significant"
    WITHIN_ERROR = "within_error"
    INCONCLUSIVE = "inconclusive"
    BY_TIER = "by_tier"
    BY_MULTIPLIER = "by_multiplier"


def with_error_bars(explained: pd.DataFrame, ratios: Mapping[str, Estimate]) -> pd.DataFrame:
    """Add error bars from the heads' calibration to an explained request.

    Returns
    -------
    DataFrame
        The same rows with further columns. For each term: ``calibration_ratio`` and ``error``, each with
        ``_low`` and ``_high``, NaN if unknown. For each candidate: ``utility_error`` (the error bar, without
        the terms that ``untold`` names), ``gap`` to the next in rank, ``gap_error`` and ``order``. The last
        three are null for the last and for dropped candidates.

    Examples
    --------
    >>> two = pd.DataFrame({"item_id": ["a", "b"], "rank": [1, 2], "tier": None, "utility": [0.4, 0.3]})
    >>> two = two.assign(task="click", head="click", contribution=two["utility"])
    >>> shown = with_error_bars(two, {"click": Estimate(1.1, 0.95, 1.2, 90)})
    >>> shown[["item_id", "utility_error", "gap", "gap_error", "order"]].round(3).values.tolist()
    [['a', 0.08, 0.1, 0.02, 'significant'], ['b', 0.06, nan, nan, nan]]
    """
    rows = explained.assign(off=[furthest(_ratio_of(head, ratios)) for head in explained[e.HEAD]])
    contributions, errors = (
        rows.pivot_table(index=ITEM_ID, columns=e.TASK, values=name, aggfunc="first", dropna=False)
        for name in (e.CONTRIBUTION, "off")
    )
    off = errors.to_numpy(dtype=np.float64)
    candidates = explained.drop_duplicates(ITEM_ID).set_index(ITEM_ID).reindex(contributions.index)
    bars = _bars(contributions, off).join(_gaps(candidates, contributions, off))
    return _with_errors(explained, ratios).merge(bars, left_on=ITEM_ID, right_index=True, how="left")


def _ratio_of(head: object, ratios: Mapping[str, Estimate]) -> Estimate:
    """Return the ratio of a contribution's head; a contribution without a head is exact."""
    return ratios.get(head, UNKNOWN_ESTIMATE) if isinstance(head, str) else _EXACT


def _with_errors(explained: pd.DataFrame, ratios: Mapping[str, Estimate]) -> pd.DataFrame:
    """Add each term's ratio and error; a contribution of 0 has no error."""
    of = [_ratio_of(head, ratios) for head in explained[e.HEAD]]
    known = [ratio if ratio.known else UNKNOWN_ESTIMATE for ratio in of]
    value, low, high = (np.array([getattr(r, end) for r in known]) for end in ("value", "low", "high"))
    added = explained[e.CONTRIBUTION].to_numpy(dtype=np.float64)
    errors = [np.where(added == 0, 0.0, added * (ratio - 1)) for ratio in (value, low, high)]
    return explained.assign(
        **{
            RATIO: value,
            RATIO_LOW: low,
            RATIO_HIGH: high,
            ERROR: errors[0],
            ERROR_LOW: np.minimum(errors[1], errors[2]),
            ERROR_HIGH: np.maximum(errors[1], errors[2]),
        }
    )


def _bars(contributions: pd.DataFrame, off: Floats) -> pd.DataFrame:
    """Return each candidate's error bar, NaN if its utility is unknown, and the terms that it excludes."""
    added, terms = contributions.to_numpy(dtype=np.float64), contributions.columns.to_numpy()
    without_ratio = np.isnan(off) & (added != 0)
    bar = np.where(np.isnan(added).any(axis=1), np.nan, _squares(added, off))
    named = [", ".join(terms[row]) or None for row in without_ratio]
    return pd.DataFrame(
        {UTILITY_ERROR: bar, UNTOLD: pd.Series(named, dtype=object, index=contributions.index)},
        index=contributions.index,
    )


def _gaps(candidates: pd.DataFrame, contributions: pd.DataFrame, off: Floats) -> pd.DataFrame:
    """Return each ranked candidate's gap to the next one, its error and its significance."""
    ranked = candidates[candidates[RANK].notna()].sort_values(RANK)
    added = contributions.loc[ranked.index].to_numpy(dtype=np.float64)
    off = off[contributions.index.get_indexer(ranked.index)]
    apart, off = added[:-1] - added[1:], np.maximum(off[:-1], off[1:])
    total = ranked[e.TOTAL if e.TOTAL in ranked else UTILITY].to_numpy(dtype=np.float64)
    gap, error = total[:-1] - total[1:], _squares(apart, off)
    order = np.full(len(gap), Order.SIGNIFICANT, dtype=object)
    order[(np.isnan(off) & (apart != 0)).any(axis=1)] = Order.INCONCLUSIVE
    order[np.abs(gap) <= error] = Order.WITHIN_ERROR
    if e.MULTIPLIED_BY in ranked:
        multiplied = ranked[e.MULTIPLIED_BY].fillna("").to_numpy()
        order[multiplied[:-1] != multiplied[1:]] = Order.BY_MULTIPLIER
    tier = ranked[e.TIER].to_numpy(dtype=np.float64, na_value=np.nan)
    order[np.nan_to_num(tier[:-1]) != np.nan_to_num(tier[1:])] = Order.BY_TIER
    return pd.DataFrame({GAP: gap, GAP_ERROR: error, ORDER: order}, index=ranked.index[:-1])


def _squares(added: Floats, off: Floats) -> Floats:
    """Return the root of the sum of squared errors over terms, shape [rows].

    Terms with unknown error are left out; NaN if no term has a known error.
    """
    counted = added != 0
    known = counted & ~np.isnan(off)
    error = np.sqrt((np.where(known, added * off, 0.0) ** 2).sum(axis=1))
    return np.where(counted.any(axis=1) & ~known.any(axis=1), np.nan, error)
