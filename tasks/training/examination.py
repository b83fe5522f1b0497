"""The examination curve of a surface as a part of its own: declared, or estimated from the log.

::

    surface.yaml declares it                            -> the declared curve
    it says `estimated` -> train days of the task with  -> the curve with intervals (training/examination.py)
                           the most positives
      -> <surface>.examination, pinned by the release, read by training, calibration and simulation

Whoever needs the curve asks here: it is made once for a snapshot and found from then on.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from tasks.columns import ITEM_ID, POSITION, PROPENSITY, REQUEST_ID, USER_ID
from tasks.contracts.chains import parent
from tasks.errors import DataError
from tasks.evaluation.evidence import CurveEvidence, ExaminationEvidence
from tasks.evaluation.resampling import cluster_rows
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.ranking.candidates import read_numbers
from tasks.ranking.examination import FILE, Examination
from tasks.stores.parts import Part
from tasks.stores.runs import StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.examination_curve import EstimatedExamination, estimate_examination
from tasks.training.inputs import curve_inputs
from tasks.training.position import require_positions
from tasks.training.rows import TaskRows, log_labels


@dataclass(frozen=True)
class _Work:
    """The surface and the labels from which its curve is estimated."""

    workspace: Workspace
    snapshot: Snapshot


@dataclass(frozen=True)
class _Curve:
    """A curve as it is registered, with the days that it was learned from, none of a declared one."""

    content: Mapping[str, Any]
    slices: dict[str, tuple[date, date]]


def examination_name(surface: str) -> str:
    """Name the registered model of a surface's examination curves."""
    return f"{surface}.examination"


def run(workspace: Workspace, *, snapshot: str, parent_run: str | None = None) -> Part | None:
    """Register the curve of a surface, or find it; None where the surface says nothing of examination.

    Parameters
    ----------
    snapshot : id of a published label snapshot.
    parent_run : the MLflow run that this one belongs under.

    Raises
    ------
    DataError
        It is to be estimated and the log has no positions, or deals none of them by chance.
    ImmatureLabels
        It is to be estimated and there are too few days or positives.
    """
    if workspace.contracts.surface.examination is None:
        return None
    labels = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    return EXAMINATION.run(_Work(workspace, labels), parent_run=parent_run).part


def read_curve(workspace: Workspace, part: Part) -> Examination:
    """Read a registered curve, its bytes compared with what was registered."""
    return Examination.from_json(json.loads(workspace.store.registry.files(part)[FILE]))


def find_curve(workspace: Workspace, *, snapshot: str) -> Examination:
    """Return the curve that a snapshot's parts are corrected by.

    Raises
    ------
    DataError
        The surface says nothing of examination.
    """
    part = run(workspace, snapshot=snapshot)
    if part is None:
        raise DataError(
            f"{workspace.surface} says nothing of how much a position is looked at. Declare examination in "
            "surface.yaml, or let it be estimated."
        )
    return read_curve(workspace, part)


def _inputs(work: _Work) -> dict[str, Any]:
    """Return what decides the curve: no label decides a declared curve."""
    contracts = work.workspace.contracts
    inputs = {"surface": work.workspace.surface, **curve_inputs(contracts)}
    if contracts.surface.examination_curve is not None:
        return inputs
    return {
        **inputs,
        "as_of": format_instant(work.snapshot.as_of),
        "labels": work.snapshot.content_digest,
    }


def _tags(work: _Work) -> dict[str, str]:
    contracts, snapshot = work.workspace.contracts, work.snapshot
    if contracts.surface.examination_curve is not None:
        return {"surface": work.workspace.surface}
    return {
        "surface": work.workspace.surface,
        "as_of": format_instant(snapshot.as_of),
        "snapshot": snapshot.id,
        **{f"contract.{kind}": contracts.digests[kind] for kind in ("surface", "tasks")},
    }


