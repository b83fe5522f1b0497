"""Factor models that measure a joint on days that the serving factors have learned from.

::

    return_30d, tested 30 March to 5 April      the serving purchase_7d learned until 12 April
      -> purchase_7d by the same contract, trained and calibrated before those days (`factor_slices`)
      -> this factor model fits the joint's map and measures the joint; the newest model still serves

Only slow tasks need factor models, because no part learned from the shared test days. If a factor model
cannot be trained, or the task itself learned from its test days, the joint is not measured and the release
records the reason.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from tasks.calibration import step as calibrate
from tasks.errors import DataError
from tasks.evaluation.evidence import PinnedModel
from tasks.evaluation.release_evidence import FactorModelEvidence
from tasks.labels.snapshot import Snapshot
from tasks.release.parts import Pins, Trained, pin_trained, read_head_plan
from tasks.stores.manifest import PinnedPart
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.rows import TaskRows
from tasks.training.slices import DaySlice, Knowledge, ReleaseSlices, factor_slices

_LOG = logging.getLogger("equipoise")
_MULTIPLIED: Final = ("binary", "value")
"""Kinds of heads that are multiplied by the probability of their parents."""


@dataclass(frozen=True)
class FactorModels:
    """Factor models of a task's whole chain, or the reason why there are none.

    ``made`` : the parents whose factor models were trained for the measurement; the others are the tested
        models.
    """

    chain: Pins = field(default_factory=dict)
    made: tuple[str, ...] = ()
    why: str = ""

    def evidence(self, task: str) -> Iterator[FactorModelEvidence]:
        """Yield the evidence of the factor models that were trained for a task."""
        for parent in self.made:
            model, calibrator = self.chain[parent]
            yield FactorModelEvidence(
                task=task,
                parent=parent,
                model=_pinned(model),
                calibrator=_pinned(calibrator),
                slices=dict(model.slices),
            )


@dataclass(frozen=True)
class FactorModelBuilder:
    """Builds the factor models of one release from one label snapshot, with runs nested in a parent run."""

    workspace: Workspace
    snapshot: Snapshot
    slices: ReleaseSlices
    parent_run: str | None

    def of(self, pins: Pins) -> dict[str, FactorModels]:
        """Return factor models for each task whose tested factors learned from its test days."""
        slow = [task for task in pins if self.slices.tasks[task].test != self.slices.test]
        found = {task: self._factor_model(task, pins) for task in slow}
        return {task: factor_model for task, factor_model in found.items() if factor_model is not None}

    def _factor_model(self, task: str, pins: Pins) -> FactorModels | None:
        measured = self.slices.tasks[task]
        own = self._knowledge(task, pins)
        if max(own.model, own.calibrator) > measured.test.start:
            return FactorModels(why=f"{task} itself learned from days that it would be measured on.")
        *parents, _ = self._chain(task, pins)
        late = tuple(parent for parent in parents if not self._knowledge(parent, pins).precedes(measured))
        if not late:
            return None
        try:
            made = {parent: self._make(parent, task) for parent in late}
        except DataError as error:
            _LOG.warning("factor models: the joint of %s is not measured. %s", task, error)
            return FactorModels(why=f"No factor of {', '.join(late)} from before its test days: {error}")
        return FactorModels({link: made.get(link) or pins[link] for link in (*parents, task)}, late)

    def _make(self, parent: str, task: str) -> tuple[PinnedPart, PinnedPart]:
        """Train and calibrate a parent on a task's days, or reuse an earlier result.

        The model only measures the task's joint.
        """
        snapshot = self.snapshot
        slices = factor_slices(
            self.workspace.contracts, snapshot.mature_by(), snapshot.dates(), task=task, parent=parent
        )
        rows = TaskRows(self.workspace, parent, self.snapshot, slices, measures=False)
        model = train.train(rows, parent_run=self.parent_run)
        fitted = calibrate.calibrate(rows, model_version=model.version, parent_run=self.parent_run)
        made = pin_trained(
            self.workspace.surface, self._registry, Trained(parent, model.version, fitted.version)
        )
        for part, reused in zip(made, (model.reused, fitted.reused), strict=True):
            if not reused:
                self._registry.describe(part, f"Factor model of the joint of {task}; never served.")
        return made

    def _knowledge(self, task: str, pins: Pins) -> Knowledge:
        model, calibrator = pins[task]
        return Knowledge.of(
            self.workspace.contracts,
            task,
            train=DaySlice(*model.slices["train"]),
            calibrate=DaySlice(*calibrator.slices["calibrate"]),
        )

    def _chain(self, task: str, pins: Pins) -> tuple[str, ...]:
        """Return the tasks whose factors are multiplied, root first, as in the trained heads' plans."""
        model, _ = pins[task]
        plan = json.loads(read_head_plan(self._registry.files(model), model))
        if plan["parent"] is None or plan["kind"] not in _MULTIPLIED:
            return (task,)
        return (*self._chain(plan["parent"], pins), task)

    @cached_property
    def _registry(self) -> Registry:
        return self.workspace.store.registry


def _pinned(part: PinnedPart) -> PinnedModel:
    return PinnedModel(name=part.name, version=part.version, sha256=part.sha256)
