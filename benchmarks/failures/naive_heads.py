"""What naive pipelines learn from the log of a retrain.

::

    shared_trees    one set of trees for all tasks, the sum of their losses; a calibrator for each task
    balanced        a rare task whose positives weigh as much as its negatives, not calibrated
    learned_from    a task learned from labels that a pipeline without maturity has made (`early_labels`)
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import duckdb
import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.operating_worlds.heads import Retrained
from benchmarks.operating_worlds.scored_slice import Floats, Predictions
from benchmarks.operating_worlds.worlds import World
from tasks import columns as c
from tasks.calibration.fit import fit_binary
from tasks.columns import Status
from tasks.contracts.surface import Features
from tasks.evaluation.evidence import ValidationEvidence
from tasks.ranking.features import FeatureEncoder
from tasks.stores.workspace import Workspace
from tasks.training.draw_examples import draw_training_rows
from tasks.training.rows import TaskRows
from tasks.training.slices import DaySlice
from tasks.training.trees import grow_trees
from tasks.validation.findings import worst_severity
from tasks.validation.label_measurements import LABELS, measure_labels
from tasks.validation.measurements import frame_of
from tasks.validation.step import run_suite, suites_and_facts

_SLOW: Final = "return_30d"
_SHARED: Final = ("click_30m", "dwell_60s_1d", "purchase_7d", "hide_7d", "report_7d", "satisfied_7d")
"""Tasks of the shared trees; a return exists after a purchase only, so it has no label on most rows."""
_RETURNED: Final = """
    SELECT i.request_id, i.item_id, CAST(count(e.item_id) > 0 AS TINYINT) AS returned
    FROM read_parquet(?) i LEFT JOIN read_parquet(?) e
      ON e.event = 'return' AND e.user_id = i.user_id AND e.item_id = i.item_id
     AND e.ingested_at < CAST(? AS TIMESTAMPTZ)
    GROUP BY ALL"""
"""The naive query of a label: an impression without the event, so far, is a negative."""


@dataclass(frozen=True)
class EarlyLabels:
    """Labels of a pipeline without maturity, and what the validation of Equipoise finds in them.

    Attributes
    ----------
    table : the newest days up to the as-of, with the naive label in place of the real one.
    validation : of that table by the suite of labels.
    """

    table: pa.Table
    validation: ValidationEvidence


def early_labels(world: World, later: Retrained) -> EarlyLabels:
    """Label the newest days of the log as of the retrain: no return so far counts as no return."""
    workspace, snapshot, split = world.workspace, later.snapshot, world.workspace.contracts.surface.split
    last = snapshot.as_of.date() - timedelta(days=1)
    first = last - (split.train + split.calibrate) + timedelta(days=1)
    table = snapshot.read(list(snapshot.schema().names), first_day=first, last_day=last)
    logs = workspace.home / "logs" / workspace.surface
    with duckdb.connect() as connection:
        files = [str(logs / kind / "*.parquet") for kind in ("impressions", "events")]
        returned = connection.sql(_RETURNED, params=[*files, snapshot.as_of.isoformat()]).to_arrow_table()
        label = (
            table.select([*c.IMPRESSION_KEY]).to_pandas().merge(returned.to_pandas(), on=[*c.IMPRESSION_KEY])
        )
        naive = {
            _SLOW: pa.array(label["returned"]),
            c.status(_SLOW): pa.array([str(Status.OBSERVED)] * len(table)),
        }
        for name, column in naive.items():
            table = table.set_column(table.schema.get_field_index(name), name, column)
        connection.register(LABELS, table)
        measured = measure_labels(connection, workspace.contracts.tasks, as_of=snapshot.as_of)
    suites, facts = suites_and_facts(workspace.contracts, snapshot)
    findings = run_suite(suites[LABELS], frame_of(measured), facts=facts).findings
    severity = worst_severity(findings)
    found = ValidationEvidence(
        snapshot="", success=severity != "critical", severity=severity, expectations=findings, report=""
    )
    return EarlyLabels(table, found)


@dataclass(frozen=True)
class NaiveHeads:
    """Naive heads on the days of a retrain, and what they predict of the candidates of its test slice."""

    workspace: Workspace
    later: Retrained
    candidates: pd.DataFrame

    def shared_trees(self) -> Predictions:
        """Learn one set of trees from the mean label of all tasks, which their summed log loss comes to."""
        days = self.later.slices.tasks["purchase_7d"]
        train, calibrate = (self._labelled(one) for one in (days.train, days.calibrate))
        trees = self._grow(train, train[list(_SHARED)].mean(axis=1).to_numpy(dtype=np.float64))
        seen, new = (trees.predict(rows) for rows in (calibrate, self.candidates))
        return {
            c.probability(task): fit_binary(seen, calibrate[task].to_numpy(dtype=np.float64)).apply(new)
            for task in _SHARED
        }

    def balanced(self, task: str) -> Predictions:
        """Learn a task by its own recipe, but with balanced classes, and leave its scores as they are."""
        rows = TaskRows(self.workspace, task, self.later.snapshot, self.later.slices.tasks[task])
        learned = draw_training_rows(rows)
        positive = learned.examples.labels > 0
        weights = np.where(positive, 0.5 / positive.mean(), 0.5 / (1 - positive.mean()))
        booster = grow_trees(rows, replace(learned.examples, weights=weights)).booster
        scores = booster.predict(learned.encoder.matrix(self.candidates))
        return {c.probability(task): np.asarray(scores, dtype=np.float64)}

    def learned_from(self, task: str, labels: pa.Table) -> Predictions:
        """Learn a task from labels of one's own, and calibrate on the newest days among them."""
        rows = labels.to_pandas()
        newest = rows[c.DAY] > rows[c.DAY].max() - self.workspace.contracts.surface.split.calibrate
        outcome = rows[task].to_numpy(dtype=np.float64)
        trees = self._grow(rows[~newest], outcome[~newest], task)
        fitted = fit_binary(trees.predict(rows[newest]), outcome[newest])
        return {c.probability(task): fitted.apply(trees.predict(self.candidates))}

    def _labelled(self, days: DaySlice) -> pd.DataFrame:
        """Read the rows of some days on which every shared task has a label."""
        names = [c.SHOWN_AT, *c.IMPRESSION_KEY, *self._features.names, *_SHARED]
        known = " AND ".join(f"{task} IS NOT NULL" for task in _SHARED)
        snapshot = self.later.snapshot
        return snapshot.read(names, first_day=days.first, last_day=days.last, where=known).to_pandas()

    def _grow(self, rows: pd.DataFrame, labels: Floats, task: str = "default") -> "_Trees":
        """Grow trees by the surface's parameters; labels between 0 and 1 are rates."""
        parameters = dict(self.workspace.contracts.surface.lightgbm_for(task))
        rounds = int(parameters.pop("rounds"))
        parameters.pop("early_stopping_rounds")
        settings = {**parameters, "objective": "cross_entropy", "verbosity": -1, "num_threads": 1, "seed": 1}
        encoder = FeatureEncoder.fit(rows, self._features.numeric, self._features.categorical)
        train = lgb.Dataset(encoder.matrix(rows), labels, params={"verbosity": -1})
        return _Trees(lgb.train(settings, train, rounds), encoder)

    @property
    def _features(self) -> Features:
        return self.workspace.contracts.surface.features


@dataclass(frozen=True)
class _Trees:
    """Trees with the encoder of their features."""

    booster: lgb.Booster
    encoder: FeatureEncoder

    def predict(self, frame: pd.DataFrame) -> Floats:
        """Return probabilities, not calibrated."""
        return np.asarray(self.booster.predict(self.encoder.matrix(frame), num_threads=1), dtype=np.float64)
