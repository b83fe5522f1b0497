"""Fitting calibration maps on the calibrate slice, so that what is predicted adds up to what happened.

::

    observed rows -> isotonic blocks -> merged until each holds positives and negatives enough -> knots
                  -> drawn a little to the base rate, kept apart, shifted until the sums agree
    fewer than 200 positives, or no two blocks  ->  logistic map, its slope and its level held near the
                                                    head's own by priors

Only observed labels come in; nothing here knows of tasks or time.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.calibration.blocks import Blocks, fit_isotonic_blocks
from tasks.calibration.logistic import find_level, fit_logistic
from tasks.calibration.segment_design import Tallies
from tasks.errors import DataError
from tasks.evaluation.binary import Floats, check_binary, check_rows
from tasks.ranking.maps import IsotonicMap, LogisticMap, MeanMap, compress_logits, expit, lift_to_floor, logit

LOGISTIC_BELOW: Final = 200
"""Positives (or negatives, the fewer) below which the map has two parameters: isotonic regression overfits
small sets (Niculescu-Mizil and Caruana 2005). Judged by ``benchmarks/calibration.py``, as are those below."""

BLOCK_POSITIVES: Final = 10
"""Least positives and least negatives of an isotonic block."""

SHRINKAGE: Final = 0.25
"""Pull of a block's logit to the base rate's, in positives: at 10 positives one part in 41."""

LEAST_SLOPE: Final = 1e-3
"""Least slope between knots, in the logit or logarithm, so that no scores are tied."""

APART: Final = 1e-6
"""Least distance of two knots, in the logit or logarithm: far above rounding, far below what matters."""

EDGE_SLOPE: Final = 0.5
"""Slope in the logit from the centre of an outermost block towards the outermost score."""

EDGE_REACH: Final = 3.0
"""How far that slope goes, in the logit; beyond, and where the block's outer part
disagrees, the map has its tail."""

ROUNDING: Final = 1e-6
"""Tolerance for summation order, in rows: where a sum over rows is 0, no order of them makes it less or
more."""

MEAN_BLOCK: Final = 200
"""Least rows with a value other than 0 in a block of a mean map: its standard error is 7 % of the spread."""

MEAN_FACTOR_BELOW: Final = 2_000
"""Rows with a value other than 0 below which a mean map is one factor."""

FLOOR_SHARE: Final = 0.01
"""Predictions below this share of the mean value are lifted, in their order."""


def fit_binary(
    scores: npt.ArrayLike, outcomes: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> IsotonicMap | LogisticMap:
    """Fit a map from raw scores to probabilities.

    Parameters
    ----------
    scores : [n] in [0, 1].
    outcomes : [n] observed labels, 0 or 1.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose probabilities add up to the outcomes on these rows; below `LOGISTIC_BELOW` positives to a
    total between these and what the scores add up to, unless the rows refute the scores' level.

    Raises
    ------
    DataError
        Positives or negatives are missing, or a figure is out of range.

    Examples
    --------
    >>> scores, outcomes = np.repeat([0.1, 0.2], 50), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 20)
    >>> fitted = fit_binary(scores, outcomes)
    >>> fitted.kind, round(float(scores.sum()), 6), round(float(fitted.apply(scores).sum()), 1)
    ('logistic', 15.0, 17.4)
    """
    y, s, w = _normalize_weights(*check_binary(outcomes, scores, weights))
    return fit_rates(s, y, w, positives=y, negatives=1 - y)


def fit_rates(
    scores: Floats, rates: Floats, weights: Floats, *, positives: Floats, negatives: Floats
) -> IsotonicMap | LogisticMap:
    """Fit a map to rates of groups of rows with one score; `fit_binary` where each row is its own group.

    Parameters
    ----------
    scores, rates, weights : [n] in [0, 1], in [0, 1] and above 0.
    positives, negatives : [n] how many of each a group holds.

    Raises
    ------
    DataError
        Positives or negatives are missing.

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
    x = compress_logits(logit(scores))
    if min(having, lacking) >= LOGISTIC_BELOW:
        blocks = fit_isotonic_blocks(
            x, rates, weights, required=(positives, negatives), least=BLOCK_POSITIVES
        )
        if blocks.centres[-1] - blocks.centres[0] > APART:
            return _fit_isotonic(blocks, x, scores, rates, weights)
    return fit_logistic(x, rates, weights)


