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
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, Clusters, Support, effective_number
from tasks.ope.balance import find_imbalance, weighted_items
from tasks.ope.estimators import EstimatorSums
from tasks.ope.log_rows import LogRows
from tasks.ope.target_rows import TargetRows

MOST_UNSUPPORTED: Final = 0.05
"""Largest share of the target's probability where the log has no row."""
MOST_OF_ONE: Final = 0.1
"""Largest share of all weight of one user."""
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


def _name_unsupported(target: TargetRows) -> str:
    """List up to three items that were never logged, those that the target shows most."""
    shown = np.where(_never_logged(target), target.probability, 0.0)
    largest = np.argsort(-shown, kind="stable")
    names = dict.fromkeys(f"{target.items[n]} at {target.positions[n]}" for n in largest if shown[n] > 0)
    return ", ".join(list(names)[:_EXAMPLES])


def find_sparse_support(log: LogRows, target: TargetRows, terms: EstimatorSums) -> Iterator[str]:
    """Yield the reasons why an estimator's figure cannot be estimated from these rows."""
    share = unsupported_share(target)
    if share > MOST_UNSUPPORTED:
        yield (
            f"{share:.1%} of the target's probability is on items never logged at that position "
            f"(at most {MOST_UNSUPPORTED:.0%}): {_name_unsupported(target)}"
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
    if not log.context:
        return
    logged = (log.items, target.logged_places, target.of_logged(target.probability) / log.propensity)
    items = list(weighted_items(target.items, target.probability, target.places, logged))
    found = find_imbalance(log.context, items, log.clusters.codes)
    if found is not None and found.refuses:
        yield (
            f"where {found.column} is {found.value}, item {found.item} has {found.ratio:.2f} times the "
            f"weight that the target gives it (z {found.z:.1f}, at most {found.limit:.1f}): the propensities "
            f"leave out what the ranker used. If {found.column} came after the item was chosen or "
            "describes it, declare the columns to check: --balance COLUMN"
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
