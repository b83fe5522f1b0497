"""A task's rows become a fitted model, in memory: its start, its examples, its parameters and its trees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import lightgbm as lgb
import numpy as np

from tasks.arrays import Floats
from tasks.ranking.features import FeatureEncoder
from tasks.stores.parts import Part
from tasks.training import debiasing
from tasks.training.draw_examples import TrainingRows, draw_training_rows
from tasks.training.encoding import encode_pieces
from tasks.training.fit import Fitted
from tasks.training.rows import TaskRows
from tasks.training.search import SearchResult
from tasks.training.slices import DaySlice
from tasks.training.trainable import refuse_constant
from tasks.training.trees import Start, find_start, grow_trees, task_threads

Chosen = tuple[Mapping[str, float | int], SearchResult | None]
"""Parameters of the trees, and the search that found them, where one did."""


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model with what it started and learned from, by which parameters, and how those were found."""

    fitted: Fitted
    start: Start | None
    rows: TrainingRows
    parameters: Mapping[str, float | int]
    search: SearchResult | None


def train_model(
    rows: TaskRows, champion: Part | None, choose: Callable[[Callable[..., Fitted]], Chosen]
) -> TrainedModel:
    """Train a task's model."""
    start = find_start(rows, champion)
    learned = draw_training_rows(rows, encoder=None if start is None else start.encoder)
    if rows.repeats is not None:
        counts = {**learned.counts, "held_out": 0}
        learned = replace(learned, examples=learned.examples.without_fold(), counts=counts)
    below = None if start is None else start.booster(learned.examples, threads=task_threads(rows))
    train = partial(grow_trees, rows, learned.examples, start=below)
    parameters, found = choose(train)
    fitted = train(parameters=parameters)
    refuse_constant(rows.task, fitted.booster, split=any(fitted.splits.values()))
    return TrainedModel(fitted, start, learned, parameters, found)


def score_rows(rows: TaskRows, days: DaySlice, booster: lgb.Booster, encoder: FeatureEncoder) -> Floats:
    """Return what a task's trees give of the rows of `TaskRows.report`, some at a time, shape [rows].

    They are scored at the reference position where one is held.
    """
    pieces = encode_pieces(encoder, rows.stream_report(days, encoder.names))
    scores = (booster.predict(piece, num_threads=task_threads(rows) or 0) for piece in pieces)
    return np.concatenate([np.empty(0), *scores])


def predict_rows(rows: TaskRows, days: DaySlice, booster: lgb.Booster, encoder: FeatureEncoder) -> Floats:
    """Return what a task's model predicts of the rows of `TaskRows.report` where they stood, shape [rows]."""
    scores = score_rows(rows, days, booster, encoder)
    return debiasing.predict_where_shown(rows, rows.report(days), scores)
