r"""Examination by position, estimated from a log whose policy is randomised.

Two neighbours on a page, a at position k and b at k + 1, could as well have stood the other way round. A
policy that fills one place after the other, by odds that do not depend on the place, logs all that is needed
to say with what probability it would have dealt them so, and so each pair is a small experiment
("intervention harvesting", Agarwal et al. 2019, adjacent pairs; known propensities instead of many rankers)::

    odds among what was left at k      u_a = propensity_a      u_b = propensity_b (1 - propensity_a)
    P(a first | a and b in k, k + 1)   s = (1 - u_b) / ((1 - u_a) + (1 - u_b))

    sum over pairs of y at k      / s   has the mean   examination(k)      x (g_a + g_b)
    sum over pairs of y at k + 1  / s   has the mean   examination(k + 1)  x (g_a + g_b)

Their ratio is examination(k + 1) / examination(k), whatever the items; ratios multiplied give the curve.
Nothing is assumed of which items stand where. Assumed is that an outcome needs a look, that a look depends on
the position alone, and that ``propensity`` is that of the item at its place given those above it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.errors import DataError, ImmatureLabels
from tasks.evaluation.resampling import Resampler, percentile_interval
from tasks.evaluation.verdicts import Estimate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST_POSITIVES: Final = 30
"""Positives at either place of a pair of positions below which the curve ends before it: with 30 at each the
ratio has a standard error of about 26 %."""

REPLICATES: Final = 500
"""Bootstrap samples of the intervals; 12 lie beyond each bound."""


@dataclass(frozen=True)
class EstimatedExamination:
    """A curve relative to position 1 with 95 % intervals, and what it rests on.

    Attributes
    ----------
    curve : one estimate a position, from position 1, whose value is 1 without spread.
    pairs, positives : of neighbours, and outcomes in them.
    """

    curve: tuple[Estimate, ...]
    pairs: int
    positives: int

    @property
    def by_position(self) -> tuple[float, ...]:
        """The curve's values."""
        return tuple(point.value for point in self.curve)


@dataclass(frozen=True)
class Pairs:
    """Neighbours on a page: rows of the upper and of the lower one and what the pair weighs, each [pairs]."""

    upper: Integers
    lower: Integers
    weights: Floats


def estimate_examination(
    outcomes: Floats,
    positions: Floats,
    propensities: Floats,
    *,
    requests: npt.NDArray[Any],
    users: Integers,
) -> EstimatedExamination:
    """Estimate the examination curve.

    Parameters
    ----------
    outcomes : [n] 0 or 1, NaN where not observed, which must not depend on the position.
    positions : [n] from 1, NaN where an item had none.
    propensities : [n] probability that the policy put the item at its place given those above it.
    requests : [n] the page that a row is on.
    users : [n] codes from 0 of who is resampled for the intervals.

    Raises
    ------
    DataError
        No two neighbours could have stood the other way round.
    ImmatureLabels
        There are too few positives to estimate position 2.

    Examples
    --------
    >>> positions, propensities = np.tile([1.0, 2.0], 400), np.tile([0.5, 0.5], 400)
    >>> outcomes = np.tile([1.0, 1.0, 1.0, 0.0], 200)
    >>> requests = users = np.repeat(np.arange(400), 2)
    >>> estimate_examination(outcomes, positions, propensities, requests=requests, users=users).by_position
    (1.0, 0.5)
    """
    pairs = find_swappable_pairs(requests, positions, propensities)
    if not len(pairs.upper):
        raise DataError(
            f"None of {len(outcomes)} rows has a neighbour with which it could have changed places: the "
            "log's policy deals no place by chance, or logs no propensity. Declare examination.by_position."
        )
    resampler = Resampler(int(users.max()) + 1, seed=0, replicates=REPLICATES)
    sums, positives = _sum_outcomes(outcomes, positions, pairs, resampler.units(users), resampler.drawn)
    reach = int(np.argmin(np.append((positives >= LEAST_POSITIVES).all(axis=0), False)))
    if reach == 0:
        raise ImmatureLabels(
            "The examination of position 2 cannot be estimated: there are "
            f"{int(positives[:, :1].min(initial=0))} positives at one of the first two places, "
            f"{LEAST_POSITIVES} are needed. Wait for more days, or declare examination.by_position."
        )
    sums, once = sums[:, :reach], np.ones((resampler.drawn, 1))
    values = _curves(sums, once)[:, 0]
    replicated = np.concatenate([_curves(sums, block) for block in resampler.blocks(reach)], axis=1)
    estimates = (
        percentile_interval(float(v), r, resampler.drawn) for v, r in zip(values, replicated, strict=True)
    )
    first = Estimate(1.0, 1.0, 1.0, resampler.drawn)
    return EstimatedExamination((first, *estimates), len(pairs.upper), int(positives[:, :reach].sum()))


def find_swappable_pairs(requests: npt.NDArray[Any], positions: Floats, propensities: Floats) -> Pairs:
    """Find the neighbours that could have stood the other way round.

    Examples
    --------
    Of three items left with odds 1 : 1 : 2, the last was put first and one of the others second; the other
    way round had the probability 1/4 x 2/3 against 1/2 x 1/2.

    >>> pairs = find_swappable_pairs(np.array([7, 7]), np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    >>> pairs.weights.round(4), round((1 / 4 + 1 / 6) / (1 / 4), 4)
    (array([1.6667]), 1.6667)
    """
    placed = np.flatnonzero(np.isfinite(positions) & np.isfinite(propensities))
    order = placed[np.lexsort((positions[placed], requests[placed]))]
    upper, lower = order[:-1], order[1:]
    next_to = (requests[upper] == requests[lower]) & (positions[lower] == positions[upper] + 1)
    upper, lower = upper[next_to], lower[next_to]
    first = propensities[upper]
    second = propensities[lower] * (1 - first)
    either = (first > 0) & (first < 1) & (propensities[lower] > 0)
    upper, lower, first, second = upper[either], lower[either], first[either], second[either]
    return Pairs(upper, lower, 1 + (1 - first) / (1 - second))


def _sum_outcomes(
    outcomes: Floats, positions: Floats, pairs: Pairs, units: Integers, drawn: int
) -> tuple[Floats, Integers]:
    """Sum weighted outcomes by unit, [2, pairs of positions, units], upper place first, and count them."""
    observed = np.nan_to_num(outcomes)
    step = positions[pairs.upper].astype(np.int64) - 1
    steps = int(step.max()) + 1
    sums = np.zeros((2, steps, drawn))
    positives = np.zeros((2, steps), dtype=np.int64)
    for side, rows in enumerate((pairs.upper, pairs.lower)):
        happened = observed[rows] > 0
        where = step[happened] * drawn + units[rows[happened]]
        summed = np.bincount(where, pairs.weights[happened], minlength=steps * drawn)
        sums[side] = summed.reshape(steps, drawn)
        positives[side] = np.bincount(step[happened], minlength=steps)
    return sums, positives


def _curves(sums: Floats, block: Floats) -> Floats:
    """Return curves from position 2 on, [pairs of positions, width], for draws [units, width]."""
    upper, lower = sums @ block
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.cumprod(lower / upper, axis=0))
