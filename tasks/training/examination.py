"""The examination curve of a surface, a separate component: declared, or estimated from a randomised log.

::

    surface.yaml declares it                               -> the declared curve
    `estimated` -> train days of the task with the most    -> the curve with intervals
                   positives
      -> <surface>.examination, pinned by the release, read by training, calibration and simulation

The curve is computed once per snapshot and reused.

The estimate is intervention harvesting (Agarwal et al. 2019) on adjacent pairs. For two items on a page, a at
position k and b at k + 1, the logged propensities give the probability of this order over its reverse::

    odds among the remaining items at k   u_a = propensity_a      u_b = propensity_b (1 - propensity_a)
    P(a first | a and b in k, k + 1)      s = (1 - u_b) / ((1 - u_a) + (1 - u_b))

    sum over pairs of y at k      / s   has the mean   examination(k)      x (g_a + g_b)
    sum over pairs of y at k + 1  / s   has the mean   examination(k + 1)  x (g_a + g_b)

Their ratio is examination(k + 1) / examination(k) for all items; the product of the ratios gives the curve.
Assumptions: an outcome requires examination, which depends on the position alone, and ``propensity`` is the
probability of the item at its position given the items above it.
"""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.arrays import Floats, Integers
from tasks.columns import ITEM_ID, POSITION, PROPENSITY, REQUEST_ID, USER_ID
from tasks.errors import DataError, ImmatureLabels
from tasks.evaluation.resampling import Resampler, cluster_rows, percentile_interval
from tasks.evaluation.verdicts import Estimate
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.logs.tables import to_frame
from tasks.ranking.candidates import read_numbers
from tasks.ranking.examination import FILE, Examination
from tasks.stores.manifest import Part
from tasks.stores.runs import StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.evidence import CurveEvidence, ExaminationEvidence
from tasks.training.inputs import curve_inputs
from tasks.training.rows import TaskRows

LEAST_POSITIVES: Final = 30
"""Minimum number of positives at either position of a pair; the curve ends before a pair with fewer. With 30
at each, the ratio has a standard error of about 26 %."""

REPLICATES: Final = 500
"""Number of bootstrap samples of the intervals; 12 lie beyond each bound."""


@dataclass(frozen=True)
class EstimatedExamination:
    """A curve relative to position 1 with 95 % intervals, and the size of its data.

    Attributes
    ----------
    curve : one estimate per position; that of position 1 is exactly 1.
    pairs, positives : number of adjacent pairs, and of positives in them.
    """

    curve: tuple[Estimate, ...]
    pairs: int
    positives: int

    @property
    def by_position(self) -> tuple[float, ...]:
        """The curve's values."""
        return tuple(point.value for point in self.curve)


@dataclass(frozen=True)
class _Work:
    """The surface and the labels from which its curve is estimated."""

    workspace: Workspace
    snapshot: Snapshot


def run(workspace: Workspace, *, snapshot: str, parent_run: str | None = None) -> Part | None:
    """Register or reuse the curve of a surface; None if the surface declares no examination.

    Parameters
    ----------
    snapshot : id of a published label snapshot.
    parent_run : the parent MLflow run.

    Raises
    ------
    DataError
        The curve must be estimated, but the log has no positions or no randomised ones.
    ImmatureLabels
        The curve must be estimated, but there are too few days or positives.
    """
    if workspace.contracts.surface.examination is None:
        return None
    labels = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    return EXAMINATION.run(_Work(workspace, labels), parent_run=parent_run).part


def read_curve(workspace: Workspace, part: Part) -> Examination:
    """Read a registered curve after verifying its bytes."""
    return Examination.from_json(json.loads(workspace.store.registry.files(part)[FILE]))


def find_curve(workspace: Workspace, *, snapshot: str) -> Examination:
    """Return the curve that corrects a snapshot's parts."""
    part = run(workspace, snapshot=snapshot)
    if part is None:
        raise DataError(
            f"{workspace.surface} does not show how much a position is examined. Declare examination in "
            "surface.yaml, or let it be estimated."
        )
    return read_curve(workspace, part)


