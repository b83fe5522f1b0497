"""The training step: one task's observed rows become one registered LightGBM model.

::

    train days, observed rows -> negatives sampled by key -> trees, stopped by held-out users
    test days, observed rows  -> figures of the raw model, for the whole and per segment
      -> run (parameters, figures, importances, evidence) -> <surface>.task.<task>

What decides the model is digested first; a version made from the same inputs is used again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.columns import ITEM_ID, REQUEST_ID, USER_ID
from tasks.contracts import digest
from tasks.ranking.features import FeatureEncoder
from tasks.release.figures import TaskFigures
from tasks.steps.context import Context
from tasks.steps.made_once import WantedPart
from tasks.steps.task_rows import TaskRows, encode, fit_encoder, labels, tags
from tasks.stores.parts import ENCODER, Part
from tasks.stores.registry import Registry
from tasks.stores.runs import StepRun, read_evidence
from tasks.training.fit import Fitted, fit, require_trainable
from tasks.training.picture import importance_figure
from tasks.training.sampling import early_stop_fold, sampled

STEP: Final = "train"
RECIPE: Final = 1
"""Raised whenever the same rows would train another model."""


@dataclass(frozen=True)
class TrainResult:
    """The model's exact version and the figures of its raw predictions on the test days."""

    task: str
    model: str
    version: int
    sha256: str
    run_id: str
    reused: bool
    metrics: dict[str, float | int | None]


@dataclass(frozen=True)
class _Trained:
    """A fitted model with what it learned from."""

    fitted: Fitted
    encoder: FeatureEncoder
    counts: dict[str, int]


def model_name(surface: str, task: str) -> str:
    """Name the registered model of a task."""
    return f"{surface}.task.{task}"


def run(
    context: Context, *, task: str, as_of: datetime, snapshot: str, parent_run: str | None = None
) -> TrainResult:
    """Train one task.

    Parameters
    ----------
    as_of : the instant at which the world is looked at; the snapshot's own.
    snapshot : id of a published label snapshot.
    parent_run : the MLflow run that this one belongs under.

    Raises
    ------
    GateRefused
        The snapshot was not published.
    ImmatureLabels
        There are too few mature days or positives.
    DataError
        Every label is the same, or a feature is not what the contract says.
    """
    rows = TaskRows.open(context, task=task, as_of=as_of, snapshot=snapshot)
    wanted = _wanted(rows)
    found = wanted.find()
    part = found or wanted.make(partial(_make, wanted.registry, rows), parent_run=parent_run)
    return _result(wanted.registry, task, part, reused=found is not None)


def find(context: Context, *, task: str, as_of: datetime, snapshot: str) -> TrainResult | None:
    """Return what `run` would use again, if it is there; nothing is trained."""
    wanted = _wanted(TaskRows.open(context, task=task, as_of=as_of, snapshot=snapshot))
    part = wanted.find()
    return None if part is None else _result(wanted.registry, task, part, reused=True)


def _wanted(rows: TaskRows) -> WantedPart:
    made_from = rows.made_from()
    return WantedPart(
        context=rows.context,
        step=STEP,
        task=rows.task,
        name=model_name(rows.context.surface, rows.task),
        inputs=digest({**made_from, "step": STEP, "recipe": RECIPE, "lightgbm": lgb.__version__}),
        tags=tags(made_from),
    )


def _make(registry: Registry, rows: TaskRows, opened: StepRun, said: Mapping[str, str]) -> Part:
    """Train, measure, write down and register: in this order, so no version is without its evidence."""
    _log_sources(opened, rows)
    trained = _train(rows)
    figures = _figures(rows, trained)
    _log(opened, rows, trained, figures)
    return registry.register_booster(
        model_name(rows.context.surface, rows.task),
        trained.fitted.booster,
        {ENCODER: json.dumps(trained.encoder.to_json(), ensure_ascii=False).encode()},
        as_of=rows.snapshot.as_of,
        run_id=opened.run_id,
        tags=said,
        params={"rounds": trained.fitted.rounds, **_parameters(rows)},
        metrics=_flat(figures),
    )


