"""AUC and average precision of many reweighted samples from one sort.

Only where positives stand matters, so each run of negatives between two of them becomes one bin::

    score, falling   .9  .8 .8 .7  .6  .5 .5 .4 ...
    outcome           0   1  0  0   0   1  0  0
    bin               0   1  1  2   2   3  3  4        at most 2 x positives + 1 bins

    negatives [bins, users] @ draws [users, replicates]  ->  cumulative sums  ->  both metrics
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tasks.evaluation.binary import Codes, Floats, quotient
from tasks.evaluation.resampling import block_width, draws


@dataclass(frozen=True)
class RankSums:
    """Weights of positives and negatives per bin and user; bins by group, then by falling score.

    ``starts`` [groups with rows] is the first bin of each group, ``groups`` their codes.
    """

    positives: sparse.csr_array
    negatives: sparse.csr_array
    starts: Codes
    groups: Codes

    @property
    def users(self) -> int:
        """Number of users that are drawn."""
        return int(self.positives.shape[1])

    def measure(self, block: Floats) -> tuple[Floats, Floats]:
        """Return AUC and average precision [groups, replicates] under draws [users, replicates]."""
        above, taken = self._cumulated(self.negatives @ block), self._cumulated(self.positives @ block)
        negative, positive = above.total, taken.total
        won = np.add.reduceat(taken.own * (above.last_of_group - above.upto + above.own / 2), self.starts)
        precision = np.divide(taken.upto, taken.upto + above.upto, out=np.zeros_like(taken.own), where=taken.own > 0)
        found = np.add.reduceat(taken.own * precision, self.starts)
        return quotient(won, positive * negative), quotient(found, positive)

    def replicated(self, *, seed: int, replicates: int) -> tuple[Floats, Floats]:
        """Return AUC and average precision [groups, replicates] of resampled users."""
        width = block_width(int(self.positives.shape[0]), self.users)
        blocks = draws(self.users, seed=seed, replicates=replicates, width=width)
        aucs, precisions = zip(*(self.measure(block) for block in blocks), strict=True)
        return np.concatenate(aucs, axis=1), np.concatenate(precisions, axis=1)

    def _cumulated(self, own: Floats) -> "_Cumulated":
        """Cumulate bins [bins, replicates] within their group."""
        upto = np.cumsum(own, axis=0)
        sizes = np.diff(np.r_[self.starts, own.shape[0]])
        ends = upto[self.starts + sizes - 1]
        before = np.zeros_like(ends)
        before[1:] = ends[:-1]
        if self.starts.size > 1:
            upto -= np.repeat(before, sizes, axis=0)
        total = ends - before
        return _Cumulated(own, upto, total, np.repeat(total, sizes, axis=0) if self.starts.size > 1 else total)


@dataclass(frozen=True)
class _Cumulated:
    own: Floats
    upto: Floats
    total: Floats
    last_of_group: Floats


def rank_sums(
    outcomes: Floats, predictions: Floats, weights: Floats, users: Codes, *, groups: Codes | None = None
) -> RankSums:
    """Sort once and sum the rows into bins.

    Parameters
    ----------
    outcomes, predictions, weights : [n], at least one row.
    users, groups : [n] codes; without groups all rows are one.
    """
    of = np.zeros(outcomes.size, dtype=np.intp) if groups is None else groups
    order = np.argsort(-predictions) if groups is None else np.lexsort((-predictions, of))
    p, y, g = predictions[order], outcomes[order] == 1, of[order]
    new_group = np.r_[True, np.diff(g) != 0]
    ties = np.flatnonzero(new_group | np.r_[True, np.diff(p) != 0])
    mixed = np.logical_or.reduceat(y, ties)
    opens = mixed | np.r_[True, mixed[:-1]] | new_group[ties]
    bins = np.repeat(np.cumsum(opens) - 1, np.diff(np.r_[ties, y.size]))
    shape = (int(opens.sum()), int(users.max()) + 1)
    entries, who = weights[order], users[order]
    positives, negatives = (
        sparse.csr_array((entries[rows], (bins[rows], who[rows])), shape=shape) for rows in (y, ~y)
    )
    firsts = np.flatnonzero(new_group)
    return RankSums(positives, negatives, bins[firsts], g[firsts])
