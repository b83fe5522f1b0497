"""What one model of an amount loses against another on the same rows, as a share of a constant's error.

::

    relative_squared_error_rise   squared error of the challenger less the champion's / that of the mean
    relative_pinball_loss_rise    the same of the pinball loss, over that of the constant quantile

As normalized entropy does of a probability, both divide by what a head without a feature would lose, so that
a rise means the same whatever the unit. Positive where the challenger is worse; intervals resample users.
"""

import numpy as np

from tasks.evaluation.binary import Floats, check_rows, divide
from tasks.evaluation.grouping import Grouping
from tasks.evaluation.paired import REPLICATES_OF_SUMS, PairedRows
from tasks.evaluation.resampling import Resampler, cluster_rows, sum_intervals
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate


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
    """Paired intervals of the rise in relative squared error, one a group.

    Parameters
    ----------
    group : the rows' groups; None is one of all rows.
    base : the constant: the mean outcome of days before.

    Examples
    --------
    >>> rows = PairedRows([1.0, 3.0], [1.0, 3.0], [2.0, 3.0], ["u", "v"], ["r", "s"])
    >>> relative_squared_error_rise(rows, base=2.0)[0].value
    0.5
    """
    y, old, new = _check(rows)
    rises, support = _rises(rows, [(y - new) ** 2 - (y - old) ** 2, (y - base) ** 2], group)
    return support.of_outcomes(rises)


def relative_pinball_loss_rise(
    rows: PairedRows, group: Grouping | None = None, *, quantile: float, base: float
) -> list[Estimate]:
    """Paired intervals of the rise in relative pinball loss, one a group; ``base`` is the constant quantile.

    Examples
    --------
    >>> rows = PairedRows([1.0, 3.0], [1.0, 3.0], [2.0, 3.0], ["u", "v"], ["r", "s"])
    >>> relative_pinball_loss_rise(rows, quantile=0.5, base=2.0)[0].value
    0.5
    """
    y, old, new = _check(rows)
    before, after, constant = (pinball_losses(y, p, quantile) for p in (old, new, np.full_like(y, base)))
    rises, support = _rises(rows, [after - before, constant], group)
    return support.of_any(rises)


def _check(rows: PairedRows) -> tuple[Floats, Floats, Floats]:
    y, old, _ = check_rows(rows.outcomes, rows.champion)
    _, new, _ = check_rows(rows.outcomes, rows.challenger)
    return y, old, new


def _rises(rows: PairedRows, columns: list[Floats], group: Grouping | None) -> tuple[list[Estimate], Support]:
    """Divide the sums of two columns [n] in each group, and count what the quotients rest on."""
    y, size = np.asarray(rows.outcomes, dtype=np.float64), columns[0].size
    of, who = group or Grouping.whole(size), cluster_rows(rows.users)
    support = Support.of(y, np.ones(size), who.codes, of)
    if not who.count:
        return [UNKNOWN_ESTIMATE] * of.count, support
    resampler = Resampler(who.count, seed=0, replicates=REPLICATES_OF_SUMS)
    found = sum_intervals(columns, {"rise": divide}, who.codes, resampler, groups=of.codes, count=of.count)[
        "rise"
    ]
    return found, support
