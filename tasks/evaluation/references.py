"""References of a head on its test days: a constant, and the best single feature.

::

    base                      mean outcome of the calibrate days: the prediction of a head without features
    relative_squared_error    squared error / error of the base, for a value head: 1 equals the mean
    auc, auc_by_request       head, best single feature, and the head's gain, on the same rows

A probability is compared with the base rate by its normalized entropy, which is among the figures. The base
and the feature are fitted on the calibrate days, the newest days that the head's own maps use: a head that
always predicts their mean has a relative squared error of exactly 1. If the outcome is a value, values above
the base are positive for the AUCs.

A single feature is scored as follows; the best one is the level that a head has to beat, and shows a leak::

    numeric       its value, rising or falling; missing values are at one end, whichever ranks better
    categorical   the mean outcome of the category

Directions, means and the best feature are fitted on separate rows, so its AUC elsewhere is unbiased: the best
of a hundred features would always look good on the rows used to choose it.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import check_rows, divide, request_pairs
from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.observations import Observations
from tasks.evaluation.paired import REPLICATES_OF_RANKS, REPLICATES_OF_SUMS
from tasks.evaluation.ranking_metrics import FallingRows, sum_ranks
from tasks.evaluation.resampling import (
    Resampler,
    Support,
    cluster_rows,
    percentile_interval,
    statistic_intervals,
    sum_intervals,
)
from tasks.evaluation.verdicts import Estimate

PRIOR_ROWS: Final = 20.0
"""Rows at the overall mean that are added to each category, because a category with one row is no evidence.
The m-estimate of Micci-Barreca (2001), with the weight that the surfaces' own rates use."""


MOST_ROWS: Final = 200_000
"""Maximum number of rows, of requests with and without a positive each, for choosing the best feature: the
standard error of an AUC is then at most .001 if a hundredth of them is positive (Hanley and McNeil 1982)."""


@dataclass(frozen=True)
class FeatureRows:
    """Rows with a known outcome, 0 or 1, and their features.

    Attributes
    ----------
    names : names of the columns.
    categorical : columns with codes from 0 instead of quantities.
    matrix : [n, features], NaN for a missing value.
    outcomes, requests : [n].
    """

    names: Sequence[str]
    categorical: Collection[str]
    matrix: Floats
    outcomes: Floats
    requests: npt.ArrayLike


@dataclass(frozen=True)
class SingleFeature:
    """A score computed from one feature.

    Attributes
    ----------
    means : [categories + 1] mean outcome by code, missing and unknown ones last; None: numeric.
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
        array([-2., -1., -3.])
        >>> SingleFeature("tab", means=np.array([0.2, 0.6, 0.3])).scores(np.array([1.0, 7.0]))
        array([0.6, 0.3])
        """
        if self.means is None:
            missing_first = self.missing_first
            ranked = pd.Series(values).rank(method="dense", na_option="top" if missing_first else "bottom")
            ranks = np.asarray(ranked, dtype=np.float64)
            return ranks if self.rising else -ranks
        last = self.means.size - 1
        known = np.isfinite(values) & (values < last)
        return self.means[np.where(known, values, last).astype(np.intp)]


def best_features(rows: FeatureRows) -> tuple[SingleFeature | None, SingleFeature | None]:
    """Choose the single features that rank best: over all rows, and inside requests.

    Both are None without features or without both classes, the second also without a pair inside a request.

    Examples
    --------
    >>> price, noise = [1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0]
    >>> matrix, clicked = np.array([noise, price]).T, np.array([1.0, 0.0, 1.0, 0.0])
    >>> rows = FeatureRows(["noise", "price"], [], matrix, clicked, list("aabb"))
    >>> pooled, by_request = best_features(rows)
    >>> pooled.name, by_request.name, by_request.rising
    ('price', 'price', False)
    """
    if not rows.names or not 0 < rows.outcomes.sum() < rows.outcomes.size:
        return None, None
    requests = pd.factorize(np.asarray(rows.requests), sort=True)[0]
    scored = [one for j in range(len(rows.names)) for one in _score_feature(rows, j, requests)]
    pooled = max(((auc, feature) for feature, auc, _ in scored), key=itemgetter(0))[1]
    inside = [(auc, feature) for feature, _, auc in scored if np.isfinite(auc)]
    return pooled, max(inside, key=itemgetter(0))[1] if inside else None


