"""The calibration map of a task, fitted to its calibrate rows.

::

    binary             no map, one map or one by segment, as held-out users decide (calibration/choice.py)
    value              a map of means
    quantile, ranking  none: they are not calibrated
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.calibration.choice import Choice, Kind, choose_map, refit_map
from tasks.calibration.fit import fit_mean
from tasks.contracts.training import LARGEST_LABEL
from tasks.errors import DataError, ImmatureLabels
from tasks.evaluation.segments import segment_columns
from tasks.ranking.maps import IdentityMap
from tasks.ranking.segmented_map import Calibrator
from tasks.training import debiasing
from tasks.training.draw_examples import user_or_request
from tasks.training.rows import TaskRows

Floats = npt.NDArray[np.float64]


def fit_map(
    rows: TaskRows, table: pa.Table, scores: Floats, outcomes: Floats, *, tested: Kind | None
) -> tuple[Calibrator, Choice | None]:
    """Fit a task's map.

    Parameters
    ----------
    table : calibrate rows [n] that `TaskRows.read_for_report` gave.
    scores, outcomes : [n] of those rows.
    tested : the kind of map to fit again, of a tested recipe; None lets the held-out users choose.

    Raises
    ------
    ImmatureLabels
        The slice has one outcome only.
    DataError
        Values do not add up to more than 0, or one is beyond what trees can hold.
    """
    if rows.kind in {"quantile", "ranking"}:
        return IdentityMap(), None
    _require_outcomes(rows, outcomes)
    weights = debiasing.calibration_weights(rows, table, scores)
    if rows.kind == "value":
        return fit_mean(scores, outcomes, weights), None
    frame, segments = read_segment_columns(rows, table), rows.workspace.contracts.surface.segments
    if tested is not None:
        choice = refit_map(tested, scores, outcomes, frame, segments, weights=weights)
    else:
        users: npt.NDArray[Any] = np.asarray(user_or_request(table).to_pandas())
        choice = choose_map(scores, outcomes, frame, segments, users=users, weights=weights)
    return choice.calibrator, choice


def read_segment_columns(rows: TaskRows, table: pa.Table) -> pd.DataFrame:
    """Return the columns that the segments are made from, of rows that `TaskRows.read_for_report` gave."""
    return table.select(segment_columns(rows.workspace.contracts.surface.segments)).to_pandas()


def _require_outcomes(rows: TaskRows, outcomes: Floats) -> None:
    """Refuse a slice on which no map can be fitted; the message names the task and its days."""
    valued, positives = rows.kind == "value", int(np.count_nonzero(outcomes))
    if positives == 0 or (not valued and positives == len(outcomes)):
        noun = "values other than 0" if valued else "positives"
        raise ImmatureLabels(
            f"{_refusal(rows)} has {positives} {noun} in {len(outcomes)} observed rows and needs both "
            "outcomes. Lengthen split.calibrate in surface.yaml or wait for more days."
        )
    if beyond := int(np.count_nonzero(np.abs(outcomes) > LARGEST_LABEL)):
        raise DataError(
            f"{_refusal(rows)} has {beyond} values beyond {LARGEST_LABEL:.2g}, the most that trees can hold. "
            "Clip the value in tasks.yaml."
        )
    if valued and not outcomes.sum() > 0:
        raise DataError(
            f"{_refusal(rows)} has values that add up to {outcomes.sum():g}, and a map of means needs more "
            "than 0. Clip the value in tasks.yaml, or turn its sign."
        )


def _refusal(rows: TaskRows) -> str:
    first, last = rows.slices.calibrate.to_json()
    return f"Task '{rows.task}' cannot be calibrated: its calibrate slice {first} to {last}"
