"""What a single feature tells of an outcome: the best one is what a head has to beat, and names a leak.

::

    numeric       its value, rising or falling; missing values lie at one end, whichever ranks better
    categorical   the mean outcome of the category

Directions, means and the best feature are learned on rows of their own, so its AUC elsewhere is fair: the
best of a hundred features would always look good on the rows that chose it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import divide, request_pairs

PRIOR_ROWS: Final = 20.0
"""Rows at the overall mean that are added to each category: a category of one row is no evidence.
The m-estimate of Micci-Barreca (2001), with the weight that the surfaces' own rates use."""


MOST_ROWS: Final = 200_000
"""Rows, of requests with a positive and of the others each, on which the best feature is chosen: the standard
error of an AUC is then at most .001 where a hundredth of them is positive (Hanley and McNeil 1982)."""


@dataclass(frozen=True)
class FeatureRows:
    """Rows with a known outcome, 0 or 1, and their features.

    Attributes
    ----------
    names : of the columns.
    categorical : those that hold codes from 0 and not quantities.
    matrix : [n, features], NaN where a value is missing.
    outcomes, requests : [n].
    """

    names: Sequence[str]
    categorical: Collection[str]
    matrix: Floats
    outcomes: Floats
    requests: npt.ArrayLike


@dataclass(frozen=True)
class SingleFeature:
    """A score made of one feature.

    Attributes
    ----------
    means : [categories + 1] mean outcome by code, of missing and unknown ones at the end; None: numeric.
    """

    name: str
    rising: bool = True
    missing_first: bool = True
    means: Floats | None = None

    def scores(self, values: Floats) -> Floats:
        """Return the score of each row by its value of the feature, shape [n]; higher first.

        Examples
        --------
        >>> SingleFeature("age", rising=False).scores(np.array([3.0, np.nan, 9.0]))
        array([-1., -0., -2.])
        >>> SingleFeature("tab", means=np.array([0.2, 0.6, 0.3])).scores(np.array([1.0, 7.0]))
        array([0.6, 0.3])
        """
        if self.means is None:
            ranks = _dense_ranks(values, missing_first=self.missing_first)
            return ranks if self.rising else -ranks
        last = self.means.size - 1
        known = np.isfinite(values) & (values < last)
        return self.means[np.where(known, values, last).astype(np.intp)]


@dataclass(frozen=True)
class BestFeatures:
    """The single features that rank best: over all rows, and inside requests, None without a pair there."""

    pooled: SingleFeature
    by_request: SingleFeature | None


def best_features(rows: FeatureRows) -> BestFeatures | None:
    """Choose the best single features, None without features or without both classes.

    Examples
    --------
    >>> price, noise = [1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0]
    >>> matrix, clicked = np.array([noise, price]).T, np.array([1.0, 0.0, 1.0, 0.0])
    >>> best = best_features(FeatureRows(["noise", "price"], [], matrix, clicked, list("aabb")))
    >>> best.pooled.name, best.by_request.name, best.by_request.rising
    ('price', 'price', False)
    """
    if not rows.names or not 0 < rows.outcomes.sum() < rows.outcomes.size:
        return None
    requests = pd.factorize(np.asarray(rows.requests), sort=True)[0]
    scored = [one for j in range(len(rows.names)) for one in _score_feature(rows, j, requests)]
    pooled = max(scored, key=lambda one: one.auc)
    inside = [one for one in scored if np.isfinite(one.auc_by_request)]
    by_request = max(inside, key=lambda one: one.auc_by_request).feature if inside else None
    return BestFeatures(pooled.feature, by_request)