def _train(rows: TaskRows) -> _Trained:
    surface, spec = rows.context.contracts.surface, rows.spec
    table = rows.read(rows.slices.train)
    observed = labels(table, rows.task)
    require_trainable(rows.task, observed, kind=spec.kind, minimum=surface.minimum.positives)
    encoder = fit_encoder(table, surface.features)
    counts = {"observed": len(table), "positives": int(np.count_nonzero(observed))}
    if spec.sampling is not None:
        key = [table.column(name) for name in (REQUEST_ID, ITEM_ID)]
        kept = sampled(observed > 0, key, negatives=_negatives(rows), salt=f"negatives of {rows.task}")
        table, observed = table.filter(pa.array(kept)), observed[kept]
    fold = early_stop_fold(_users(table), share=surface.split.early_stop, salt="early stop")
    fitted = fit(
        encode(encoder, table),
        observed,
        fold,
        kind=spec.kind,
        names=encoder.names,
        categorical=encoder.categorical,
        parameters=surface.lightgbm_for(rows.task),
        loss_weight=spec.loss_weight,
        negatives=_negatives(rows),
    )
    return _Trained(fitted, encoder, {**counts, "sampled": len(table), "held_out": int(fold.sum())})


def _users(table: pa.Table) -> pa.ChunkedArray:
    """Return who is held out together: the user, or the request where the user is missing."""
    users = table.column(USER_ID)
    if not users.null_count:
        return users
    return pc.coalesce(users.cast(pa.string()), table.column(REQUEST_ID).cast(pa.string()))


def _negatives(rows: TaskRows) -> float:
    return rows.spec.sampling.negatives if rows.spec.sampling else 1.0


def _figures(rows: TaskRows, trained: _Trained) -> TaskFigures:
    table = rows.read_for_report(rows.slices.test)
    predicted = trained.fitted.booster.predict(encode(trained.encoder, table), num_threads=2)
    return rows.measured(table, np.asarray(predicted, dtype=np.float64))


def _parameters(rows: TaskRows) -> dict[str, Any]:
    own = rows.context.contracts.surface.lightgbm_for(rows.task)
    return {
        **{f"lightgbm.{name}": value for name, value in own.items()},
        "loss_weight": rows.spec.loss_weight,
        "negatives": _negatives(rows),
    }


def _log_sources(opened: StepRun, rows: TaskRows) -> None:
    labelled = rows.snapshot
    opened.dataset(
        f"{labelled.surface} labels", digest=labelled.content_digest, source=labelled.path, context="training"
    )
    slices = {f"slice.{name}": " to ".join(days) for name, days in rows.slices.to_json().items()}
    opened.params({**slices, **_parameters(rows)})


def _log(opened: StepRun, rows: TaskRows, trained: _Trained, figures: TaskFigures) -> None:
    """Write figures, pictures and evidence."""
    fitted = trained.fitted
    importances = {name: {"gain": gain, "splits": fitted.splits[name]} for name, gain in fitted.gains.items()}
    opened.params({"rounds": fitted.rounds})
    opened.metrics({**trained.counts, **({"fold_loss": fitted.fold_loss} if fitted.fold_loss else {})})
    opened.figure(
        "importances.png", importance_figure(fitted.gains, title=f"{rows.task}: what its trees used")
    )
    opened.json("importances.json", importances)
    opened.table("figures.json", pd.DataFrame([row.to_json() for row in figures.metrics]))
    opened.evidence(
        {
            **rows.made_from(),
            "kind": rows.spec.kind,
            "rows": trained.counts,
            "rounds": fitted.rounds,
            "fold_loss": fitted.fold_loss,
            "parameters": _parameters(rows),
            "importances": importances,
            "test": figures.to_json(),
        }
    )


def _flat(figures: TaskFigures) -> dict[str, float]:
    told = figures.headline()
    return {f"test.{name}": float(value) for name, value in told.items() if value is not None}


def _result(registry: Registry, task: str, part: Part, *, reused: bool) -> TrainResult:
    run_id = registry.run_id(part)
    evidence: Mapping[str, Any] = read_evidence(registry.home, run_id)
    metrics = dict(evidence["test"]["headline"])
    return TrainResult(task, part.name, part.version, part.sha256, run_id, reused, metrics)