def _inputs(work: _Work) -> dict[str, Any]:
    """Return the inputs of the curve; a declared curve does not depend on labels."""
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
        known = Examination(declared, work.workspace.contracts.surface.reference_position)
        content: dict[str, Any] = {**known.to_json(), "source": "declared"}
        slices: dict[str, tuple[date, date]] = {}
    else:
        content, slices = _estimate_curve(work.workspace, work.snapshot, opened)
    return Model(
        ExaminationEvidence(slices=slices, examination=CurveEvidence.model_validate(content)),
        {FILE: json.dumps(content, allow_nan=False, indent=1).encode()},
        kind="examination",
        params={"source": content["source"]},
    )


EXAMINATION: Final = ModelStep(
    name="examination",
    room="training",
    without=("reports",),
    document=ExaminationEvidence,
    inputs=_inputs,
    tags=_tags,
    function=_make,
    model=lambda work: f"{work.workspace.surface}.examination",
    doing="estimating the examination curve",
)


def _estimate_curve(
    workspace: Workspace, snapshot: Snapshot, opened: StepRun
) -> tuple[dict[str, Any], dict[str, tuple[date, date]]]:
    """Return the curve's content, and the days that it was estimated from."""
    task = _find_densest_task(workspace, snapshot)
    rows = TaskRows.open(workspace, task=task, as_of=snapshot.as_of, snapshot=snapshot.id)
    snapshot.log_to(opened, context="examination")
    found = _harvest_pairs(_read_positions(rows), task)
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
    return content, {"train": (rows.slices.train.first, rows.slices.train.last)}


def _harvest_pairs(table: pa.Table, task: str) -> EstimatedExamination:
    frame = to_frame(table)
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


def require_positions(positions: Floats) -> None:
    """Refuse positions that count from 0, which would shift every item by one position.

    Examples
    --------
    >>> require_positions(np.array([1.0, 2.0, np.nan]))
    """
    if below := int(np.count_nonzero(positions < 1)):
        raise DataError(
            f"{below} of {positions.size} positions are below 1, the least is {np.nanmin(positions):g}; "
            "places count from 1. Log them so, or leave `position` out of surface.yaml."
        )


def _read_positions(rows: TaskRows) -> pa.Table:
    """Read every impression of the train days, because neighbours count even without a label."""
    known = rows.snapshot.schema().names
    if lacking := [name for name in (POSITION, PROPENSITY) if name not in known]:
        raise DataError(
            f"examination: estimated needs {' and '.join(lacking)} of every impression, which the log of "
            f"{rows.workspace.surface} lacks. Log it, or declare examination.by_position."
        )
    names = [REQUEST_ID, ITEM_ID, USER_ID, POSITION, PROPENSITY, rows.task]
    return rows.snapshot.read(names, first_day=rows.slices.train.first, last_day=rows.slices.train.last)


def _find_densest_task(workspace: Workspace, snapshot: Snapshot) -> str:
    """Return the task with the most positives among those that any examined impression may lead to."""
    spec, counted = workspace.contracts.tasks, snapshot.days()
    fit = [
        name
        for name in spec.trained
        if (task := spec.tasks[name]).positive is not None
        and task.level == "impression"
        and spec.parent(name) is None
        and (task.observed_when is None or task.observed_when.event is None)
    ]
    if not fit:
        raise DataError(
            "examination: estimated needs a task of an event that an examined impression may lead to, and "
            f"{workspace.surface} has none. Declare examination.by_position."
        )
    return max(fit, key=lambda name: (sum(counted.column(f"{name}__positive").to_pylist()), name))


@dataclass(frozen=True)
class Pairs:
    """Adjacent pairs: rows of the upper and the lower item, and the weight of the pair, each [pairs]."""

    upper: Integers
    lower: Integers
    weights: Floats


def _reach(positives: Integers) -> int:
    """Return the number of positions after the first with enough positives [2, positions] on both sides."""
    reach = int(np.argmin(np.append((positives >= LEAST_POSITIVES).all(axis=0), False)))
    if reach == 0:
        raise ImmatureLabels(
            "The examination of position 2 cannot be estimated: there are "
            f"{int(positives[:, :1].min(initial=0))} positives at one of the first two places, "
            f"{LEAST_POSITIVES} are needed. Wait for more days, or declare examination.by_position."
        )
    return reach


