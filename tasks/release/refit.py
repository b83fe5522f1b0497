"""What a release serves where a task is refitted: the tested recipe, repeated up to the newest labels.

::

    tested    train ........| window | calibrate | maturity |  test  |                 as-of
    served            train ........| window | calibrate (newest mature days) | maturity | as-of

The tested models stay a release of their own (role ``tested``), with which the decision is replayed: they
have not seen its days. The refitted ones are served, if on those days they do not depart from the tested ones
by more than the surface allows. A champion lends to both: what it serves, and what was tested in its place.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import nan

import numpy as np

from tasks.calibration import step as calibrate
from tasks.calibration.evidence import CalibrationEvidence
from tasks.errors import DataError
from tasks.evaluation.release_evidence import RefitShift
from tasks.evaluation.resampling import LEAST_POSITIVES
from tasks.evaluation.segments import segment_values
from tasks.release.parts import Pins, pin_trained
from tasks.release.refit_shift import chance_shift, predicted_shares, prediction_shift
from tasks.release.release_days import HeadScores, ReleaseDays, users_of
from tasks.release.trained import Trained
from tasks.stores.manifest import PinnedPart, Role
from tasks.stores.registry import Registry
from tasks.stores.releases import find_fallback_release, release_manifest
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.rows import TaskRows
from tasks.training.slices import DaySlice

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class Refit:
    """The refits of one retrain: as of an instant, from one label snapshot, their runs below a parent."""

    workspace: Workspace
    as_of: datetime
    snapshot: str
    parent_run: str | None

    def served(self, tested: Pins, trained: Sequence[Trained]) -> tuple[Pins, dict[str, str]]:
        """Return what is served: refits of what this retrain trained, and what the fallback release serves.

        Returns
        -------
        The parts by task, and by task why its recipe could not be repeated: then what was tested is served.
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
        fallback = find_fallback_release(self.workspace, self.as_of) if tasks else None
        if fallback is None:
            return {}
        manifest = release_manifest(self.workspace, fallback)
        return {t: (manifest.part(Role.TASK, t), manifest.part(Role.CALIBRATOR, t)) for t in tasks}


def calibrated_on(registry: Registry, pins: Pins) -> dict[str, int]:
    """Count the positives, of a value the rows other than 0, that each task's map was fitted to."""
    runs = {task: registry.run_id(calibrator) for task, (_, calibrator) in pins.items()}
    return {
        task: registry.runs.read_evidence(run, CalibrationEvidence).positives for task, run in runs.items()
    }


@dataclass(frozen=True)
class ScoredRelease:
    """What a release's models predict, and by task how many positives they were calibrated on."""

    scores: HeadScores
    positives: Mapping[str, int]


def refit_shifts(
    release_days: ReleaseDays, days: DaySlice, *, tested: ScoredRelease, served: ScoredRelease
) -> Iterator[RefitShift]:
    """Measure how far what is served lies from what was tested, on the shared test days.

    Yields
    ------
    Of each task whose predictions may differ, the shift on the whole and in the segments of the calibration
    gate, with what is allowed: the bound of the model gate, or what chance makes where that is more. Where
    either side was calibrated on less than `LEAST_POSITIVES`, nothing can be measured. A ranking score has no
    scale, so none is measured.
    """
    contracts = release_days.workspace.contracts
    heads = tested.scores.heads
    frame = release_days.days(days, (*heads.columns, *heads.optional), [])
    before, after = (side.scores.of([*side.scores.heads.heads], days, frame) for side in (tested, served))
    gated = [one for one in contracts.surface.segments if one.name in contracts.surface.gates.calibration.by]
    segments = {name: np.asarray(values) for name, values in segment_values(frame, gated).items()}
    for task, old in before.items():
        if np.array_equal(old, after[task]) or contracts.head_kind(task) == "ranking":
            continue
        shifts = prediction_shift(old, after[task], users_of(frame), segments=segments)
        shares = predicted_shares(old, segments)
        for segment, shift in shifts.items():
            counts = [shares[segment] * side.positives[task] for side in (tested, served)]
            bound = max(contracts.surface.gates.model.refit_shift_max_of(task), chance_shift(*counts))
            known = shift if min(counts) >= LEAST_POSITIVES else replace(shift, low=nan, high=nan)
            yield RefitShift(task=task, segment=segment, shift=known, bound=bound)
