"""References of a head on its test days: a constant, and the best single feature.

::

    base                      mean outcome of the calibrate days: what a head without a feature would predict
    relative_squared_error    squared error / that of the base, of a value head: 1 is no better than the mean
    auc, auc_by_request       head, best single feature, and the head's gain, on the same rows

A probability is held against the base rate by its normalized entropy, which stands among the figures. The
base and the feature are learned on the calibrate days, the newest ones that the head's own maps know: a head
that always predicts their mean has a relative squared error of exactly 1. Where the outcome is a value, what
lies above the base counts as positive for the AUCs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tasks.arrays import Floats
from tasks.evaluation.binary import check_rows, divide, request_pairs
from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.observations import Observations
from tasks.evaluation.paired import REPLICATES_OF_RANKS, REPLICATES_OF_SUMS
from tasks.evaluation.rank_sums import FallingRows, sum_ranks
from tasks.evaluation.resampling import Resampler, cluster_rows, percentile_interval, sum_intervals
from tasks.evaluation.single_features import FeatureRows, SingleFeature, best_features
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import Estimate


class RankReference(Section):
    """AUC of a head and of the best single feature on the same rows, and the first less the second."""

    feature: str
    head: Estimate
    best: Estimate
    gain: Estimate


class HeadReferences(Section):
    """The references of a head; an AUC is None where there is no feature or no pair."""

    base: MaybeFloat
    relative_squared_error: Estimate | None
    auc: RankReference | None
    auc_by_request: RankReference | None


@dataclass(frozen=True)
class HeadRows:
    """A head on rows with a known outcome.

    Attributes
    ----------
    observations : outcomes, predictions, users and requests of n rows.
    feature : returns the encoded values [n] of a feature by its name.
    value : the head predicts a value and no probability.
    by_request : rows of one request have outcomes of their own, so an order inside it has a meaning.
    """

    observations: Observations
    feature: Callable[[str], Floats]
    value: bool
    by_request: bool


def head_references(head: HeadRows, learned: FeatureRows, *, base: float) -> HeadReferences:
    """Hold a head against a constant and against the best single feature.

    Examples
    --------
    >>> bought, price = np.array([1.0, 0.0, 1.0, 0.0]), np.array([4.0, 3.0, 2.0, 1.0])
    >>> before = FeatureRows(["price"], [], price[:, None], bought, list("rrss"))
    >>> seen = Observations(bought, [0.9, 0.2, 0.1, 0.3], list("uuvv"), list("rrss"))
    >>> head = HeadRows(seen, {"price": price}.__getitem__, value=False, by_request=True)
    >>> found = head_references(head, before, base=0.5)
    >>> found.auc_by_request.feature
    'price'
    >>> found.auc_by_request.head.value, found.auc_by_request.best.value, found.auc_by_request.gain.value
    (0.5, 1.0, -0.5)
    """
    y, p, _ = check_rows(head.observations.outcomes, head.observations.predictions)
    if head.value:
        learned = replace(learned, outcomes=(learned.outcomes > base).astype(np.float64))
    best = best_features(learned) if y.size else None
    positive = (y > base).astype(np.float64) if head.value else y
    ranked = _Ranked(head, positive, p)
    return HeadReferences(
        base=base,
        relative_squared_error=_relative_squared_error(head, y, p, base) if head.value else None,
        auc=None if best is None else ranked.pooled(best.pooled),
        auc_by_request=ranked.by_request(best.by_request)
        if best is not None and best.by_request is not None and head.by_request
        else None,
    )


def _relative_squared_error(head: HeadRows, y: Floats, p: Floats, base: float) -> Estimate:
    who = cluster_rows(head.observations.users, head.observations.requests)
    columns = [(y - p) ** 2, (y - base) ** 2]
    resampler = Resampler(who.count, seed=0, replicates=REPLICATES_OF_SUMS)
    errors = sum_intervals(columns, {"error": divide}, who.codes, resampler)["error"]
    return Support.of(y, np.ones_like(y), who.codes).of_outcomes(errors)[0]


@dataclass(frozen=True)
class _Ranked:
    """A head's order of rows with outcomes of 0 or 1, to be held against that of a feature."""

    head: HeadRows
    outcomes: Floats
    predictions: Floats

    def pooled(self, feature: SingleFeature) -> RankReference:
        observations, once = self.head.observations, np.ones_like(self.outcomes)
        who = cluster_rows(observations.users, observations.requests)
        resampler = Resampler(who.count, seed=0, replicates=REPLICATES_OF_RANKS)
        units = resampler.units(who.codes)
        sides = (self.predictions, feature.scores(self.head.feature(feature.name)))
        rows = [FallingRows.of(self.outcomes, side, once) for side in sides]
        sums = [sum_ranks(one, units, resampler.drawn) for one in rows]
        (a, b), values = (one.replicated(resampler)[0][0] for one in sums), [one.aucs[0] for one in sums]
        support = Support.of(self.outcomes, once, who.codes)
        head, best, gain = (
            support.of_order([percentile_interval(value, replicated, who.count)])[0]
            for value, replicated in (*zip(values, (a, b), strict=True), (values[0] - values[1], a - b))
        )
        return RankReference(feature=feature.name, head=head, best=best, gain=gain)

    def by_request(self, feature: SingleFeature) -> RankReference | None:
        observations = self.head.observations
        sides = (self.predictions, feature.scores(self.head.feature(feature.name)))
        own, other = (request_pairs(self.outcomes, side, observations.requests) for side in sides)
        if not own.pairs.size:
            return None
        rows = own.first_rows
        who = cluster_rows(np.asarray(observations.users)[rows], np.asarray(observations.requests)[rows])
        found = sum_intervals(
            [own.won, other.won, own.pairs],
            {
                "head": lambda a, _b, pairs: divide(a, pairs),
                "best": lambda _a, b, pairs: divide(b, pairs),
                "gain": lambda a, b, pairs: divide(a - b, pairs),
            },
            who.codes,
            Resampler(who.count, seed=0, replicates=REPLICATES_OF_SUMS),
        )
        support = Support.of(own.pairs, own.pairs, who.codes)
        estimates = {name: support.of_any(of)[0] for name, of in found.items()}
        return RankReference(feature=feature.name, **estimates)