def estimate_examination(
    outcomes: Floats,
    positions: Floats,
    propensities: Floats,
    *,
    requests: npt.NDArray[Any],
    users: Integers,
) -> EstimatedExamination:
    """Estimate the examination curve.

    Parameters
    ----------
    outcomes : [n] 0 or 1, NaN where not observed. Whether they are observed must not depend on the position.
    positions : [n] from 1, NaN if an item had none.
    propensities : [n] probability of the item at its position given the items above it.
    requests : [n] the page that a row is on.
    users : [n] codes from 0 of the units of resampling.

    Examples
    --------
    >>> positions, propensities = np.tile([1.0, 2.0], 400), np.tile([0.5, 0.5], 400)
    >>> outcomes = np.tile([1.0, 1.0, 1.0, 0.0], 200)
    >>> requests = users = np.repeat(np.arange(400), 2)
    >>> estimate_examination(outcomes, positions, propensities, requests=requests, users=users).by_position
    (1.0, 0.5)
    """
    pairs = find_swappable_pairs(requests, positions, propensities)
    if not len(pairs.upper):
        raise DataError(
            f"None of {len(outcomes)} rows has a neighbour that could have had its position: the log's "
            "policy randomises no position, or logs no propensity. Declare examination.by_position."
        )
    resampler = Resampler(int(users.max()) + 1, REPLICATES)
    sums, positives = _sum_outcomes(outcomes, positions, pairs, resampler.units(users), resampler.drawn)
    reach = _reach(positives)
    sums, once = sums[:, :reach], np.ones((resampler.drawn, 1))
    values = _curves(sums, once)[:, 0]
    replicated = np.concatenate([_curves(sums, block) for block in resampler.blocks(reach)], axis=1)
    estimates = (
        percentile_interval(float(v), r, resampler.drawn) for v, r in zip(values, replicated, strict=True)
    )
    first = Estimate(1.0, 1.0, 1.0, resampler.drawn)
    return EstimatedExamination((first, *estimates), len(pairs.upper), int(positives[:, :reach].sum()))


def find_swappable_pairs(requests: npt.NDArray[Any], positions: Floats, propensities: Floats) -> Pairs:
    """Find adjacent pairs that could have been shown in reverse order.

    Examples
    --------
    Of three remaining items with odds 1 : 1 : 2, the last was shown first and one of the others second. The
        reverse order had the probability 1/4 x 2/3 against 1/2 x 1/2.

    >>> pairs = find_swappable_pairs(np.array([7, 7]), np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    >>> pairs.weights.round(4), round((1 / 4 + 1 / 6) / (1 / 4), 4)
    (array([1.6667]), 1.6667)
    """
    placed = np.flatnonzero(np.isfinite(positions) & np.isfinite(propensities))
    order = placed[np.lexsort((positions[placed], requests[placed]))]
    upper, lower = order[:-1], order[1:]
    next_to = (requests[upper] == requests[lower]) & (positions[lower] == positions[upper] + 1)
    upper, lower = upper[next_to], lower[next_to]
    first = propensities[upper]
    second = propensities[lower] * (1 - first)
    either = (first > 0) & (first < 1) & (propensities[lower] > 0)
    upper, lower, first, second = upper[either], lower[either], first[either], second[either]
    return Pairs(upper, lower, 1 + (1 - first) / (1 - second))


def _sum_outcomes(
    outcomes: Floats, positions: Floats, pairs: Pairs, units: Integers, drawn: int
) -> tuple[Floats, Integers]:
    """Sum and count weighted outcomes by unit, [2, pairs of positions, units], upper position first."""
    observed = np.nan_to_num(outcomes)
    step = positions[pairs.upper].astype(np.int64) - 1
    steps = int(step.max()) + 1
    sums = np.zeros((2, steps, drawn))
    positives = np.zeros((2, steps), dtype=np.int64)
    for side, rows in enumerate((pairs.upper, pairs.lower)):
        happened = observed[rows] > 0
        where = step[happened] * drawn + units[rows[happened]]
        summed = np.bincount(where, pairs.weights[happened], minlength=steps * drawn)
        sums[side] = summed.reshape(steps, drawn)
        positives[side] = np.bincount(step[happened], minlength=steps)
    return sums, positives


def _curves(sums: Floats, block: Floats) -> Floats:
    """Return curves from position 2 on, [pairs of positions, width], for resamples [units, width]."""
    upper, lower = sums @ block
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.cumprod(lower / upper, axis=0))
