"""Refits the tested recipe up to the newest labels, and measures the shift of the predictions.

::

    tested    train ........| window | calibrate | maturity |  test  |                 as-of
    served            train ........| window | calibrate (newest mature days) | maturity | as-of

The tested models form a release of their own (role ``tested``), which is replayed because its models have not
seen the test days. The refitted models are served if, on those days, they differ from the tested ones by no
more than the surface allows. Reused parts come in both versions: the champion's served and tested parts.

The shift between predictions of refitted and tested models is compared with a bound::

    rows in deciles of the mean of both predictions
    shift = sum over deciles of |sum of b - sum of a|  /  sum of |a|

The shift needs no outcomes. It grows when all predictions rise or fall, and when a model predicts the same
value for every row. Differences of single rows that cancel within a decile do not count. Rows are sorted by
the mean of both models, because rows that one model ranks first by chance would seem to fall under the other.

The bound is the larger of the declared bound and the shift by chance for this many positives. Two models of
one recipe that learned from different days shift too: a sum of n positives has a relative error of 1 /
sqrt(n), so with n and m positives for calibration::

    level alone        shift <= 1.96 sqrt(1/n + 1/m)    in 95 % of pairs     (2.8 / sqrt(n) if n = m)
    level and deciles  shift <= 2.75 sqrt(1/n + 1/m)    the bound of `chance_shift`
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import nan, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats
from tasks.calibration import step as calibrate
from tasks.calibration.choice import CalibrationEvidence
from tasks.errors import DataError
from tasks.evaluation.binary import divide
from tasks.evaluation.figures import group_by_segment
from tasks.evaluation.observations import TENTHS, assign_tenths
from tasks.evaluation.release_evidence import RefitShift
from tasks.evaluation.resampling import LEAST_POSITIVES, cluster_rows, statistic_intervals, users_of
from tasks.evaluation.segments import segment_values
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate
from tasks.release.parts import Pins, Trained, pin_trained, pins_of
from tasks.release.release_days import Reports
from tasks.stores.manifest import PinnedPart
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.rows import TaskRows
from tasks.training.slices import DaySlice

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class Refit:
    """Refits of one retrain: as of an instant, from one label snapshot, with runs nested in a parent run."""

    workspace: Workspace
    as_of: datetime
    snapshot: str
    parent_run: str | None

    def served(self, tested: Pins, trained: Sequence[Trained]) -> tuple[Pins, dict[str, str]]:
        """Return the served parts: refits of the trained tasks, and the fallback release's served parts.

        Returns
        -------
        The parts by task, and the reason of each refit that failed, by task. For these the tested parts are
        served.
        """
        made = {part.task: part for part in trained}
        refitted, failed = Pins(), dict[str, str]()
        for task, part in made.items():
            if self.workspace.contracts.surface.training_for(task).refit:
                try:
                    refitted[task] = self._refitted(part)
                except DataError as error:
                    failed[task] = str(error)
                    _LOG.warning("refit: %s serves what was tested. %s", task, error)
        fallback_parts = self._fallback_parts([task for task in tested if task not in made])
        return {
            task: refitted.get(task) or fallback_parts.get(task) or pair for task, pair in tested.items()
        }, failed

    def _refitted(self, part: Trained) -> tuple[PinnedPart, PinnedPart]:
        rows = TaskRows.open(self.workspace, task=part.task, as_of=self.as_of, snapshot=self.snapshot)
        repeated = train.for_refit(rows, part.model_version)
        model = train.train(repeated, parent_run=self.parent_run)
        fitted = calibrate.calibrate(rows, model_version=model.version, parent_run=self.parent_run)
        made = Trained(part.task, model.version, fitted.version)
        return pin_trained(self.workspace.surface, self.workspace.store.registry, made)

    def _fallback_parts(self, tasks: Sequence[str]) -> Pins:
        fallback = self.workspace.releases.fallback(self.as_of) if tasks else None
        if fallback is None:
            return {}
        return pins_of(self.workspace.releases.manifest(fallback), tasks)


def calibrated_on(registry: Registry, pins: Pins) -> dict[str, int]:
    """Count the positives, or nonzero values of a value task, that each task's map was fitted to."""
    runs = {task: registry.run_id(calibrator) for task, (_, calibrator) in pins.items()}
    return {
        task: registry.runs.read_evidence(run, CalibrationEvidence).positives for task, run in runs.items()
    }


