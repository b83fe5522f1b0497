"""Surrogates: whether moving a fast outcome moves the slow one, across finished experiments.

::

    newest final read-out  ->  changes of both outcomes of `proxies`, and the covariance of their errors
    x, y      changes of the fast and of the slow outcome, against a control
    Om        mean covariance of the errors of (x, y): of the same users, so they correlate
    slope     (mean x y - Om_xy) / (mean x^2 - Om_xx), through 0: a release that changes nothing
    F         mean x^2 / Om_xx: 1 where the changes of the fast outcome are nothing but errors
    refused   below 8 experiments, or F below 3
    interval  jackknife of experiments, t(n - 1)

A fast prediction that orders slow outcomes (the dossier's proxies) is no evidence of this: users who click
more may buy more, and a release that makes all of them click more may sell nothing. Least squares would take
errors that both outcomes share for an effect.

Fuller (1987), "Measurement Error Models"; Tripuraneni et al. (2024), "Choosing a Proxy Metric from Past
Experiments".
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tasks.arrays import Floats
from tasks.contracts.metrics import Metric, MetricKind
from tasks.errors import DataError
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.evidence import OutcomeChanges, ReadState
from tasks.experiments.results import newest_readout, surface_experiments
from tasks.experiments.weights import LEAST_ARMS, LEAST_SIGNAL
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class Surrogate:
    """How the slow outcome moved with the fast one.

    Attributes
    ----------
    fast, slow : metrics of the pair.
    experiments : finished ones with figures of both.
    signal : F, how many times the variance of its errors the fast outcome's changes have.
    slope : change of the slow outcome per unit of change of the fast one; NaN where refused.
    conclusion : ``moves``, ``moves the other way`` or ``inconclusive`` by the slope's 95 % interval, or why
        there is no slope.
    """

    fast: str
    slow: str
    experiments: int
    signal: float
    slope: Estimate
    conclusion: str


def find_surrogates(workspace: Workspace) -> list[Surrogate]:
    """Regress the slow outcome's changes on the fast one's, for each pair of ``proxies``."""
    readouts = (newest_readout(workspace, name) for name in surface_experiments(workspace))
    changes = [one.outcomes for one in readouts if one is not None and one.state is ReadState.FINISHED]
    pairs = [(pair.fast, pair.slow) for pair in workspace.contracts.surface.proxies]
    return [_regress(changes, *(Metric(MetricKind.RATE, task).name for task in pair)) for pair in pairs]


def _regress(changes: list[OutcomeChanges], fast: str, slow: str) -> Surrogate:
    found = [one for one in changes if {fast, slow} <= {*one.outcomes}]
    places = [[one.outcomes.index(fast), one.outcomes.index(slow)] for one in found]
    moved = np.array([np.array(one.changes)[at] for one, at in zip(found, places, strict=True)])
    errors = np.array(
        [np.array(one.covariance)[np.ix_(at, at)] for one, at in zip(found, places, strict=True)]
    )
    signal, slope = surrogate_slope(moved.reshape(-1, 2), errors.reshape(-1, 2, 2))
    return Surrogate(fast, slow, len(found), signal, slope, _conclude(len(found), signal, slope))


def surrogate_slope(changes: npt.ArrayLike, errors: npt.ArrayLike) -> tuple[float, Estimate]:
    """Return F and the slope with its 95 % interval; the slope is NaN where it is refused.

    Parameters
    ----------
    changes : [experiments, 2] of the fast and of the slow outcome, against a control.
    errors : [experiments, 2, 2] covariance of their errors.

    Examples
    --------
    >>> fast = np.array([0.1, -0.2, 0.3, 0.2, -0.1, 0.2, 0.1, -0.3])
    >>> signal, slope = surrogate_slope(np.c_[fast, 0.5 * fast], [0.001 * np.eye(2)] * 8)
    >>> round(signal, 1), round(slope.value, 2)
    (41.3, 0.51)
    """
    moved, covariances = np.asarray(changes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    n = len(moved)
    if moved.shape != (n, 2) or covariances.shape != (n, 2, 2):
        raise DataError(
            f"Changes {moved.shape} and errors {covariances.shape} do not fit. Pass [experiments, 2] and "
            "[experiments, 2, 2]."
        )
    if not (np.isfinite(moved).all() and np.isfinite(covariances).all()):
        raise DataError("A change or a covariance is not finite. Leave out experiments without a figure.")
    fast, variance = float((moved[:, 0] ** 2).sum()), float(covariances[:, 0, 0].sum())
    signal = fast / variance if variance > 0 else math.inf if fast > 0 else 0.0
    if n < LEAST_ARMS or signal < LEAST_SIGNAL:
        return signal, Estimate(math.nan, math.nan, math.nan, n)
    terms = moved[:, [0]] * moved - covariances[:, 0]
    left = _divide(terms.sum(axis=0) - terms)
    value, half = float(_divide(terms.sum(axis=0))), stdtrit(n - 1, 0.975) * left.std() * math.sqrt(n - 1)
    return signal, Estimate(value, value - half, value + half, n)


def _divide(sums: Floats) -> Floats:
    return np.asarray(sums[..., 1] / sums[..., 0])


def _conclude(experiments: int, signal: float, slope: Estimate) -> str:
    if experiments < LEAST_ARMS:
        return f"{LEAST_ARMS} finished experiments with both outcomes are needed"
    if signal < LEAST_SIGNAL:
        return (
            f"the experiments move the fast outcome too little: F is {signal:.2g}, {LEAST_SIGNAL:g} is needed"
        )
    if slope.low <= 0 <= slope.high:
        return "inconclusive"
    return "moves" if slope.value > 0 else "moves the other way"
