"""Learns weights of short outcomes from finished experiments by their effect on the long outcome.

::

    X, y      changes of the short outcomes [arms, outcomes] and of the long outcome [arms], against a control
    Om        covariance of the errors of X by user [outcomes, outcomes], the mean over arms
    F_min     smallest eigenvalue of Om^-1 X'X / arms: 1 if X contains only errors
    weights   least squares of y on X through 0, because arms without changes have no effect
    refused   below 8 arms or F_min 3: errors of X would bias the weights
    interval  t(arms - outcomes) times the standard deviation of fits with random weights of the arms (the
              Bayesian bootstrap), times sqrt(arms / (arms - outcomes))

Percentiles of those fits are too narrow for few arms. A regression over users is no substitute, because
active users have more of every outcome. ``python -m benchmarks.experiment_weights`` prints their errors.

Rubin (1981), "The Bayesian bootstrap".
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tasks.arrays import Floats
from tasks.errors import DataError

LEAST_SIGNAL: Final = 3.0
LEAST_ARMS: Final = 8
_REPLICATES: Final = 1000


@dataclass(frozen=True)
class ExperimentWeights:
    """Weights [outcomes] in units of the long outcome per unit of each short outcome, NaN if refused.

    Attributes
    ----------
    weights, low, high : [outcomes], with 95 % intervals. Their common scale does not affect the order.
    signal : F_min, mean square of the changes in the weakest direction divided by the errors' variance.
    arms : number of treatments with a control.
    """

    weights: Floats
    low: Floats
    high: Floats
    signal: float
    arms: int

    @property
    def refused(self) -> bool:
        """Whether arms are too few, or their changes too small, for learning weights."""
        few = self.arms < max(LEAST_ARMS, self.weights.size + 1)
        return few or not self.signal >= LEAST_SIGNAL


def learn_weights(short: npt.ArrayLike, long: npt.ArrayLike, covariance: npt.ArrayLike) -> ExperimentWeights:
    """Regress the long outcome's changes on those of the short outcomes, or refuse.

    Parameters
    ----------
    short : [arms, outcomes] changes against each arm's control, in one unit per outcome.
    long : [arms] changes of the long outcome, of the same arms.
    covariance : [outcomes, outcomes] mean user-clustered covariance of the errors of ``short``; invertible.

    Examples
    --------
    >>> short = np.random.default_rng(0).normal(size=(12, 2))
    >>> learned = learn_weights(short, short @ [2.0, -1.0], 0.01 * np.eye(2))
    >>> learned.weights.round(3).tolist(), learned.refused
    ([2.0, -1.0], False)
    >>> learn_weights(short, short @ [2.0, -1.0], np.eye(2)).refused
    True
    """
    x, y, errors = (np.asarray(each, dtype=np.float64) for each in (short, long, covariance))
    _check(x, y, errors)
    arms, outcomes = x.shape
    signal = float(np.linalg.eigvals(np.linalg.solve(errors, x.T @ x / arms)).real.min()) if arms else 0.0
    unknown = np.full(outcomes, np.nan)
    learned = ExperimentWeights(unknown, unknown, unknown, signal, arms)
    if learned.refused:
        return learned
    weights, free = np.asarray(np.linalg.lstsq(x, y)[0], dtype=np.float64), arms - outcomes
    reach = stdtrit(free, 0.975) * np.sqrt(arms / free) * _resample(x, y).std(axis=0)
    return ExperimentWeights(weights, weights - reach, weights + reach, signal, arms)


def _resample(x: Floats, y: Floats) -> Floats:
    """Return weights by replicate; arms drawn with replacement could be fewer than the outcomes."""
    draws = np.random.default_rng(0).exponential(size=(_REPLICATES, len(y)))
    squares = np.einsum("rk,ki,kj->rij", draws, x, x, optimize=True)
    return np.asarray(np.linalg.solve(squares, ((draws * y) @ x)[:, :, None])[:, :, 0])


def _check(x: Floats, y: Floats, errors: Floats) -> None:
    if not (x.ndim == 2 and y.shape == x.shape[:1] and errors.shape == (x.shape[1],) * 2):
        raise DataError(
            f"Short outcomes {x.shape}, long outcome {y.shape} and covariance {errors.shape} do not fit. "
            "Pass [arms, outcomes], [arms] and [outcomes, outcomes]."
        )
    if not all(np.isfinite(each).all() for each in (x, y, errors)):
        raise DataError("A change or a covariance is not finite. Leave out arms without a figure.")
    if np.linalg.matrix_rank(errors, hermitian=True) < len(errors):
        raise DataError("Two short outcomes are the same, or a sum of others. Leave one of them out.")
