"""Totals made positive, and multiplied: what a sum of gains and costs is ranked by.

::

    S          sum of contributions; N, T: sums of |weight| (x cap) of the costs, and of all
    S < 0      scale x (S + N) / T         from 0, where nothing but costs is certain, to below scale
    S >= 0     scale + S
    utility    that x the factor of each multiplier whose conditions hold

The order of totals is kept, and a factor below 1 lowers whatever it meets; a negative total would rise by it.
With a negative value column a total may lie below -N; it counts as -N. The rule is that of a published ranker
(xAI, x-algorithm, 2026).
"""

import numpy as np
import pandas as pd

from .candidates import Codes, Floats, Mask
from .conditions import meets_all
from .policy import Multiplier, UtilityPolicy

_Shares = float | Floats


def offset_totals(totals: Floats, *, scale: float, costs: _Shares, whole: _Shares) -> Floats:
    """Return positive numbers in the order of totals, shape [rows]; NaN where a total is.

    Parameters
    ----------
    totals : [rows].
    scale : what a total of 0 becomes, above 0.
    costs, whole : N and T, of each row or of all.

    Examples
    --------
    >>> offset_totals(np.array([-3.0, -1.5, 0.0, 2.0]), scale=0.5, costs=3.0, whole=5.0)
    array([0.  , 0.15, 0.5 , 2.5 ])
    """
    lifted = np.maximum(totals + costs, 0.0) / np.where(np.asarray(whole) > 0, whole, 1.0)
    return np.asarray(np.where(totals < 0, scale * lifted, totals + scale))


def find_factors(candidates: pd.DataFrame, policy: UtilityPolicy, context: Codes) -> Floats:
    """Return the product of the factors that apply to each row, 1 where none does, shape [rows].

    A null in a multiplier's column meets no condition.

    Parameters
    ----------
    context : [rows] index of each row's context, -1 for none: it may have multipliers of its own.

    Raises
    ------
    DataError
        A column is missing or of another kind than the condition.

    Examples
    --------
    >>> from tasks.ranking.condition import Condition
    >>> less = Multiplier("less_of_this", (Condition("control", "one_of", ("less",)),), 0.3)
    >>> rows = pd.DataFrame({"control": ["less", None, "more"]})
    >>> find_factors(rows, UtilityPolicy("p", 1, {}, multipliers=(less,)), np.full(3, -1, dtype=np.int16))
    array([0.3, 1. , 1. ])
    """
    product = np.ones(len(candidates))
    for variants in policy.multipliers_by_context().values():
        for multiplier, contexts in variants.items():
            rows = np.isin(context, contexts) & where_applies(candidates, multiplier)
            product[rows] *= multiplier.factor
    return product


def where_applies(candidates: pd.DataFrame, multiplier: Multiplier) -> Mask:
    """Return where every condition of a multiplier holds, shape [rows].

    Examples
    --------
    >>> from tasks.ranking.condition import Condition
    >>> outside = Multiplier("outside", (Condition("network", "one_of", ("out",)),), 0.75)
    >>> where_applies(pd.DataFrame({"network": ["in", "out"]}), outside)
    array([False,  True])
    """
    return meets_all(candidates, multiplier.when, f"multiplier '{multiplier.name}'")


def name_multipliers(candidates: pd.DataFrame, policy: UtilityPolicy, context: Codes) -> list[str | None]:
    """Name the multipliers that apply to each row, joined by commas; None where none does.

    Examples
    --------
    >>> from tasks.ranking.condition import Condition
    >>> outside = Multiplier("outside", (Condition("network", "one_of", ("out",)),), 0.75)
    >>> policy = UtilityPolicy("p", 1, {}, multipliers=(outside,))
    >>> rows = pd.DataFrame({"network": ["in", "out"]})
    >>> name_multipliers(rows, policy, np.full(2, -1, dtype=np.int16))
    [None, 'outside']
    """
    named: list[list[str]] = [[] for _ in range(len(candidates))]
    for name, variants in policy.multipliers_by_context().items():
        for multiplier, contexts in variants.items():
            for row in np.flatnonzero(np.isin(context, contexts) & where_applies(candidates, multiplier)):
                named[row].append(name)
    return [", ".join(names) or None for names in named]
