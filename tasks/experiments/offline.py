"""Offline against online: effects of finished experiments on the changes that the gate had printed.

::

    newest final read-out  ->  effect of a metric                  of the treatment's release
    gate of that release   ->  its replay, if against the control  ->  change of the same metric
    y = intercept + slope x,  both with errors      Deming, by the ratio of their mean variances
    slope < 1                                       offline evaluation promises more than experiments deliver
    intervals                                       jackknife of experiments, t(n - 2)

Least squares would take errors of x for promises that were not kept and print too low a slope.

Linnet (1993), "Evaluation of regression procedures for methods comparison studies".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tasks.arrays import Floats
from tasks.contracts.experiment import CONTROL
from tasks.errors import ContractError, DataError, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.evidence import ExperimentReadout, ReadState
from tasks.experiments.results import newest_readout, surface_experiments
from tasks.replay.evidence import SimulationEvidence
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class MetricAgreement:
    """How a metric's effects in experiments follow its changes in replays; see `OfflineOnline`."""

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
    found = compare_offline_online(*values, *errors)
    return MetricAgreement(metric, len(pairs), found.slope, found.intercept, found.agreeing)


def _pairs(workspace: Workspace, readout: ExperimentReadout) -> Iterator[tuple[str, Estimate, Estimate]]:
    """Yield each metric with its change in the replay and its effect in the experiment."""
    treatment = next(release for arm, release in readout.arms.items() if arm != CONTROL)
    printed = _read_changes(workspace, treatment, against=readout.arms[CONTROL])
    for one in readout.metrics:
        offline, online = printed.get(one.metric), one.change
        if offline is not None and online is not None and online.known:
            yield one.metric, offline, online


def _read_changes(workspace: Workspace, release: int, *, against: int) -> dict[str, Estimate]:
    """Return the changes of a release's replay by metric; none where the gate replayed it against another."""
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


@dataclass(frozen=True)
class OfflineOnline:
    """How online effects follow offline changes.

    Attributes
    ----------
    slope, intercept : with 95 % intervals; NaN of fewer than three experiments, their intervals of fewer
        than four, or where the changes do not vary.
    agreeing : the share of experiments whose effect has the sign that was printed; NaN of none.
    """

    slope: Estimate
    intercept: Estimate
    agreeing: float


def compare_offline_online(
    offline: npt.ArrayLike,
    online: npt.ArrayLike,
    offline_errors: npt.ArrayLike,
    online_errors: npt.ArrayLike,
) -> OfflineOnline:
    """Regress online effects on offline changes with errors in both.

    Parameters
    ----------
    offline, online : [experiments] relative changes or effects, as 0.02, of the same metric.
    offline_errors, online_errors : [experiments] their standard errors, not negative.

    Raises
    ------
    DataError : lengths differ, a figure is not finite, or a standard error is negative.

    Examples
    --------
    >>> offline, online = [0.1, 0.2, 0.3, -0.1], [0.05, 0.1, 0.15, -0.05]
    >>> found = compare_offline_online(offline, online, [0.01] * 4, [0.01] * 4)
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
    return OfflineOnline(slope, intercept, agreeing)


def _fit(x: Floats, y: Floats, variance_x: float, variance_y: float) -> Floats:
    """Return slope and intercept; without any error least squares of equal errors."""
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
