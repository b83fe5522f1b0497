"""The models of one task: its trees, and the shared trunk that may take their place or be blended with them.

::

    calibrate rows -> trees' scores, trunk's log odds -> choice (head_choice.py) -> the scores that a map gets
    test rows      -> each model by a line of its own -> normalized entropy, by segment, and against the trees

What surface.yaml asks for (``models``) decides; ``best`` leaves it to held-out users. All three are measured
whatever is asked, on days that neither fitted nor chose.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.arrays import Floats
from tasks.calibration.head_choice import MODELS, ModelScores, choose, find_rises, fit_line
from tasks.columns import POSITION
from tasks.contracts import canonical_json
from tasks.evaluation.binary import divide, normalize_entropy, row_losses
from tasks.evaluation.evidence import PinnedModel
from tasks.evaluation.grouping import Grouping
from tasks.evaluation.head_models import HeadModel, HeadModels
from tasks.evaluation.metric_rows import Figure, group_by_segment, metric_rows
from tasks.evaluation.resampling import Resampler, Statistic, cluster_rows, sum_intervals
from tasks.evaluation.subjects import Subject
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import Estimate
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import blend_scores
from tasks.ranking.maps import logit
from tasks.ranking.trunk import TrunkModel
from tasks.stores.parts import CHOICE, Part
from tasks.training import debiasing
from tasks.training.draw_examples import user_or_request
from tasks.training.rows import TaskRows, read_labels
from tasks.training.slices import DaySlice
from tasks.training.train_model import score_rows
from tasks.training.trees import read_model

TREES: Final = "trees"
"""Baseline of the rises: the model that every task has."""
_REPLICATES: Final = 500


@dataclass(frozen=True)
class TaskModels:
    """A task's trees, and the trunk in which it stands; None without one, or where none was trained."""

    rows: TaskRows
    model: Part
    booster: lgb.Booster
    encoder: FeatureEncoder
    shared: tuple[Part, TrunkModel] | None

    @classmethod
    def read(cls, rows: TaskRows, model: Part, trunk: Part | None) -> "TaskModels":
        """Fetch the models of a task, each byte compared with what was registered."""
        registry = rows.workspace.store.registry
        booster, encoder = read_model(registry.files(model))
        shared = None if trunk is None else (trunk, TrunkModel.from_files(registry.files(trunk)))
        return cls(rows, model, booster, encoder, shared)

    def trees(self, days: DaySlice) -> Floats:
        """Return the trees' scores of `TaskRows.report`, where a row stood if that is a feature, [rows]."""
        rows, model = self.rows, (self.booster, self.encoder)
        return rows.score_once(self.model.sha256, days, lambda: score_rows(rows, days, *model))

    def trunk(self, days: DaySlice) -> Floats:
        """Return the trunk's log odds, of a value task its values, where the rows stood, shape [rows]."""
        if self.shared is None:
            raise ValueError("there is no trunk")
        part, model = self.shared
        return self.rows.score_once(part.sha256, days, lambda: self._trunk(model, days))

    def _trunk(self, model: TrunkModel, days: DaySlice) -> Floats:
        rows, names = self.rows, list(model.columns)
        placed, given = rows.debiased == "feature", [np.empty(0)]
        for piece in rows.stream_report(days, [*names, POSITION] if placed else names):
            places = piece.column(POSITION).cast(pa.float64()).to_numpy() if placed else None
            given.append(model.log_odds(piece.select(names).to_pandas(), positions=places)[rows.task])
        return np.concatenate(given)

    def scores(self, days: DaySlice, chosen: HeadModels | None) -> Floats:
        """Return what the map of the chosen model is fitted on and applied to, shape [rows]."""
        model: HeadModel = "trees" if chosen is None else chosen.model
        if model == "trees":
            return self.trees(days)
        trees = self.trees(days) if model == "blend" else None
        return blend_scores(self.rows.kind, trees, self.trunk(days))

    def choose(self, *, tested: HeadModels | None) -> HeadModels | None:
        """Choose the model by the calibrate rows; None where there are the trees alone.

        Parameters
        ----------
        tested : of a refit, what was chosen for the model that was tested.
        """
        if self.shared is None:
            return None
        part, rows = self.shared[0], self.rows
        trunk = PinnedModel(name=part.name, version=part.version, sha256=part.sha256)
        asked = rows.workspace.contracts.surface.model_for(rows.task)
        if rows.repeats is not None:
            model = "trees" if tested is None else tested.model
            return HeadModels(asked=asked, model=model, trunk=trunk, choice=None)
        calibrate = rows.slices.calibrate
        held, table = self._head_rows(calibrate), rows.report(calibrate)
        choice = choose(held, shown=lambda given: debiasing.predict_where_shown(rows, table, given))
        model = choice.model if asked == "best" else asked
        figures = tuple(self._figures(held)) if rows.measures else ()
        return HeadModels(asked=asked, model=model, trunk=trunk, choice=choice, figures=figures)

    def _head_rows(self, days: DaySlice) -> ModelScores:
        table = self.rows.report(days)
        scores, value = self.trees(days), self.rows.kind == "value"
        return ModelScores(
            trees=scores if value else logit(scores),
            trunk=self.trunk(days),
            outcomes=read_labels(table, self.rows.task),
            users=_users(table),
            weights=debiasing.calibration_weights(self.rows, table, scores),
            value=value,
        )

    def _figures(self, calibrate: ModelScores) -> Iterator[Figure]:
        """Measure every model on the test days, for the whole and every segment."""
        rows, test = self.rows, self.rows.test
        held = self._head_rows(rows.slices.test)
        every = np.ones(len(calibrate.outcomes), dtype=bool)
        predicted = {
            model: debiasing.predict_where_shown(
                rows, test, fit_line(calibrate, model, every)(held.raw(model))
            )
            for model in MODELS
        }
        for group in group_by_segment(rows.test_segments, len(held.outcomes)):
            yield from _measure(rows.task, held, predicted, group)