def subsample_requests(outcomes: Floats, requests: npt.ArrayLike, *, most: int = MOST_ROWS) -> Flags:
    """Mark the rows of about every k-th request, with and without a positive separately, shape [n].

    AUC does not depend on the share of negatives, so rare positives are not thinned out.

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


def _score_feature(
    rows: FeatureRows, column: int, requests: Indices
) -> Iterator[tuple[SingleFeature, float, float]]:
    """Yield every score of a feature with its AUC on these rows, over all of them and inside requests.

    A falling score has the reversed ranks of the rising one.
    """
    name, values = rows.names[column], rows.matrix[:, column]
    if name in rows.categorical:
        means = _mean_outcomes(values, rows.outcomes)
        scores = _cross_fitted(values, rows.outcomes, requests)
        auc, inside = pooled_auc(rows.outcomes, scores), request_pairs(rows.outcomes, scores, requests).auc
        yield SingleFeature(name, means=means), auc, inside
        return
    for missing_first in (True, False) if np.isnan(values).any() else (True,):
        rising = SingleFeature(name, missing_first=missing_first)
        scores = rising.scores(values)
        auc = pooled_auc(rows.outcomes, scores)
        inside = request_pairs(rows.outcomes, scores, requests).auc
        yield rising, auc, inside
        yield replace(rising, rising=False), 1 - auc, 1 - inside


def _cross_fitted(codes: Floats, outcomes: Floats, requests: Indices) -> Floats:
    """Score each half of the requests by the mean outcomes of the other, to avoid overfitting."""
    odd = requests % 2 == 1
    scores = np.empty(outcomes.size)
    for half in (odd, ~odd):
        if not half.any() or half.all():
            return np.full(outcomes.size, outcomes.mean())
        means = _mean_outcomes(codes[~half], outcomes[~half])
        scores[half] = SingleFeature("", means=means).scores(codes[half])
    return scores


def _mean_outcomes(codes: Floats, outcomes: Floats) -> Floats:
    """Return the mean outcome of each code, missing ones last, shrunk towards the overall mean."""
    known = np.isfinite(codes)
    count = int(codes[known].max(initial=-1)) + 1
    place = np.where(known, codes, count).astype(np.intp)
    sums, sizes = (np.bincount(place, weights, count + 1) for weights in (outcomes, np.ones_like(outcomes)))
    return np.asarray((sums + PRIOR_ROWS * outcomes.mean()) / (sizes + PRIOR_ROWS))


class RankReference(Section):
    """AUC of a head and of the best single feature on the same rows, and their difference."""

    feature: str
    head: Estimate
    best: Estimate
    gain: Estimate


class HeadReferences(Section):
    """The references of a head; an AUC is None if there is no feature or no pair."""

    base: MaybeFloat
    relative_squared_error: Estimate | None
    auc: RankReference | None
    auc_by_request: RankReference | None


def head_references(
    observations: Observations,
    feature: Callable[[str], Floats],
    learned: FeatureRows,
    *,
    base: float,
    value: bool = False,
    by_request: bool = True,
) -> HeadReferences:
    """Compare a head with a constant and with the best single feature.

    Parameters
    ----------
    observations : known outcomes, predictions, users and requests of n rows.
    feature : returns the encoded values [n] of a feature by its name.
    learned : rows that choose the feature.
    base : the constant.
    value : whether the head predicts a value instead of a probability.
    by_request : whether rows of one request have separate outcomes, so that their order has a meaning.

    Examples
    --------
    >>> bought, price = np.array([1.0, 0.0, 1.0, 0.0]), np.array([4.0, 3.0, 2.0, 1.0])
    >>> before = FeatureRows(["price"], [], price[:, None], bought, list("rrss"))
    >>> seen = Observations(bought, [0.9, 0.2, 0.1, 0.3], list("uuvv"), list("rrss"))
    >>> found = head_references(seen, {"price": price}.__getitem__, before, base=0.5)
    >>> found.auc_by_request.feature
    'price'
    >>> found.auc_by_request.head.value, found.auc_by_request.best.value, found.auc_by_request.gain.value
    (0.5, 1.0, -0.5)
    """
    y, p, once = check_rows(observations.outcomes, observations.predictions)
    error: Estimate | None = None
    if value:
        who = cluster_rows(observations.users, observations.requests)
        errors = statistic_intervals([(y - p) ** 2, (y - base) ** 2], divide, who, REPLICATES_OF_SUMS)
        error = Support.of(y, once, who.codes).of_outcomes(errors)[0]
        learned = replace(learned, outcomes=(learned.outcomes > base).astype(np.float64))
    pooled, inside = best_features(learned) if y.size else (None, None)
    ranked = replace(observations, outcomes=(y > base).astype(np.float64)) if value else observations
    return HeadReferences(
        base=base,
        relative_squared_error=error,
        auc=None if pooled is None else _rank_pooled(ranked, pooled, feature),
        auc_by_request=None
        if inside is None or not by_request
        else _rank_by_request(ranked, inside, feature),
    )


def _rank_pooled(
    rows: Observations, feature: SingleFeature, values: Callable[[str], Floats]
) -> RankReference:
    """Compare the head's order of all rows, with outcomes of 0 or 1, with the order of a feature."""
    y, p, once = check_rows(rows.outcomes, rows.predictions)
    who = cluster_rows(rows.users, rows.requests)
    resampler = Resampler(who.count, REPLICATES_OF_RANKS)
    units = resampler.units(who.codes)
    sides = (p, feature.scores(values(feature.name)))
    sums = [sum_ranks(FallingRows.of(y, side, once), units, resampler.drawn) for side in sides]
    (a, b), aucs = (one.replicated(resampler)[0][0] for one in sums), [one.aucs[0] for one in sums]
    support = Support.of(y, once, who.codes)
    head, best, gain = (
        support.of_order([percentile_interval(value, replicated, who.count)])[0]
        for value, replicated in (*zip(aucs, (a, b), strict=True), (aucs[0] - aucs[1], a - b))
    )
    return RankReference(feature=feature.name, head=head, best=best, gain=gain)


def _rank_by_request(
    rows: Observations, feature: SingleFeature, values: Callable[[str], Floats]
) -> RankReference | None:
    """Compare the orders inside requests; None without a pair there."""
    sides = (np.asarray(rows.predictions), feature.scores(values(feature.name)))
    own, other = (request_pairs(rows.outcomes, side, rows.requests) for side in sides)
    if not own.pairs.size:
        return None
    first = own.first_rows
    who = cluster_rows(np.asarray(rows.users)[first], np.asarray(rows.requests)[first])
    found = sum_intervals(
        [own.won, other.won, own.pairs],
        {
            "head": lambda a, _b, pairs: divide(a, pairs),
            "best": lambda _a, b, pairs: divide(b, pairs),
            "gain": lambda a, b, pairs: divide(a - b, pairs),
        },
        who,
        REPLICATES_OF_SUMS,
    )
    support = Support.of(own.pairs, own.pairs, who.codes)
    estimates = {name: support.of_any(of)[0] for name, of in found.items()}
    return RankReference(feature=feature.name, **estimates)
