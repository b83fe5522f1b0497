"""Tests whether a log supports a target policy, with reasons in words.

===================== ===========================================================================
outside the support   over 5 % of the target's probability lies on items that were never logged there
overflow              weights are too large to be summed
few users             weights are equivalent to fewer than 20 equal users
few outcomes          fewer than 10 rows with a reward and a weight
one user              over a tenth of all weight belongs to one user
weights do not add up their mean differs from 1, minus the share outside the support, by more than three
                      standard errors: propensities or probabilities do not match the policies
out of balance        for a value of a column, an item has more weight than the target's probability of it
===================== ===========================================================================

**Balance** tests whether the ranker used a column of the log that the logged propensities ignore.
Propensities that ignore an input of the ranker can average to the right sum and still be wrong where it
matters. With correct propensities, for any information known before the item a was drawn,

    E[w 1{item = a} | request, position, items above] = pi(a | request, position, items above)

where pi is the target's probability at the row's own place, within its request if the target depends on it.
So for an item a and a value v of a column, summed over the rows of a user,

    x = sum over rows with v of  w 1{item = a} - pi(a)        has a mean of 0
    z = sum of x / sqrt(sum of x^2)

Only an excess (z > 0) rejects the propensities. Wrong propensities give one item too much weight and another
too little, so an excess always exists. A shortfall also occurs with correct propensities: before a rare draw
with a large weight has happened, both the sum of x and the sum of x^2 are too small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import ndtri

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, Clusters, Support, effective_number
from tasks.ope.estimators import EstimatorSums
from tasks.ope.log_rows import ContextColumn, LogRows, TargetRows

MOST_UNSUPPORTED: Final = 0.05
"""Largest share of the target's probability where the log has no row."""
MOST_OF_ONE: Final = 0.1
"""Largest share of all weight of one user."""
MOST_ITEMS: Final = 20
"""Number of compared items: those that the target shows most."""
LEAST_Z: Final = 3.5
"""Smallest z that rejects the propensities."""
FALSE_ALARMS: Final = 0.01
"""Largest share of correct logs that are rejected: the limit of z grows with the number of compared cells."""
_STANDARD_ERRORS: Final = 3.0
_EXAMPLES: Final = 3


@dataclass(frozen=True)
class Overlap:
    """Effective sample size, largest weight, and largest share of one user."""

    ess: float
    max_weight: float
    largest_share: float


def measure_overlap(weight: Floats, clusters: Indices) -> Overlap:
    """Measure weights [n] of rows with user codes [n].

    Examples
    --------
    >>> measure_overlap(np.array([1.0, 1.0, 2.0, 0.0]), np.array([0, 0, 1, 2]))
    Overlap(ess=2.6666666666666665, max_weight=2.0, largest_share=0.5)
    """
    total = float(weight.sum())
    # scaling by a power of two is exact, and keeps the squares of huge weights finite
    scaled = np.ldexp(weight, -np.frexp(weight.max())[1])
    ess = float(effective_number(scaled.sum(), (scaled**2).sum()))
    largest = float(np.bincount(clusters, weight).max())
    return Overlap(ess, float(weight.max()), largest / total if total else 0.0)


def unsupported_share(target: TargetRows) -> float:
    """Return the share of the target's probability on items that no row logged at that position."""
    return float(target.expect(_never_logged(target).astype(np.float64)).mean())


def _never_logged(target: TargetRows) -> Flags:
    """Mark the items of the target that no row logged at their position, [m]."""
    return ~np.isin(target.pairs, target.logged_pairs)


def find_sparse_support(log: LogRows, target: TargetRows, terms: EstimatorSums) -> Iterator[str]:
    """Yield the reasons why an estimator's figure cannot be estimated from these rows."""
    share = unsupported_share(target)
    if share > MOST_UNSUPPORTED:
        # the items that were never logged, those that the target shows most first
        shown = np.where(_never_logged(target), target.probability, 0.0)
        largest = np.argsort(-shown, kind="stable")
        names = dict.fromkeys(f"{target.items[n]} at {target.positions[n]}" for n in largest if shown[n] > 0)
        yield (
            f"{share:.1%} of the target's probability is on items never logged at that position "
            f"(at most {MOST_UNSUPPORTED:.0%}): {', '.join(list(names)[:_EXAMPLES])}"
        )
    who, weight = log.clusters, terms.weight
    support = Support.of(terms.outcome, weight, who.codes)
    if not np.isfinite(count := float(support.clusters[0])):
        yield "the weights are too large to be added up"
    if count < LEAST_CLUSTERS:
        yield f"the weights count like {count:.1f} equal {who.resampled} (at least {LEAST_CLUSTERS})"
    if (outcomes := int(support.positives[0])) < LEAST_POSITIVES:
        yield f"{outcomes} rows have a reward and a weight (at least {LEAST_POSITIVES})"
    if (one := measure_overlap(weight, who.codes).largest_share) > MOST_OF_ONE:
        yield f"{one:.0%} of all weight belongs to one of the {who.resampled} (at most {MOST_OF_ONE:.0%})"
    yield from _find_odd_mean(terms, who, least=(1 - share) ** int(log.lengths.max()))