def subsample_requests(outcomes: Floats, requests: npt.ArrayLike, *, most: int = MOST_ROWS) -> Flags:
    """Mark the rows of about every k-th request, with and without a positive apart, shape [n].

    AUC does not depend on how many negatives there are, so what is seldom is not thinned out.

    Examples
    --------
    >>> clicked, requests = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), np.array([7, 7, 8, 8, 9, 9])
    >>> subsample_requests(clicked, requests, most=2).tolist()
    [True, True, True, True, False, False]
    """
    codes = pd.factorize(np.asarray(requests), sort=True)[0]
    sizes, positives = np.bincount(codes), np.bincount(codes, outcomes)
    kept = np.zeros(sizes.size, dtype=bool)
    for of in (np.flatnonzero(positives > 0), np.flatnonzero(positives == 0)):
        step = max(1, -(-int(sizes[of].sum()) // most))
        kept[of[::step]] = True
    return np.asarray(kept[codes])


def pooled_auc(outcomes: Floats, scores: Floats) -> float:
    """AUC over all rows without intervals; NaN with one class only.

    Examples
    --------
    >>> pooled_auc(np.array([1.0, 0.0, 1.0, 0.0]), np.array([4.0, 3.0, 3.0, 1.0]))
    0.875
    """
    codes = pd.factorize(scores, sort=True)[0]
    positives = np.bincount(codes, outcomes)
    negatives = np.bincount(codes, 1 - outcomes)
    won = positives @ (np.cumsum(negatives) - negatives / 2)
    return float(divide(won, positives.sum() * negatives.sum()))


@dataclass(frozen=True)
class _ScoredFeature:
    """A score of one feature with its AUCs on the rows that choose it."""

    feature: SingleFeature
    auc: float
    auc_by_request: float


def _score_feature(rows: FeatureRows, column: int, requests: Indices) -> Iterator[_ScoredFeature]:
    """Measure every score of a feature; one that falls ranks as the rising one turned round."""
    name, values = rows.names[column], rows.matrix[:, column]
    if name in rows.categorical:
        means = _mean_outcomes(values, rows.outcomes)
        scores = _cross_fitted(values, rows.outcomes, requests)
        yield _ScoredFeature(
            SingleFeature(name, means=means),
            pooled_auc(rows.outcomes, scores),
            request_pairs(rows.outcomes, scores, requests).auc,
        )
        return
    for missing_first in (True, False) if np.isnan(values).any() else (True,):
        rising = SingleFeature(name, missing_first=missing_first)
        scores = rising.scores(values)
        auc = pooled_auc(rows.outcomes, scores)
        inside = request_pairs(rows.outcomes, scores, requests).auc
        yield _ScoredFeature(rising, auc, inside)
        yield _ScoredFeature(replace(rising, rising=False), 1 - auc, 1 - inside)


def _cross_fitted(codes: Floats, outcomes: Floats, requests: Indices) -> Floats:
    """Score each half of the requests by the mean outcomes of the other: means know their own rows."""
    odd = requests % 2 == 1
    scores = np.empty(outcomes.size)
    for half in (odd, ~odd):
        if not half.any() or half.all():
            return np.full(outcomes.size, outcomes.mean())
        means = _mean_outcomes(codes[~half], outcomes[~half])
        scores[half] = SingleFeature("", means=means).scores(codes[half])
    return scores


def _mean_outcomes(codes: Floats, outcomes: Floats) -> Floats:
    """Return the mean outcome of each code and, at the end, of missing ones, drawn to the mean of all."""
    known = np.isfinite(codes)
    count = int(codes[known].max(initial=-1)) + 1
    place = np.where(known, codes, count).astype(np.intp)
    sums, sizes = (np.bincount(place, weights, count + 1) for weights in (outcomes, np.ones_like(outcomes)))
    return np.asarray((sums + PRIOR_ROWS * outcomes.mean()) / (sizes + PRIOR_ROWS))


def _dense_ranks(values: Floats, *, missing_first: bool) -> Floats:
    """Rank values from 1, equal ones alike; missing ones are 0, or above all."""
    missing = np.isnan(values)
    codes, known = pd.factorize(values[~missing], sort=True)
    ranks = np.full(values.size, 0.0 if missing_first else known.size + 1.0)
    ranks[~missing] = codes + 1
    return ranks
