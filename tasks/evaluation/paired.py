"""Losses of a challenger against the champion on the same rows, with paired intervals by resampled users.

::

    auc_drop                      pooled: pairs of any two rows; also rewards distinguishing users and pages
    auc_by_request_drop           pairs inside one request, the only ones that an order determines
    normalized_entropy_rise       entropy of the outcomes, challenger - champion / entropy of the base rate
    relative_squared_error_rise   squared error, challenger - champion / error of the mean
    relative_pinball_loss_rise    pinball loss, challenger - champion / loss of the constant quantile

Each is positive if the challenger is worse. Errors of an amount are divided by the loss of a head without
features, like normalized entropy, so that a rise is comparable across units. A figure has NaN bounds if the
data are too few (`tasks.evaluation.resampling`); a request, and so its user, is weighted by its number of
pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Floats
from tasks.evaluation.binary import (
    check_binary,
    check_rows,
    divide,
    normalize_entropy,
    request_pairs,
    row_losses,
)
from tasks.evaluation.observations import Grouping
from tasks.evaluation.ranking_metrics import FallingRows, sum_ranks
from tasks.evaluation.resampling import (
    Resampler,
    Support,
    cluster_rows,
    count_users,
    percentile_interval,
    statistic_intervals,
)
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

REPLICATES_OF_RANKS = 200
"""Replicates of pooled AUC, each of which cumulates all bins again (`tasks.evaluation.ranking_metrics`)."""
REPLICATES_OF_SUMS = 500
"""Replicates of statistics of sums."""


@dataclass(frozen=True)
class PairedRows:
    """Rows with a known outcome and two predictions of each.

    Attributes
    ----------
    outcomes : [n] 0 or 1.
    champion, challenger : [n] probabilities; for the AUCs any scores, higher first.
    users : [n] ids; the resampled clusters.
    requests : [n] ids of the candidate sets.
    segments : values [n] by column name.
    """

    outcomes: npt.ArrayLike
    champion: npt.ArrayLike
    challenger: npt.ArrayLike
    users: npt.ArrayLike
    requests: npt.ArrayLike
    segments: Mapping[str, npt.ArrayLike] = field(default_factory=dict)

    def checked(self, *, binary: bool = True) -> tuple[Floats, Floats, Floats, Floats]:
        """Return outcomes, both predictions, and a weight of 1 for each row, all finite.

        Binary outcomes are checked by `check_binary`, others by `check_rows`.
        """
        check = check_binary if binary else check_rows
        y, old, once = check(self.outcomes, self.champion)
        _, new, _ = check(self.outcomes, self.challenger)
        return y, old, new, once


def auc_drop(rows: PairedRows) -> Estimate:
    """Paired interval of AUC(champion) - AUC(challenger) over all rows.

    Examples
    --------
    >>> auc_drop(PairedRows([1, 0], [0.9, 0.1], [0.1, 0.9], ["u", "v"], ["r", "r"])).value
    1.0
    """
    y, old, new, once = rows.checked()
    if not y.size:
        return UNKNOWN_ESTIMATE
    who = cluster_rows(rows.users)
    resampler = Resampler(who.count, REPLICATES_OF_RANKS)
    units = resampler.units(who.codes)
    before, after = (sum_ranks(FallingRows.of(y, side, once), units, resampler.drawn) for side in (old, new))
    samples = before.replicated(resampler)[0] - after.replicated(resampler)[0]
    drop = percentile_interval(before.aucs[0] - after.aucs[0], samples[0], who.count)
    return Support.of(y, once, who.codes).of_order([drop])[0]


def auc_by_request_drop(rows: PairedRows, group: Grouping | None = None) -> list[Estimate]:
    """Paired intervals of the drop in AUC by request, one per group; pairs share request and group.

    Examples
    --------
    >>> rows = PairedRows([1, 0, 1, 0], [4, 3, 2, 1], [4, 3, 1, 2], list("uuvv"), list("rrss"))
    >>> auc_by_request_drop(rows)[0].value
    0.5
    """
    y, old, new, _ = rows.checked()
    of = group or Grouping.whole(y.size)
    requests = (
        pd.factorize(np.asarray(rows.requests), use_na_sentinel=False)[0] * np.intp(of.count) + of.codes
    )
    before, after = (request_pairs(y, side, requests) for side in (old, new))
    who = cluster_rows(np.asarray(rows.users)[before.first_rows])
    paired = Grouping(of.names, of.codes[before.first_rows])
    columns = [before.won - after.won, before.pairs]
    drops = statistic_intervals(columns, divide, who, REPLICATES_OF_SUMS, paired)
    return Support.of(before.pairs, before.pairs, who.codes, paired).of_any(drops)


def normalized_entropy_rise(rows: PairedRows, group: Grouping | None = None) -> list[Estimate]:
    """Paired intervals of NE(challenger) - NE(champion), one per group; see `auc_by_request_drop`.

    An estimate's ``n`` counts the users with a positive outcome, who cause nearly all of its variance.

    Examples
    --------
    >>> rows = PairedRows([1, 0], [0.75, 0.25], [0.75, 0.25], ["u", "v"], ["r", "r"])
    >>> normalized_entropy_rise(rows)[0].value
    0.0
    """
    y, old, new, once = rows.checked()
    of, who = group or Grouping.whole(y.size), cluster_rows(rows.users)
    columns = [row_losses(y, new) - row_losses(y, old), y, once]
    rises = statistic_intervals(columns, normalize_entropy, who, REPLICATES_OF_SUMS, of)
    known = Support.of(y, once, who.codes, of).of_outcomes(rises)
    positive = np.flatnonzero(y)
    users = count_users(who.codes[positive], of.codes[positive], of.count)
    return [replace(one, n=int(n)) for one, n in zip(known, users, strict=True)]


def pinball_losses(outcomes: Floats, predictions: Floats, quantile: float) -> Floats:
    """Return quantile x shortfall + (1 - quantile) x excess of each prediction [n].

    Examples
    --------
    >>> pinball_losses(np.array([3.0, 1.0]), np.array([2.0, 2.0]), 0.75)
    array([0.75, 0.25])
    """
    short = outcomes - predictions
    return np.maximum(quantile * short, (quantile - 1) * short)


def relative_squared_error_rise(
    rows: PairedRows, group: Grouping | None = None, *, base: float
) -> list[Estimate]:
    """Paired intervals of the rise in relative squared error, one per group.

    Examples
    --------
    >>> rows = PairedRows([1.0, 3.0], [1.0, 3.0], [2.0, 3.0], ["u", "v"], ["r", "s"])
    >>> relative_squared_error_rise(rows, base=2.0)[0].value
    0.5
    """
    y, old, new, _ = rows.checked(binary=False)
    rises, support = _rises(rows, [(y - new) ** 2 - (y - old) ** 2, (y - base) ** 2], group)
    return support.of_outcomes(rises)


def relative_pinball_loss_rise(
    rows: PairedRows, group: Grouping | None = None, *, quantile: float, base: float
) -> list[Estimate]:
    """Paired intervals of the rise in relative pinball loss, one per group; ``base``: constant quantile.

    Examples
    --------
    >>> rows = PairedRows([1.0, 3.0], [1.0, 3.0], [2.0, 3.0], ["u", "v"], ["r", "s"])
    >>> relative_pinball_loss_rise(rows, quantile=0.5, base=2.0)[0].value
    0.5
    """
    y, old, new, _ = rows.checked(binary=False)
    before, after, constant = (pinball_losses(y, p, quantile) for p in (old, new, np.full_like(y, base)))
    rises, support = _rises(rows, [after - before, constant], group)
    return support.of_any(rises)


def _rises(rows: PairedRows, columns: list[Floats], group: Grouping | None) -> tuple[list[Estimate], Support]:
    """Divide the sums of two columns [n] in each group, and return the support of the quotients."""
    y, size = np.asarray(rows.outcomes, dtype=np.float64), columns[0].size
    of, who = group or Grouping.whole(size), cluster_rows(rows.users)
    support = Support.of(y, np.ones(size), who.codes, of)
    return statistic_intervals(columns, divide, who, REPLICATES_OF_SUMS, of), support
