"""Example weights that correct a task's outcomes for position, delay and non-response.

::

    position: weight       how often the row's place is examined   \
    delayed                share of positives that had come         >  seen -> position_weights
                           when the train days ended               /
    weights.response       how likely such a row is answered           -> response_weights

The columns that these need are read with the rows, and stay columns of the table.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.columns import POSITION, SHOWN_AT, USER_ID, Status, at, status
from tasks.ranking.candidates import read_numbers
from tasks.ranking.examination import MOST, Examination
from tasks.training import examination
from tasks.training.delayed import truncate_outcomes
from tasks.training.encoding import encode, encode_dictionaries, fit_encoder
from tasks.training.position import position_weights, require_positions
from tasks.training.response import response_probabilities, response_weights
from tasks.training.rows import KEYS, TaskRows, read_labels
from tasks.training.sampling import hash_to_uniform

Floats = npt.NDArray[np.float64]

ARRIVED: Final = "arrived__share"
"""Column of `restore_known_labels`: the share of positives that had come by the end of the train days."""

_SECOND: Final = np.timedelta64(1, "s")


def weight_columns(rows: TaskRows) -> Iterator[str]:
    """Name what the examples' weights are made from, beside what `TaskRows.read_curve` gives."""
    if rows.delayed:
        yield from (_opening_column(rows), at(rows.task))


def restore_known_labels(rows: TaskRows, table: pa.Table) -> pa.Table:
    """Return train rows with the outcomes that were known when the calibrate days began.

    Without ``delayed`` all windows had closed by then and the rows are returned as they are. With it the
    train days reach up to the calibrate days; rows of which next to nothing could have come are left out.

    Raises
    ------
    ImmatureLabels
        No window had closed over a positive, so nothing is known of the delays.
    """
    if not rows.delayed:
        return table
    opened, end = (
        _instants(table, _opening_column(rows)),
        np.datetime64(rows.slices.calibrate.start.replace(tzinfo=None)),
    )
    known = truncate_outcomes(
        read_labels(table, rows.task),
        (_instants(table, at(rows.task)) - opened) / _SECOND,
        (end - opened) / _SECOND,
        window=rows.window.total_seconds(),
    )
    place = table.schema.get_field_index(rows.task)
    table = table.set_column(place, rows.task, pa.array(known.labels))
    return table.append_column(ARRIVED, pa.array(known.arrived)).filter(pa.array(known.kept))


def weight_factors(rows: TaskRows, table: pa.Table) -> Iterator[tuple[str, Floats]]:
    """Give what the rows of `restore_known_labels` weigh, by name."""
    seen = np.ones(len(table))
    if rows.debiased == "feature":  # refused before trees learn from places that count from 0
        _read_positions(rows, table)
    if rows.debiased == "weight":
        seen = seen * read_examination(rows, table)
    if rows.delayed:
        seen = seen * table.column(ARRIVED).to_numpy()
    if rows.debiased == "weight" or rows.delayed:
        yield "seen", position_weights(read_labels(table, rows.task), seen)
    if (clip := rows.answers_weighed) is not None and len(table):
        yield "response", _response_factor(rows, table, clip)


def read_examination(rows: TaskRows, table: pa.Table) -> Floats:
    """Return how often each row's position is examined, relative to the reference, shape [rows]."""
    curve = examination.find_curve(rows.workspace, snapshot=rows.snapshot.id)
    return curve.relative(_read_positions(rows, table))


def _read_positions(rows: TaskRows, table: pa.Table) -> Floats:
    """Return where each row stood, NaN where it had no place, shape [rows]."""
    places = read_numbers(table.select([POSITION]).to_pandas(), POSITION, f"position: {rows.debiased}")
    require_positions(places)
    return places


def ranking_examination(rows: TaskRows, table: pa.Table) -> Floats | None:
    """Return what an order of rows of `TaskRows.read_for_report` is weighed by; None for other heads."""
    if rows.kind != "ranking" or POSITION not in table.column_names:
        return None
    part = examination.run(rows.workspace, snapshot=rows.snapshot.id)
    known = None if part is None else examination.read_curve(rows.workspace, part)
    return examination_at(known, table.column(POSITION).to_pandas())


def examination_at(curve: Examination | None, positions: npt.ArrayLike) -> Floats | None:
    """Return how much each row's position is examined, up to a factor, shape [rows].

    None where no place was logged: all are alike then. NaN where a row has none, or where there are places
    and the surface declares no examination.

    Examples
    --------
    >>> examination_at(Examination((1.0, 0.5)), [1, 2, np.nan])
    array([1. , 0.5, nan])
    >>> examination_at(None, [1, 2])
    array([nan, nan])
    >>> examination_at(None, [np.nan, np.nan]) is None
    True
    """
    places = np.asarray(positions, dtype=np.float64)
    if np.isnan(places).all():
        return None
    return np.full(places.shape, np.nan) if curve is None else curve.relative(places)


def calibration_weights(rows: TaskRows, table: pa.Table, scores: Floats) -> Floats | None:
    """Return what calibrate rows weigh so that a head of the reference is fitted at the reference."""
    if rows.debiased != "weight":
        return None
    return position_weights(read_labels(table, rows.task), read_examination(rows, table), scores)


def predict_where_shown(rows: TaskRows, table: pa.Table, predictions: Floats) -> Floats:
    """Return what a head predicts where its rows stood, which is what their outcomes are held against."""
    if rows.debiased != "weight":
        return predictions
    return np.minimum(predictions * read_examination(rows, table), MOST)


def _opening_column(rows: TaskRows) -> str:
    """Name the column of the instant at which the label's window opens."""
    parent = None if rows.whole else rows.workspace.contracts.tasks.window_opener(rows.task)
    return SHOWN_AT if parent is None else at(parent)


def _instants(table: pa.Table, name: str) -> npt.NDArray[np.datetime64]:
    return np.asarray(table.column(name).to_numpy(), dtype="datetime64[us]")


def _response_factor(rows: TaskRows, table: pa.Table, clip: float) -> Floats:
    """Return what answered rows weigh; who answers is learned from all mature rows of the train days."""
    candidates = _read_asked_rows(rows)
    answered = pc.equal(candidates.column(status(rows.task)), Status.OBSERVED.value).to_numpy()
    encoder = fit_encoder(candidates, rows.learned)
    probabilities = response_probabilities(
        encode(encoder, candidates),
        answered,
        _assign_halves(candidates),
        of=encode(encoder, table),
        of_half=_assign_halves(table),
        categorical=encoder.categorical,
    )
    return response_weights(probabilities, rate=float(answered.mean()), clip=clip)


def _read_asked_rows(rows: TaskRows) -> pa.Table:
    """Read the mature rows of the train days that weigh something, answered or not, and no label of them."""
    weighed_by = None if rows.training.weights is None else rows.training.weights.column
    more = () if weighed_by is None else (weighed_by,)
    names = list(dict.fromkeys([*KEYS, *rows.features, status(rows.task), *more]))
    could = f"{status(rows.task)} IN ('{Status.OBSERVED}', '{Status.NOT_APPLICABLE}')"
    train = rows.slices.train
    table = rows.snapshot.read(names, first_day=train.first, last_day=train.last, where=could)
    if weighed_by is not None:
        worth = read_numbers(table.select([weighed_by]).to_pandas(), weighed_by, "weights.column")
        table = table.filter(pa.array(worth > 0))
    return encode_dictionaries(table, rows.learned.categorical)


def _assign_halves(table: pa.Table) -> npt.NDArray[np.bool_]:
    return hash_to_uniform([table.column(USER_ID)], salt="who answers") < 0.5