def find_out_of_balance(log: LogRows, target: TargetRows) -> Iterator[str]:
    """Yield a reason if the propensities ignore a column of the log that the ranker used."""
    items = list(_weigh_items(log, target))
    cells = [cell for column in log.context for cell in _cells(column, items, log.clusters.codes)]
    if not cells:
        return
    limit = max(LEAST_Z, float(-ndtri(FALSE_ALARMS / len(cells))))
    column, value, item, z, ratio = max(cells, key=lambda cell: cell[3])
    if z > limit:
        yield (
            f"where {column} is {value}, item {item} has {ratio:.2f} times the weight that the target gives "
            f"it (z {z:.1f}, at most {limit:.1f}): the propensities leave out what the ranker used. If "
            f"{column} came after the item was chosen or describes it, declare the columns to check: "
            "--balance COLUMN"
        )


def _find_odd_mean(terms: EstimatorSums, who: Clusters, *, least: float) -> Iterator[str]:
    excess = np.bincount(who.codes, terms.importance - terms.counted)
    if len(excess) < LEAST_CLUSTERS:
        return
    mean = float(excess.sum() / terms.counted.sum())
    error = float(excess.std(ddof=1) * np.sqrt(len(excess)) / terms.counted.sum())
    outside = max(mean, least - 1 - mean)
    if outside > _STANDARD_ERRORS * error + 1e-9:
        yield (
            f"the weights have a mean of {1 + mean:.3g} with a standard error of {error:.2g}, and 1 is "
            "expected: propensities or probabilities do not match the policies"
        )


@dataclass(frozen=True)
class WeightedItem:
    """An item: the log's weights in rows that show it, and the target's probability in all rows, [n]."""

    name: str
    weight: Floats
    probability: Floats


def _cells(
    column: ContextColumn, items: Sequence[WeightedItem], users: Indices
) -> Iterator[tuple[str, str, str, float, float]]:
    """Yield column, value, item, z and ratio of each comparable cell."""
    rows = np.flatnonzero(column.codes >= 0)
    size = len(column.labels)
    groups, pairs = pd.factorize(users[rows] * np.intp(size) + column.codes[rows])
    values = pairs % size
    enough = np.bincount(values, minlength=size) >= LEAST_CLUSTERS

    def by_value(of_group: Floats) -> Floats:
        return np.bincount(values, of_group, size).astype(np.float64)

    for item in items:
        weights, expected = (
            np.bincount(groups, each[rows]).astype(np.float64) for each in (item.weight, item.probability)
        )
        drawn, shown = by_value(weights), by_value(expected)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = drawn / shown
            z = (drawn - shown) / np.sqrt(by_value((weights - expected) ** 2))
        for at in np.flatnonzero(enough & (drawn > 0) & (shown > 0) & np.isfinite(z)):
            yield column.name, column.labels[at], item.name, float(z[at]), float(ratio[at])


def _weigh_items(log: LogRows, target: TargetRows) -> Iterator[WeightedItem]:
    """Yield the items that the target shows most, with their weights and probabilities in the log's rows."""
    weight = target.of_logged(target.probability) / log.propensity
    codes, names = pd.factorize(np.concatenate([target.items, log.items]))
    of_target, of_log = codes[: len(target.items)], codes[len(target.items) :]
    places, logged_places = target.places, target.logged_places
    count = int(max(places.max(), logged_places.max())) + 1
    mass = np.bincount(of_target, target.probability * np.bincount(logged_places, minlength=count)[places])
    for item in np.argsort(-mass, kind="stable")[:MOST_ITEMS]:
        if mass[item] > 0:
            mine = of_target == item
            by_place = np.bincount(places[mine], target.probability[mine], count).astype(np.float64)
            yield WeightedItem(
                str(names[item]), np.where(of_log == item, weight, 0.0), by_place[logged_places]
            )
