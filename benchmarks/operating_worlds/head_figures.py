"""What the gates read of a release's heads: figures on what was shown, and what each head stands beside.

Figures are those of the segments that the calibration gate names. A head's constant and its best single
feature are chosen on the rows that they are held against; those of a real release on its calibrate days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.operating_worlds.policies import KNOWN, Candidate
from benchmarks.operating_worlds.scored_slice import Floats, ScoredSlice
from benchmarks.operating_worlds.truth import Rows
from tasks import columns as c
from tasks.contracts.tasks import join_outcomes
from tasks.evaluation.figures import TaskFigures, measure
from tasks.evaluation.observations import Observations
from tasks.evaluation.references import FeatureRows, HeadReferences, head_references
from tasks.evaluation.segments import segment_values
from tasks.ranking.features import FeatureEncoder
from tasks.training.rows import measured_head

_LEAK = "outcome"
"""The feature by which a head knows what it predicts: whether it says that it knows."""


@dataclass(frozen=True)
class HeadFigures:
    """The heads on a test slice, each measured once."""

    data: ScoredSlice
    _altered: dict[tuple[str, str], TaskFigures] = field(default_factory=dict)

    def of(self, task: str, candidate: Candidate) -> TaskFigures:
        """Measure a release's head of a task."""
        if task not in candidate.altered:
            return self._unaltered[task]
        key = (candidate.name, task)
        if key not in self._altered:
            said = candidate.predictions[c.probability(task)]
            self._altered[key] = self._measured(task, said, leaks=task in candidate.leaked)
        return self._altered[key]

    @cached_property
    def days(self) -> tuple[date, date]:
        """The first and the last day of the slice."""
        shown_at = self.data.candidates[c.SHOWN_AT]
        return shown_at.min().date(), shown_at.max().date()

    @cached_property
    def _unaltered(self) -> dict[str, TaskFigures]:
        said = self.data.challenger
        return {task: self._measured(task, said[c.probability(task)]) for task in self.data.tasks}

    def _measured(self, task: str, predictions: Floats, *, leaks: bool = False) -> TaskFigures:
        data, outcomes, said = self.data, self.outcomes(task), predictions[self.data.shown]
        seen = Observations(
            outcomes,
            said,
            self._shown[c.USER_ID],
            self._shown[c.REQUEST_ID],
            self._segments,
        )
        figures = measure(
            measured_head(data.contracts, task),
            seen,
            days=self.days,
            newest_training_row=data.newest_training_days[task],
        )
        references = self._references(seen, known=said >= KNOWN if leaks else None)
        return figures.model_copy(update={"references": references})

    def _references(self, seen: Observations, *, known: Rows | None) -> HeadReferences:
        outcomes = np.asarray(seen.outcomes, dtype=np.float64)
        labelled = np.isfinite(outcomes)
        names, matrix = self._features
        if known is not None:
            names, matrix = (*names, _LEAK), np.column_stack([matrix, known])
        categorical = self.data.contracts.surface.features.categorical
        kept = replace(seen, segments={}).select_known()
        rows = FeatureRows(
            names, categorical, matrix[labelled], outcomes[labelled], np.asarray(kept.requests)
        )
        features = dict(zip(names, rows.matrix.T, strict=True))
        return head_references(kept, features.__getitem__, rows, base=float(outcomes[labelled].mean()))

    @cached_property
    def _shown(self) -> pd.DataFrame:
        return self.data.candidates[self.data.shown].reset_index(drop=True)

    @cached_property
    def _features(self) -> tuple[tuple[str, ...], Floats]:
        """The features of what was shown, with their names."""
        features = self.data.contracts.surface.features
        encoder = FeatureEncoder.fit(self._shown, features.numeric, features.categorical)
        return encoder.names, encoder.matrix(self._shown)

    @cached_property
    def _segments(self) -> Mapping[str, Floats]:
        surface = self.data.contracts.surface
        values = segment_values(self._shown, surface.segments)
        return {name: np.asarray(values[name]) for name in surface.gates.calibration.by}

    def outcomes(self, task: str) -> Floats:
        """Return the joint outcome of each item that was shown, NaN where it is not known."""
        links = self.data.contracts.tasks.chain(task)
        labels = {link: self._shown[link].to_numpy(dtype=np.float64, na_value=np.nan) for link in links}
        return join_outcomes(labels, links)