def fit_tallies(logits: Floats, tallies: Tallies) -> IsotonicMap | LogisticMap:
    """Fit one map to groups whose logits [groups] may have been moved.

    Examples
    --------
    >>> rows, positives = np.array([500.0, 500.0]), np.array([100.0, 200.0])
    >>> tallies = Tallies(np.zeros(2, int), logit([0.1, 0.2]), rows, positives)
    >>> fitted = fit_tallies(tallies.logits, tallies)
    >>> round(float((fitted.of_logits(tallies.logits) * tallies.rows).sum()), 6)
    300.0
    """
    rates = tallies.positives / tallies.rows
    negatives = tallies.rows - tallies.positives
    return fit_rates(expit(logits), rates, tallies.rows, positives=tallies.positives, negatives=negatives)


def fit_mean(
    predictions: npt.ArrayLike, values: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> MeanMap:
    """Fit a map from predicted values to mean observed ones.

    Parameters
    ----------
    predictions : [n] finite, in any unit.
    values : [n] observed values.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose values add up to the observed ones on these rows; one factor where data are few.

    Raises
    ------
    DataError
        The observed values do not add up to more than 0.

    Examples
    --------
    >>> fitted = fit_mean([1.0, 2.0, 3.0], [2.0, 3.0, 7.0])
    >>> fitted.apply([1.0, 2.0, 3.0]).round(6)
    array([2., 4., 6.])
    """
    v, p, w = _normalize_weights(*check_rows(values, predictions, weights))
    total = float((w * v).sum())
    if not total > 0:
        raise DataError(
            f"A mean calibrator needs values that add up to more than 0; {v.size} rows add up to {total:g}."
        )
    floor = FLOOR_SHARE * total / float(w.sum())
    x = np.log(lift_to_floor(p, floor))
    xs, means = x[:1], np.ones(1)
    if np.count_nonzero(v) >= MEAN_FACTOR_BELOW:
        blocks = fit_isotonic_blocks(x, v, w, required=(v != 0,), least=MEAN_BLOCK)
        if blocks.means[0] > 0:
            xs, means = blocks.centres, blocks.means
    xs, ys = _separate_knots(xs, np.log(means))
    draft = MeanMap(_floats(np.exp(xs)), _floats(np.exp(ys)), floor)
    scale = total / float((w * draft.apply(p)).sum())
    return MeanMap(draft.knots_x, _floats(np.exp(ys) * scale), floor)


def _normalize_weights(y: Floats, s: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Leave out rows of weight 0; weights average 1."""
    kept = w > 0
    return y[kept], s[kept], w[kept] / w[kept].mean() if kept.any() else w[kept]


def _fit_isotonic(blocks: Blocks, logits: Floats, s: Floats, y: Floats, w: Floats) -> IsotonicMap:
    base = logit((w * y).sum() / w.sum())
    pull = SHRINKAGE / (SHRINKAGE + blocks.support)
    x, z = blocks.centres, (1 - pull) * logit(blocks.means) + pull * base
    first, last = _find_edges(blocks, logits, y, w)
    x, z = (
        np.r_[first, x, last],
        np.r_[z[0] - EDGE_SLOPE * (x[0] - first), z, z[-1] + EDGE_SLOPE * (last - x[-1])],
    )
    x, z = _separate_knots(x, z)
    draft = IsotonicMap(_floats(expit(x)), _floats(expit(z)))
    shift = find_level(logit(draft.apply(s)), y, w)
    return IsotonicMap(draft.knots_x, _floats(expit(logit(draft.knots_y) + shift)))


def _find_edges(blocks: Blocks, x: Floats, y: Floats, w: Floats) -> tuple[float, float]:
    """Return how far the outermost blocks carry: to their own centre where their outer part turns back."""
    centres, means = blocks.centres, blocks.means
    below, above = x < centres[0], x > centres[-1]
    falls = (w[below] * (y[below] - means[0])).sum() <= ROUNDING
    rises = (w[above] * (y[above] - means[-1])).sum() >= -ROUNDING
    first = max(blocks.first, centres[0] - EDGE_REACH) if falls else float(centres[0])
    last = min(blocks.last, centres[-1] + EDGE_REACH) if rises else float(centres[-1])
    return first, last


def _separate_knots(x: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Drop knots that are too close and lift the rest to the least slope."""
    kept = [0]
    for i in range(1, x.size):
        if x[i] - x[kept[-1]] > APART:
            kept.append(i)
    x, z = x[kept], z[kept]
    return x, np.maximum.accumulate(z - LEAST_SLOPE * x) + LEAST_SLOPE * x


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())
