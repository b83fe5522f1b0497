"""Compares offline with online results: effects of finished experiments with the gate's replays.

::

    newest final read-out  ->  effect of a metric                  of the treatment's release
    gate of that release   ->  its replay, if against the control  ->  change of the same metric
    y = intercept + slope x,  both with errors      Deming regression, by the ratio of their mean variances
    slope < 1                                       offline evaluation overestimates effects of experiments
    intervals                                       jackknife over experiments, t(n - 2)

Least squares would ignore the errors of x and give too low a slope.

Linnet (1993), "Evaluation of regression procedures for methods comparison studies".

Surrogates: whether a change of a fast outcome changes the slow one, across finished experiments::

    newest final read-out  ->  changes of both outcomes of `proxies`, and the covariance of their errors
    x, y      changes of the fast and of the slow outcome, against a control
    Om        mean covariance of the errors of (x, y), which are correlated within users
    slope     (mean x y - Om_xy) / (mean x^2 - Om_xx), through 0: a release without changes
    F         mean x^2 / Om_xx: 1 if the changes of the fast outcome are only errors
    refused   below 8 experiments, or F below 3
    interval  jackknife over experiments, t(n - 1)

A fast prediction that ranks slow outcomes (the dossier's proxies) is no evidence of this: users who click
more may buy more, while a release that makes all users click more may not raise sales. Least squares would
mistake errors that both outcomes share for an effect.

Fuller (1987), "Measurement Error Models"; Tripuraneni et al. (2024), "Choosing a Proxy Metric from Past
Experiments".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tasks.arrays import Floats
from tasks.contracts.experiment import CONTROL
from tasks.contracts.metrics import Metric, MetricKind
from tasks.errors import ContractError, DataError, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.evidence import ExperimentReadout, OutcomeChanges, ReadState
from tasks.experiments.learn import LEAST_ARMS, LEAST_SIGNAL
from tasks.experiments.results import newest_readout, surface_experiments
from tasks.replay.evidence import SimulationEvidence
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class MetricAgreement:
    """Agreement of a metric's effects in experiments with its changes in replays.

    Attributes
    ----------
    experiments : number of experiments.
    slope, intercept : estimates with 95 % intervals; NaN with fewer than three experiments, intervals with
        fewer than four, or if the changes do not vary.
    agreeing : share of experiments whose effect has the sign of the offline change; NaN without any.
    """

    metric: str
    experiments: int
    slope: Estimate
    intercept: Estimate
    agreeing: float


def compare_experiments(workspace: Workspace) -> list[MetricAgreement]:
    """Compare finished experiments with the gate's replays of their releases, by metric."""
    pairs: dict[str, list[tuple[Estimate, Estimate]]] = {}
    for name in surface_experiments(workspace):
        newest = newest_readout(workspace, name)
        if newest is not None and newest.state is ReadState.FINISHED:
            for metric, offline, online in _pairs(workspace, newest):
                pairs.setdefault(metric, []).append((offline, online))
    return [_compare(metric, seen) for metric, seen in sorted(pairs.items())]


def _compare(metric: str, pairs: list[tuple[Estimate, Estimate]]) -> MetricAgreement:
    offline, online = zip(*pairs, strict=True)
    values, errors = (
        [[getattr(one, name) for one in side] for side in (offline, online)]
        for name in ("value", "standard_error")
    )
    return compare_offline_online(metric, *values, *errors)


def _pairs(workspace: Workspace, readout: ExperimentReadout) -> Iterator[tuple[str, Estimate, Estimate]]:
    """Yield each metric with its change in the replay and its effect in the experiment."""
    treatment = next(release for arm, release in readout.arms.items() if arm != CONTROL)
    printed = _read_changes(workspace, treatment, against=readout.arms[CONTROL])
    for one in readout.metrics:
        offline, online = printed.get(one.metric), one.change
        if offline is not None and online is not None and online.known:
            yield one.metric, offline, online


def _read_changes(workspace: Workspace, release: int, *, against: int) -> dict[str, Estimate]:
    """Return the changes of a release's replay by metric; none if the gate used another baseline."""
    runs = workspace.store.runs
    gate = runs.newest(workspace.surface, step="gate", release=release)
    if gate is None:
        return {}
    try:
        run = runs.read_evidence(gate, GateEvidence).runs.simulation
        replay = runs.read_evidence(run, SimulationEvidence)
    except (ContractError, StoreError):
        return {}
    if replay.champion != against:
        return {}
    return {
        one.subject.name: one.relative
        for one in replay.measured
        if one.segment == ALL and one.relative is not None and one.relative.known
    }


