"""Whether the arms of an experiment have the users that their shares declare, tested at every look.

::

    n      new users of each arm in a stage so far, each counted at its first exposure    th   declared shares
    ln E   sum over stages of  ln B(k th + n) - ln B(k th) - sum n ln th                  k = 1,000
    alarm  from the first day on which E >= 100

B is the normaliser of the Dirichlet distribution. Where the shares hold, E reaches 100 at any look of any
number with a chance of at most .01 (Lindon and Malek 2022, "Anytime-Valid Inference for Multinomial Count
Data"). Stages of a ramp multiply; their users are never pooled, since each stage has its own shares.
``python -m benchmarks.experiment_readouts`` counts false alarms and power.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import gammaln

from tasks.arrays import Floats
from tasks.errors import DataError

ALARM: Final = 100.0
"""E-value at which the sample ratio is refused: a chance of .01 where the shares hold."""
_CONCENTRATION: Final = 1000.0


@dataclass(frozen=True)
class Stage:
    """A period of constant shares: new users by day and arm [days, arms], and declared shares [arms]."""

    counts: Floats
    shares: Floats


def log_e_values(stages: Sequence[Stage]) -> Floats:
    """Return the logarithm of the e-value after each day of each stage, in their order.

    Examples
    --------
    >>> even = Stage(np.array([[500, 500], [500, 500]]), np.array([0.5, 0.5]))
    >>> lost = Stage(np.array([[500, 400], [500, 400]]), np.array([0.5, 0.5]))
    >>> (log_e_values([even]) < 0).all(), (np.exp(log_e_values([lost])) >= ALARM).tolist()
    (np.True_, [False, True])
    """
    total, found = 0.0, []
    for stage in stages:
        if not (stage.shares > 0).all() or abs(float(stage.shares.sum()) - 1) > 1e-9:
            raise DataError(f"The shares {stage.shares.tolist()} are not above 0 with a sum of 1.")
        prior, seen = _CONCENTRATION * stage.shares, np.cumsum(stage.counts, axis=0)
        each = _log_normaliser(prior + seen) - _log_normaliser(prior) - seen @ np.log(stage.shares)
        found.append(total + each)
        total += float(each[-1]) if len(each) else 0.0
    return np.concatenate(found) if found else np.zeros(0)


def first_alarm(log_e: Floats) -> int | None:
    """Return the place of the first day on which the e-value reaches `ALARM`; None without an alarm.

    Examples
    --------
    >>> first_alarm(np.log([1.0, 120.0, 80.0])), first_alarm(np.zeros(3))
    (1, None)
    """
    beyond = np.flatnonzero(log_e >= np.log(ALARM))
    return int(beyond[0]) if beyond.size else None


def _log_normaliser(weights: Floats) -> Floats:
    """Return ln B of Dirichlet weights, over the last axis."""
    return np.asarray(gammaln(weights).sum(axis=-1) - gammaln(weights.sum(axis=-1)))