def refit_shifts(days: DaySlice, *, tested: Reports, served: Reports) -> Iterator[RefitShift]:
    """Measure the shift between served and tested predictions on the shared test days.

    Yields
    ------
    RefitShift
        For each task whose predictions differ, the shift overall and in each segment of the calibration gate,
        with its bound: the larger of the model gate's bound and the shift by chance. The shift is NaN if
        either side was calibrated on fewer than `LEAST_POSITIVES` positives. Rankings have no scale and are
        skipped.
    """
    workspace, heads = tested.release_days.workspace, tested.scores.heads
    contracts = workspace.contracts
    positives = [calibrated_on(workspace.store.registry, side.pins) for side in (tested, served)]
    frame = tested.release_days.days(days, (*heads.columns, *heads.optional), [])
    before, after = (side.scores.of([*side.scores.heads.heads], days, frame) for side in (tested, served))
    gated = [one for one in contracts.surface.segments if one.name in contracts.surface.gates.calibration.by]
    segments = {name: np.asarray(values) for name, values in segment_values(frame, gated).items()}
    for task, old in before.items():
        if np.array_equal(old, after[task]) or contracts.head_kind(task) == "ranking":
            continue
        shifts = prediction_shift(old, after[task], users_of(frame), segments=segments)
        shares = predicted_shares(old, segments)
        for segment, shift in shifts.items():
            counts = [shares[segment] * side[task] for side in positives]
            bound = max(contracts.surface.gates.model.refit_shift_max_of(task), chance_shift(*counts))
            known = shift if min(counts) >= LEAST_POSITIVES else replace(shift, low=nan, high=nan)
            yield RefitShift(task=task, segment=segment, shift=known, bound=bound)


CHANCE_DEVIATIONS: Final = 2.75
"""Standard deviations of the level by which equal refits may shift: 95 % of pairs with 30 to 1,500
calibration positives shift by at most 1.7 to 2.75, because an isotonic map moves its steps separately
(tests/release/test_refit_shift.py). With more positives .1 is the larger bound."""


def chance_shift(tested: float, served: float) -> float:
    """Return the shift of a refit that chance alone exceeds in one of twenty cases.

    Examples
    --------
    >>> round(chance_shift(800, 800), 3), round(chance_shift(50, 50), 3)
    (0.138, 0.55)
    """
    return CHANCE_DEVIATIONS * sqrt(1 / tested + 1 / served) if min(tested, served) > 0 else float("inf")


def predicted_shares(
    predictions: npt.ArrayLike, segments: Mapping[str, npt.ArrayLike]
) -> dict[Segment, float]:
    """Return the share of the sum of predictions [n], overall and in every value of every segment.

    Examples
    --------
    >>> shares = predicted_shares([0.25, 0.75], {"source": ["ads", "feed"]})
    >>> {str(segment): share for segment, share in shares.items()}
    {'all': 1.0, 'source=ads': 0.25, 'source=feed': 0.75}
    """
    p = np.asarray(predictions, dtype=np.float64)
    shares: dict[Segment, float] = {}
    for group in group_by_segment(segments, len(p)):
        sums = divide(np.bincount(group.codes, p, group.count), p.sum())
        shares |= zip(group.names, sums.tolist(), strict=True)
    return shares | {ALL: 1.0}


def prediction_shift(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    segments: Mapping[str, npt.ArrayLike] | None = None,
) -> dict[Segment, Estimate]:
    """Measure the shift overall and in every value of every segment.

    Parameters
    ----------
    before, after : [n] predictions of the two models.
    users : [n] unit of resampling.
    segments : values [n] by segment name.

    Returns
    -------
    Shift as a share of the mean prediction by segment, at least 0.

    Examples
    --------
    >>> users = ["u", "v", "w"]
    >>> round(prediction_shift([0.1, 0.2, 0.3], [0.11, 0.22, 0.33], users)[ALL].value, 9)
    0.1
    >>> round(prediction_shift([0.1, 0.2, 0.3], [0.2, 0.2, 0.2], users)[ALL].value, 9)
    0.333333333
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (before, after))
    who = cluster_rows(users)
    tenths = assign_tenths((a + b) / 2)
    columns = [np.where(tenths == tenth, b - a, 0.0) for tenth in range(TENTHS)] + [np.abs(a)]
    shifts: dict[Segment, Estimate] = {}
    for group in group_by_segment(segments or {}, len(a)):
        estimates = statistic_intervals(columns, _shift, who, 200, group)
        shifts |= zip(group.names, map(_include_value, estimates), strict=True)
    return shifts


def _shift(*sums: Floats) -> Floats:
    moved = np.add.reduce([np.abs(tenth) for tenth in sums[:-1]])
    return divide(moved, sums[-1])


def _include_value(estimate: Estimate) -> Estimate:
    """Widen the interval to include the value: resampling biases nonnegative figures upwards."""
    if not estimate.known:
        return estimate
    low, high = min(estimate.low, estimate.value), max(estimate.high, estimate.value)
    return Estimate(estimate.value, low, high, estimate.n)