def compare_offline_online(
    metric: str,
    offline: npt.ArrayLike,
    online: npt.ArrayLike,
    offline_errors: npt.ArrayLike,
    online_errors: npt.ArrayLike,
) -> MetricAgreement:
    """Regress online effects of a metric on its offline changes with errors in both.

    Parameters
    ----------
    offline, online : [experiments] relative changes or effects, such as 0.02.
    offline_errors, online_errors : [experiments] their standard errors, not negative.

    Raises
    ------
    DataError : lengths differ, a figure is not finite, or a standard error is negative.

    Examples
    --------
    >>> offline, online = [0.1, 0.2, 0.3, -0.1], [0.05, 0.1, 0.15, -0.05]
    >>> found = compare_offline_online("click_rate", offline, online, [0.01] * 4, [0.01] * 4)
    >>> round(found.slope.value, 6), round(found.intercept.value, 6) + 0.0, found.agreeing
    (0.5, 0.0, 1.0)
    """
    figures = [
        np.asarray(each, dtype=np.float64) for each in (offline, online, offline_errors, online_errors)
    ]
    x, y, errors_x, errors_y = figures
    if len({each.shape for each in figures}) > 1 or x.ndim != 1 or not np.isfinite(figures).all():
        raise DataError(
            "Offline changes, online effects and their standard errors must be finite and of one length. "
            f"Their shapes are {', '.join(str(each.shape) for each in figures)}."
        )
    if min(errors_x.min(initial=0.0), errors_y.min(initial=0.0)) < 0:
        raise DataError("A standard error is negative. Standard errors are 0 or above.")
    n = len(x)
    agreeing = float((np.sign(x) == np.sign(y)).mean()) if n else math.nan
    fit = _fit(x, y, (errors_x**2).sum(), (errors_y**2).sum()) if n > 2 else np.full(2, np.nan)
    reach = np.full(2, np.nan)
    if n > 3:
        left = [np.arange(n) != one for one in range(n)]
        fits = [_fit(x[i], y[i], (errors_x[i] ** 2).sum(), (errors_y[i] ** 2).sum()) for i in left]
        reach = stdtrit(n - 2, 0.975) * np.std(fits, axis=0) * math.sqrt(n - 1)
    slope, intercept = (
        Estimate(float(value), float(value - half), float(value + half), n)
        for value, half in zip(fit, reach, strict=True)
    )
    return MetricAgreement(metric, n, slope, intercept, agreeing)


def _fit(x: Floats, y: Floats, variance_x: float, variance_y: float) -> Floats:
    """Return slope and intercept; if all errors are 0, equal errors are assumed."""
    if not variance_x + variance_y:
        variance_x = variance_y = 1.0
    dx, dy = x - x.mean(), y - y.mean()
    cross = float(dx @ dy)
    away = variance_x * float(dy @ dy) - variance_y * float(dx @ dx)
    root = math.hypot(away, 2 * math.sqrt(variance_x * variance_y) * cross)
    above, below = (
        (away + root, 2 * variance_x * cross) if away > 0 else (2 * variance_y * cross, root - away)
    )
    slope = above / below if below else math.nan
    return np.array([slope, y.mean() - slope * x.mean()])


@dataclass(frozen=True)
class Surrogate:
    """Relation of changes of the slow outcome to those of the fast one.

    Attributes
    ----------
    fast, slow : metrics of the pair's outcomes.
    experiments : number of finished experiments with figures of both.
    signal : F, mean square of the fast outcome's changes divided by the variance of their errors.
    slope : change of the slow outcome per unit of change of the fast one; NaN if refused.
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
    found = [one.select((fast, slow)) for one in changes if {fast, slow} <= {*one.outcomes}]
    moved = np.array([moved for moved, _ in found]).reshape(-1, 2)
    errors = np.array([errors for _, errors in found]).reshape(-1, 2, 2)
    signal, slope = surrogate_slope(moved, errors)
    return Surrogate(fast, slow, len(found), signal, slope, _conclude(len(found), signal, slope))


def surrogate_slope(changes: npt.ArrayLike, errors: npt.ArrayLike) -> tuple[float, Estimate]:
    """Return F and the slope with its 95 % interval; the slope is NaN if refused.

    Parameters
    ----------
    changes : [experiments, 2] changes of the fast and of the slow outcome, against a control.
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