def _measure(
    task: str, rows: ModelScores, predicted: Mapping[HeadModel, Floats], group: Grouping
) -> Iterator[Figure]:
    y, once, who = rows.outcomes, np.ones(len(rows.outcomes)), cluster_rows(rows.users)
    support, resampler = Support.of(y, once, who.codes, group), Resampler(who.count, 0, _REPLICATES)
    metric = "relative_squared_error" if rows.value else "normalized_entropy"
    for model, predictions in predicted.items():
        columns = [row_losses(y, predictions), y, once]
        statistics: dict[str, Statistic] = {metric: normalize_entropy}
        if rows.value:
            columns, statistics = [(y - predictions) ** 2, (y - y.mean()) ** 2], {metric: divide}
        estimates = sum_intervals(
            columns, statistics, who.codes, resampler, groups=group.codes, count=group.count
        )
        figures = metric_rows(estimates, group, support, resampled=who.resampled)
        yield from (_name(one, Subject(metric, task=task, feature=model), one.estimate) for one in figures)
        if model != TREES:
            subject = Subject(f"{metric}_rise", task=task, feature=model, baseline=TREES)
            rises = find_rises(rows, predicted[TREES], predictions, group)
            yield from (_name(one, subject, rise) for one, rise in zip(figures, rises, strict=True))


def _name(figure: Figure, subject: Subject, estimate: Estimate) -> Figure:
    counts = figure.rows, figure.events, figure.resampled
    return Figure(subject, figure.segment, estimate.value, estimate.low, estimate.high, estimate.n, *counts)


def _users(table: pa.Table) -> npt.NDArray[Any]:
    return np.asarray(user_or_request(table).to_pandas())


def model_file(models: HeadModels | None) -> dict[str, bytes]:
    """Return the file beside a map that says which model it is of; none where it is of the trees."""
    if models is None or models.model == "trees":
        return {}
    chosen = {"model": models.model, "trunk": models.trunk.to_json()}
    return {CHOICE: canonical_json(chosen).encode()}
