"""Fits calibration maps on the calibrate slice, so that the predictions sum to the positives.

::

    observed rows -> isotonic blocks -> merged until each has enough positives and negatives -> knots
                  -> shrunk towards the base rate, separated, shifted until the sums agree
    fewer than 200 positives, or no two blocks  ->  logistic map with priors on slope and level

    logit of a probability = level + slope x (logit of the score - centre)
    slope ~ Normal(1, SLOPE_SPREAD)       level ~ Normal(centre, LEVEL_SPREAD), the scores' level

A logistic map is centred at the information-weighted mean, at which the slope does not change the total. Both
parameters are the posterior mode. If the rows refute the scores' level, they determine the level alone. Only
observed labels are used; nothing here depends on tasks or time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from sklearn.isotonic import isotonic_regression

from tasks.arrays import Flags, Floats, Indices
from tasks.calibration.segment_design import Tallies
from tasks.errors import DataError
from tasks.evaluation import binary
from tasks.evaluation.resampling import calibration_interval
from tasks.ranking import maps

LOGISTIC_BELOW: Final = 200
"""Positives (or negatives, if fewer) below which the map is logistic, because isotonic regression overfits
small sets (Niculescu-Mizil and Caruana 2005). Tuned by ``benchmarks/calibration.py`` with those below."""

BLOCK_POSITIVES: Final = 10
"""Minimum number of positives and of negatives in an isotonic block."""

SHRINKAGE: Final = 0.25
"""Shrinkage of a block's logit towards the base rate's, in positives: one part in 41 at 10 positives."""

LEAST_SLOPE: Final = 1e-3
"""Minimum slope between knots, in the logit or logarithm, so that no scores are tied."""

APART: Final = 1e-6
"""Minimum distance of two knots, in the logit or logarithm: far above rounding errors, but negligible."""

EDGE_SLOPE: Final = 0.5
"""Slope in the logit from the centre of an outermost block towards the outermost score."""

EDGE_REACH: Final = 3.0
"""Length of that slope, in the logit. Beyond it, or if the block's outer part disagrees, the tail begins."""

ROUNDING: Final = 1e-6
"""Tolerance for summation order, in rows: a sum over rows that is 0 must not change sign with their order."""

MEAN_BLOCK: Final = 200
"""Minimum number of nonzero rows in a block of a mean map: its standard error is 7 % of the spread."""

MEAN_FACTOR_BELOW: Final = 2_000
"""Number of nonzero rows below which a mean map is one factor."""

FLOOR_SHARE: Final = 0.01
"""Predictions below this share of the mean value are lifted, in their order."""

LEAST_LOGISTIC_SLOPE: Final = 0.05
"""Slope of a logistic map if the scores rank the outcomes in reverse."""

SLOPE_SPREAD: Final = 0.5
"""Standard deviation of the logistic map's prior slope around 1."""

LEVEL_SPREAD: Final = 0.25
"""Standard deviation, in the logit, of the logistic map's prior level around the scores' level. It covers
the uncertainty after training on some twenty positives (.22), and a later change of the base rate by a tenth.
It weighs as much as 16 positives. Without it the map would follow noise: 3 reports where 10 are expected
would give a third of the true rate. Tuned with ``benchmarks/calibration_level.py``."""

REFUTED: Final = 3.0
"""Number of standard deviations of prior and rows combined from which the rows refute the scores' level and
determine it alone, because scores on another scale contain no information on the level."""


@dataclass(frozen=True)
class Blocks:
    """Mean x, mean y, and support of each block [m]; support is the sum of the first required column.

    ``first`` and ``last`` are the minimum and maximum x of all rows.
    """

    centres: Floats
    means: Floats
    support: Floats
    first: float
    last: float