def _make(work: _Work, opened: StepRun) -> Model[ExaminationEvidence]:
    declared = work.workspace.contracts.surface.examination_curve
    if declared:
        made = _declared_curve(work.workspace, declared)
    else:
        made = _estimate_curve(work.workspace, work.snapshot, opened)
    return Model(
        ExaminationEvidence(slices=made.slices, examination=CurveEvidence.model_validate(made.content)),
        {FILE: json.dumps(made.content, allow_nan=False, indent=1).encode()},
        kind="examination",
        params={"source": made.content["source"]},
    )


EXAMINATION: Final = ModelStep(
    name="examination",
    room="training",
    without=("reports",),
    document=ExaminationEvidence,
    inputs=_inputs,
    tags=_tags,
    function=_make,
    model=lambda work: examination_name(work.workspace.surface),
    doing="estimating the examination curve",
)


def _declared_curve(workspace: Workspace, by_position: tuple[float, ...]) -> _Curve:
    known = Examination(by_position, workspace.contracts.surface.reference_position)
    return _Curve({**known.to_json(), "source": "declared"}, {})


def _estimate_curve(workspace: Workspace, snapshot: Snapshot, opened: StepRun) -> _Curve:
    task = _find_densest_task(workspace, snapshot)
    rows = TaskRows.open(workspace, task=task, as_of=snapshot.as_of, snapshot=snapshot.id)
    log_labels(opened, snapshot, context="examination")
    found = _harvest_pairs(workspace, _read_positions(rows), task)
    curve = [
        {"position": place, "examination": point.value, "low": point.low, "high": point.high}
        for place, point in enumerate(found.curve, start=1)
    ]
    opened.table("curve.json", pd.DataFrame(curve))
    opened.metrics({"pairs": found.pairs, "positives": found.positives})
    known = Examination(found.by_position, workspace.contracts.surface.reference_position)
    content = {
        **known.to_json(),
        "source": "estimated",
        "low": [point.low for point in found.curve],
        "high": [point.high for point in found.curve],
        "task": task,
        "pairs": found.pairs,
        "positives": found.positives,
    }
    return _Curve(content, {"train": (rows.slices.train.first, rows.slices.train.last)})


def _harvest_pairs(workspace: Workspace, table: pa.Table, task: str) -> EstimatedExamination:
    frame = table.to_pandas()
    outcomes, places, propensities = (
        read_numbers(frame, name, "examination: estimated") for name in (task, POSITION, PROPENSITY)
    )
    require_positions(places)
    return estimate_examination(
        outcomes,
        places,
        propensities,
        requests=pd.factorize(frame[REQUEST_ID])[0],
        users=cluster_rows(frame[USER_ID], frame[REQUEST_ID]).codes,
    )


def _read_positions(rows: TaskRows) -> pa.Table:
    """Read every impression of the train days: a neighbour without a label is a neighbour."""
    known = rows.snapshot.schema().names
    if lacking := [name for name in (POSITION, PROPENSITY) if name not in known]:
        raise DataError(
            f"examination: estimated needs {' and '.join(lacking)} of every impression, which the log of "
            f"{rows.workspace.surface} lacks. Log it, or declare examination.by_position."
        )
    names = [REQUEST_ID, ITEM_ID, USER_ID, POSITION, PROPENSITY, rows.task]
    return rows.snapshot.read(names, first_day=rows.slices.train.first, last_day=rows.slices.train.last)


def _find_densest_task(workspace: Workspace, snapshot: Snapshot) -> str:
    """Return the task with the most positives, of those that any look may lead to."""
    spec, counted = workspace.contracts.tasks, snapshot.days()
    fit = [
        name
        for name, task in spec.tasks.items()
        if task.positive is not None
        and task.level == "impression"
        and parent(spec, name) is None
        and (task.observed_when is None or task.observed_when.event is None)
    ]
    if not fit:
        raise DataError(
            "examination: estimated needs a task of an event that a look may lead to, and "
            f"{workspace.surface} has none. Declare examination.by_position."
        )
    return max(fit, key=lambda name: (sum(counted.column(f"{name}__positive").to_pylist()), name))