def fit_binary(
    scores: npt.ArrayLike, outcomes: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> maps.IsotonicMap | maps.LogisticMap:
    """Fit a map from raw scores to probabilities.

    Parameters
    ----------
    scores : [n] in [0, 1].
    outcomes : [n] observed labels, 0 or 1.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose probabilities sum to the outcomes on these rows. With fewer than `LOGISTIC_BELOW` positives
    they sum to a total between the outcomes' and the scores', unless the rows refute the scores' level.

    Examples
    --------
    >>> scores, outcomes = np.repeat([0.1, 0.2], 50), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 20)
    >>> fitted = fit_binary(scores, outcomes)
    >>> fitted.kind, round(float(scores.sum()), 6), round(float(fitted.apply(scores).sum()), 1)
    ('logistic', 15.0, 17.4)
    """
    y, s, w = _normalize_weights(*binary.check_binary(outcomes, scores, weights))
    return fit_rates(s, y, w, positives=y, negatives=1 - y)


def fit_rates(
    scores: Floats, rates: Floats, weights: Floats, *, positives: Floats, negatives: Floats
) -> maps.IsotonicMap | maps.LogisticMap:
    """Fit a map to the rates of groups of rows with equal scores; `fit_binary` is the case of one row each.

    Parameters
    ----------
    scores, rates, weights : [n] in [0, 1], in [0, 1] and above 0.
    positives, negatives : [n] number of each in a group.

    Examples
    --------
    >>> scores, rates, rows = np.array([0.1, 0.2]), np.array([0.2, 0.4]), np.array([500.0, 500.0])
    >>> fitted = fit_rates(scores, rates, rows, positives=rows * rates, negatives=rows * (1 - rates))
    >>> fitted.kind, round(float((fitted.apply(scores) * rows).sum()), 6)
    ('isotonic', 300.0)
    """
    having, lacking = float(positives.sum()), float(negatives.sum())
    if not (having and lacking):
        kind = "negative" if having else "positive"
        raise DataError(
            f"Calibration needs both outcomes; there is no {kind} among {having + lacking:.0f} observed "
            "rows. Take a longer calibrate slice."
        )
    x = maps.compress_logits(maps.logit(scores))
    if min(having, lacking) >= LOGISTIC_BELOW:
        blocks = fit_isotonic_blocks(
            x, rates, weights, required=(positives, negatives), least=BLOCK_POSITIVES
        )
        if blocks.centres[-1] - blocks.centres[0] > APART:
            return _fit_isotonic(blocks, x, scores, rates, weights)
    return fit_logistic(x, rates, weights)


def fit_tallies(logits: Floats, tallies: Tallies) -> maps.IsotonicMap | maps.LogisticMap:
    """Fit one map to groups whose logits [groups] may have been shifted by segment effects.

    Examples
    --------
    >>> rows, positives = np.array([500.0, 500.0]), np.array([100.0, 200.0])
    >>> tallies = Tallies(np.zeros(2, int), maps.logit([0.1, 0.2]), rows, positives)
    >>> fitted = fit_tallies(tallies.logits, tallies)
    >>> round(float((fitted.of_logits(tallies.logits) * tallies.rows).sum()), 6)
    300.0
    """
    rates = tallies.positives / tallies.rows
    negatives = tallies.rows - tallies.positives
    return fit_rates(
        maps.expit(logits), rates, tallies.rows, positives=tallies.positives, negatives=negatives
    )


def fit_mean(
    predictions: npt.ArrayLike, values: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> maps.MeanMap:
    """Fit a map from predicted values to mean observed values.

    Parameters
    ----------
    predictions : [n] finite, in any unit.
    values : [n] observed values.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose values sum to the observed ones on these rows; one factor for sparse data.

    Examples
    --------
    >>> fitted = fit_mean([1.0, 2.0, 3.0], [2.0, 3.0, 7.0])
    >>> fitted.apply([1.0, 2.0, 3.0]).round(6)
    array([2., 4., 6.])
    """
    v, p, w = _normalize_weights(*binary.check_rows(values, predictions, weights))
    total = float((w * v).sum())
    if not total > 0:
        raise DataError(
            f"A mean calibrator needs values that add up to more than 0; {v.size} rows add up to {total:g}."
        )
    floor = FLOOR_SHARE * total / float(w.sum())
    x = np.log(maps.lift_to_floor(p, floor))
    xs, means = x[:1], np.ones(1)
    if np.count_nonzero(v) >= MEAN_FACTOR_BELOW:
        blocks = fit_isotonic_blocks(x, v, w, required=(v != 0,), least=MEAN_BLOCK)
        if blocks.means[0] > 0:
            xs, means = blocks.centres, blocks.means
    xs, ys = _separate_knots(xs, np.log(means))
    draft = maps.MeanMap(_floats(np.exp(xs)), _floats(np.exp(ys)), floor)
    scale = total / float((w * draft.apply(p)).sum())
    return maps.MeanMap(draft.knots_x, _floats(np.exp(ys) * scale), floor)


def _normalize_weights(y: Floats, s: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Drop rows of weight 0, and scale weights to mean 1."""
    kept = w > 0
    return y[kept], s[kept], w[kept] / w[kept].mean() if kept.any() else w[kept]


def _fit_isotonic(blocks: Blocks, logits: Floats, s: Floats, y: Floats, w: Floats) -> maps.IsotonicMap:
    base = maps.logit((w * y).sum() / w.sum())
    pull = SHRINKAGE / (SHRINKAGE + blocks.support)
    x, z = blocks.centres, (1 - pull) * maps.logit(blocks.means) + pull * base
    first, last = _find_edges(blocks, logits, y, w)
    x, z = (
        np.r_[first, x, last],
        np.r_[z[0] - EDGE_SLOPE * (x[0] - first), z, z[-1] + EDGE_SLOPE * (last - x[-1])],
    )
    x, z = _separate_knots(x, z)
    draft = maps.IsotonicMap(_floats(maps.expit(x)), _floats(maps.expit(z)))
    shift = _find_level(maps.logit(draft.apply(s)), y, w)
    return maps.IsotonicMap(draft.knots_x, _floats(maps.expit(maps.logit(draft.knots_y) + shift)))


def _find_edges(blocks: Blocks, x: Floats, y: Floats, w: Floats) -> tuple[float, float]:
    """Return the reach of the outermost blocks: only to their centres if their outer parts disagree."""
    centres, means = blocks.centres, blocks.means
    below, above = x < centres[0], x > centres[-1]
    falls = (w[below] * (y[below] - means[0])).sum() <= ROUNDING
    rises = (w[above] * (y[above] - means[-1])).sum() >= -ROUNDING
    first = max(blocks.first, centres[0] - EDGE_REACH) if falls else float(centres[0])
    last = min(blocks.last, centres[-1] + EDGE_REACH) if rises else float(centres[-1])
    return first, last


def _separate_knots(x: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Drop knots that are too close, and raise the slopes between the others to the minimum."""
    kept = [0]
    for i in range(1, x.size):
        if x[i] - x[kept[-1]] > APART:
            kept.append(i)
    x, z = x[kept], z[kept]
    return x, np.maximum.accumulate(z - LEAST_SLOPE * x) + LEAST_SLOPE * x


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def fit_joint(
    product: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    users: npt.ArrayLike,
) -> maps.IsotonicMap | maps.LogisticMap | None:
    """Fit a map to the product along a chain if the product is not calibrated.

    Parameters
    ----------
    product : [n] product of the calibrated factors.
    outcomes : [n] 1 if the task and its parents are all positive; rows where they are known.
    users : [n] ids, none missing.

    Returns
    -------
    None, unless the user-clustered interval of the calibration ratio excludes 1.

    Examples
    --------
    >>> outcomes, users = np.tile([1.0, 0.0], 50), np.arange(100)
    >>> fit_joint(np.full(100, 0.5), outcomes, users) is None
    True
    >>> fit_joint(np.full(100, 0.1), outcomes, users).apply([0.1]).round(6)
    array([0.5])
    """
    ratio = calibration_interval(outcomes, product, users)
    if not ratio.known or ratio.low <= 1 <= ratio.high or bool(np.all(np.asarray(outcomes) == 1)):
        return None
    return fit_binary(product, outcomes)


def fit_logistic(x: Floats, y: Floats, w: Floats) -> maps.LogisticMap:
    """Fit a logistic map to logits of scores.

    Parameters
    ----------
    x : [n] logits, finite.
    y : [n] outcomes or rates, in [0, 1].
    w : [n] weights above 0.

    Examples
    --------
    >>> ten_expected, three_seen = np.full(1000, maps.logit(0.01)), (np.arange(1000) < 3).astype(float)
    >>> fitted = fit_logistic(ten_expected, three_seen, np.ones(1000))
    >>> round(float(fitted.apply([0.01])[0]) * 1000, 1)
    7.5
    """
    chances = maps.expit(x)
    information = w * chances * (1 - chances)
    centred = x - (centre := float((information * x).sum() / information.sum()))
    precision, mode = 0.0, _find_posterior_mode(centred, y, w, centre=centre, precision=0.0)
    if not _refutes_level(mode, centred, w, centre):
        precision = LEVEL_SPREAD**-2
        mode = _find_posterior_mode(centred, y, w, centre=centre, precision=precision)
    slope = max(mode[1], LEAST_LOGISTIC_SLOPE)
    level = _find_level(slope * centred, y, w, centre=centre, precision=precision)
    return maps.LogisticMap(slope, level - slope * centre)


def _find_posterior_mode(
    x: Floats, y: Floats, w: Floats, *, centre: float, precision: float
) -> tuple[float, float]:
    """Return level and slope by Newton's method; ``precision`` is that of the level's prior."""
    basis = np.column_stack([np.ones_like(x), x])
    prior, around = np.array([precision, SLOPE_SPREAD**-2]), np.array([centre, 1.0])
    at = np.array([float(maps.logit((w * y).sum() / w.sum())), 1.0])
    for _ in range(100):
        p = maps.expit(basis @ at)
        gradient = basis.T @ (w * (y - p)) - prior * (at - around)
        curvature = (basis * (w * p * (1 - p))[:, None]).T @ basis + np.diag(prior)
        step = np.clip(np.linalg.solve(curvature, gradient), -1, 1)
        at += step
        if np.abs(step).max() < 1e-10:
            break
    return float(at[0]), float(at[1])


def _refutes_level(mode: tuple[float, float], x: Floats, w: Floats, centre: float) -> bool:
    """Whether the level from the rows alone is farther from the scores' than chance and drift explain."""
    level, slope = mode
    p = maps.expit(level + slope * x)
    variance = LEVEL_SPREAD**2 + 1 / float((w * p * (1 - p)).sum())
    return abs(level - centre) > REFUTED * variance**0.5


def _find_level(z: Floats, y: Floats, w: Floats, *, centre: float = 0.0, precision: float = 0.0) -> float:
    """Find the shift of all logits with which the probabilities sum to the outcomes.

    Parameters
    ----------
    z, y, w : [n] logits, outcomes or rates, weights.
    centre, precision : normal prior of the shift; a precision of 0 means no prior.
    """
    total = float((w * y).sum())

    def excess(shift: float) -> float:
        return float((w * maps.expit(z + shift)).sum()) - total + precision * (shift - centre)

    low, high = _find_bracket(excess)
    return float(brentq(excess, low, high, xtol=1e-12))


def _find_bracket(excess: Callable[[float], float]) -> tuple[float, float]:
    """Widen an interval around 0 until the increasing function changes its sign in it."""
    low, high = -1.0, 1.0
    while excess(low) > 0:
        low *= 2
    while excess(high) < 0:
        high *= 2
    return low, high


def fit_isotonic_blocks(
    x: Floats, y: Floats, weights: Floats, *, required: Sequence[Flags | Floats], least: int
) -> Blocks:
    """Fit blocks of y that increase with x.

    Parameters
    ----------
    x, y, weights : [n], at least one row, weights above 0.
    required : counts by row [n] of each kind; every block has at least ``least`` of each, if possible.

    Examples
    --------
    >>> x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0])
    >>> blocks = fit_isotonic_blocks(x, y, np.ones(4), required=(y, 1 - y), least=1)
    >>> blocks.centres, blocks.means, blocks.support
    (array([1.5]), array([0.5]), array([2.]))
    """
    order = np.argsort(x, kind="stable")
    columns = [(weights * part)[order] for part in (np.ones_like(x), x, y)]
    columns += [kind[order].astype(np.float64) for kind in required]
    sums = _sum_runs(columns, np.flatnonzero(np.r_[True, np.diff(x[order]) > 0]))
    fitted = isotonic_regression(sums[2] / sums[0], sample_weight=sums[0])
    sums = _sum_runs(sums, np.flatnonzero(np.r_[True, np.diff(fitted) > 0]))
    weight, moment, total, support, *_ = _sum_runs(sums, _merge_unsupported(np.column_stack(sums[3:]), least))
    return Blocks(moment / weight, total / weight, support, float(x.min()), float(x.max()))


def _sum_runs(columns: Sequence[Floats], starts: Indices) -> list[Floats]:
    return [np.add.reduceat(column, starts) for column in columns]


def _merge_unsupported(counts: Floats, least: int) -> Indices:
    """Start a block when the previous block and the remaining rows each have enough of every kind."""
    upto = np.cumsum(counts, axis=0)
    starts, held = [0], np.zeros(counts.shape[1])
    for i in range(len(counts) - 1):
        if (upto[i] - held >= least).all() and (upto[-1] - upto[i] >= least).all():
            starts.append(i + 1)
            held = upto[i]
    return np.asarray(starts, dtype=np.intp)
