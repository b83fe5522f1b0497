"""Example weights that correct a task's outcomes for position, delay and non-response.

::

    position: weight       examination of the row's position            |
    delayed                share of positives that had arrived by the   |-> seen -> position_weights
                           end of the train days                        |
    weights.response       probability of a response                    --> response_weights

**Position.** In the position-based model, an item with outcome probability g if examined has outcome
probability e g at a position with relative examination e. The following log loss has the same mean as the
loss at the reference position, for any positions (Saito et al. 2020, eq. 9)::

    - [ y / e  log q  +  (1 - y / e)  log (1 - q) ],          E[y / e] = g

Its second weight is negative for a positive below the reference, which trees do not support. However, the
weight of a row as a negative has the mean 1 - g, and rows with y = 0 have the probability 1 - e g. So
nonnegative weights have the same mean::

    y = 1:  1 / e            y = 0:  (1 - g) / (1 - e g)

(the M-step of regression EM, Wang et al. 2018). They need g. An error of d in g changes the learned odds by a
share of about d (1 - e), because g enters only through the weights of negatives. The mean suffices for
training, and the head's own scores for its calibrator, which corrects the level. 1 / e is clipped: otherwise
one click at a rarely examined position would outweigh thousands. The clip trades this variance for a bias of
those positions towards fewer outcomes.

**Delay.** A label that is 0 while its window is open is not treated as a negative. On closed rows, F(t) is
the share of positives that arrive within t of the window's opening; F(elapsed) is used like the examination
of a position. The delays are counted, whereas Chapelle (2014) fits them jointly with the outcome. Counting
needs no parametric form, and assumes that the delay of a positive does not depend on its features.

**Response.** P(response | features) is predicted out of sample, by trees that are trained on half of the
users and applied to the other half. A response has the weight mean P / P, clipped. If the outcome itself
makes people respond, no such weight corrects the bias: the head still predicts P(happy | a response).

The required columns are read with the rows and stay in the table.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.arrays import Flags, Floats
from tasks.columns import POSITION, SHOWN_AT, USER_ID, Status, at, status
from tasks.errors import DataError, ImmatureLabels
from tasks.ranking.candidates import read_numbers
from tasks.ranking.examination import MOST, Examination
from tasks.training import examination
from tasks.training.encoding import encode, encode_dictionaries, fit_encoder
from tasks.training.examination import require_positions
from tasks.training.rows import KEYS, TaskRows, read_labels
from tasks.training.sampling import hash_to_uniform

ARRIVED: Final = "arrived__share"
"""Column of `restore_known_labels`: share of positives that had arrived by the end of the train days."""

CLIP: Final = 20.0
"""Maximum weight of a positive for its position (clipping trades variance for bias, Strehl et al. 2010);
tuned with ``benchmarks/learning/position.py``."""

_MOST: Final = 0.999
"""Maximum prior probability, so that negatives keep a positive weight."""

_SECOND: Final = np.timedelta64(1, "s")

ROUNDS: Final = 60
"""Trees of the response model; tuned with ``benchmarks/learning/survey.py``, like their parameters."""

_SETTINGS: Final = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 200, "lambda_l2": 5.0,
    "seed": 0, "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbosity": -1,
}  # fmt: skip

LEAST: Final = 0.05
"""Minimum share of positives that must have arrived for a row to be used: its weight is 20 at most, like
`CLIP`. Tuned with ``benchmarks/learning/delayed.py``."""


def weight_columns(rows: TaskRows) -> Iterator[str]:
    """Yield the columns that example weights need besides those of `TaskRows.read_curve`."""
    if rows.delayed:
        yield from (_opening_column(rows), at(rows.task))


def restore_known_labels(rows: TaskRows, table: pa.Table) -> pa.Table:
    """Return train rows with the outcomes that were observed when the calibrate days began.

    Without ``delayed`` all windows had closed by then, and the rows are returned unchanged. With it the train
    days extend to the calibrate days, and rows for which almost no positives could have arrived are dropped.
    """
    if not rows.delayed:
        return table
    opened = _instants(table, _opening_column(rows))
    end = np.datetime64(rows.slices.calibrate.start.replace(tzinfo=None))
    labels, arrived, kept = truncate_outcomes(
        read_labels(table, rows.task),
        (_instants(table, at(rows.task)) - opened) / _SECOND,
        (end - opened) / _SECOND,
        window=rows.window.total_seconds(),
    )
    place = table.schema.get_field_index(rows.task)
    table = table.set_column(place, rows.task, pa.array(labels))
    return table.append_column(ARRIVED, pa.array(arrived)).filter(pa.array(kept))


def weight_factors(rows: TaskRows, table: pa.Table) -> Iterator[tuple[str, Floats]]:
    """Yield the weights of the rows of `restore_known_labels`, by name."""
    seen = np.ones(len(table))
    if rows.debiased == "feature":  # refuse positions that count from 0 before training
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
    """Return each row's examination relative to the reference position, shape [rows]."""
    curve = examination.find_curve(rows.workspace, snapshot=rows.snapshot.id)
    return curve.relative(_read_positions(rows, table))


def _read_positions(rows: TaskRows, table: pa.Table) -> Floats:
    """Return each row's position, NaN if it had none, shape [rows]."""
    places = read_numbers(table.select([POSITION]).to_pandas(), POSITION, f"position: {rows.debiased}")
    require_positions(places)
    return places


def ranking_examination(rows: TaskRows, table: pa.Table) -> Floats | None:
    """Return the examination weights of a ranking on `TaskRows.report`; None for other heads."""
    if rows.kind != "ranking" or POSITION not in table.column_names:
        return None
    part = examination.run(rows.workspace, snapshot=rows.snapshot.id)
    known = None if part is None else examination.read_curve(rows.workspace, part)
    return examination_at(known, table.column(POSITION).to_pandas())


def examination_at(curve: Examination | None, positions: npt.ArrayLike) -> Floats | None:
    """Return the examination of each row's position, up to a factor, shape [rows].

    None if no position was logged: all rows weigh the same. NaN for rows without a position, or if the
    surface declares no examination.

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
    """Return the weights of calibrate rows with which a head is calibrated at the reference position."""
    if rows.debiased != "weight":
        return None
    return position_weights(read_labels(table, rows.task), read_examination(rows, table), scores)


def predict_where_shown(rows: TaskRows, table: pa.Table, predictions: Floats) -> Floats:
    """Return a head's predictions at the shown positions, for comparison with the outcomes."""
    if rows.debiased != "weight":
        return predictions
    return np.minimum(predictions * read_examination(rows, table), MOST)


def position_weights(labels: Floats, examination: Floats, prior: Floats | float | None = None) -> Floats:
    """Return example weights, shape [n], above 0, with which the log loss refers to the reference position.

    Parameters
    ----------
    labels : [n] of 0 and 1.
    examination : [n] examination of the row's position relative to the reference.
    prior : [n] or scalar, prior probability at the reference; by default `mean_at_reference` of the rows.

    Examples
    --------
    >>> clicks, examined = np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.5, 1.0])
    >>> position_weights(clicks, examined, prior=0.2).round(3)
    array([2.   , 0.889, 1.   ])
    """
    examined = _check_examination(examination)
    guess = mean_at_reference(labels, examined) if prior is None else np.asarray(prior, dtype=np.float64)
    g = np.minimum(guess, _MOST)
    as_negative = (1 - g) / np.maximum(1 - examined * g, 1 - _MOST)
    return np.where(np.asarray(labels) > 0, np.minimum(1 / examined, CLIP), as_negative)


def mean_at_reference(labels: Floats, examination: Floats) -> float:
    """Return the mean outcome if every item were shown at the reference position.

    The plain mean of y / e has a high variance from positives at rarely examined positions. The ratio of
    outcomes to examinations has the same limit if positions do not depend on items, and is in [0, max y / e].

    Examples
    --------
    >>> mean_at_reference(np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.5]))
    0.5
    """
    examined = _check_examination(examination)
    return float(np.sum(labels) / examined.sum()) if len(examined) else 0.0


def _check_examination(examination: Floats) -> Floats:
    examined = np.asarray(examination, dtype=np.float64)
    if nowhere := int(np.count_nonzero(~(examined > 0))):
        raise DataError(
            f"{nowhere} of {examined.size} rows have no position, so their examination is unknown. "
            "Log the position of every impression, or leave `position: weight` out of "
            "surface.yaml."
        )
    return examined


def _opening_column(rows: TaskRows) -> str:
    """Return the column with the instant at which the label's window opens."""
    parent = None if rows.whole else rows.workspace.contracts.tasks.window_opener(rows.task)
    return SHOWN_AT if parent is None else at(parent)


def _instants(table: pa.Table, name: str) -> npt.NDArray[np.datetime64]:
    return np.asarray(table.column(name).to_numpy(), dtype="datetime64[us]")


def _response_factor(rows: TaskRows, table: pa.Table, clip: float) -> Floats:
    """Return the weights of responses; the response model is trained on all mature rows of the train days."""
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
    """Read the train days' mature rows of positive weight, with or without a response, without labels."""
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


def _assign_halves(table: pa.Table) -> Flags:
    return hash_to_uniform([table.column(USER_ID)], salt="who answers") < 0.5


def response_probabilities(
    candidates: pa.Table,
    answered: Flags,
    half: Flags,
    *,
    of: pa.Table,
    of_half: Flags,
    categorical: Sequence[str] = (),
) -> Floats:
    """Return P(response | features) of some rows, shape [m], from trees trained on other users.

    Parameters
    ----------
    candidates : [n, f] features of every row that could have a response; categorical columns hold codes.
    answered : [n] whether there is a response.
    half : [n] which half of the users a row belongs to.
    of, of_half : [m, f] features and [m] half of the rows to predict.

    Examples
    --------
    >>> asked = pa.table({"age": np.tile([20.0, 60.0], 1000)})
    >>> answered, half = np.tile([True, False, False, False], 500), np.arange(2000) < 1000
    >>> response_probabilities(asked, answered, half, of=asked[:2], of_half=half[:2]).round(2)
    array([0.45, 0.06])
    """
    probabilities = np.empty(len(of_half))
    for side in (True, False):
        others, mine = half != side, of_half == side
        answers = int(answered[others].sum())
        if answers in (0, int(others.sum())):
            raise DataError(
                f"The probability of a response cannot be estimated: in one half of the users {answers} of "
                f"{int(others.sum())} rows are answered. Leave weights.response out of surface.yaml."
            )
        data = lgb.Dataset(
            candidates.filter(pa.array(others)),
            label=answered[others],
            categorical_feature=[candidates.column_names.index(name) for name in categorical],
        )
        trees = lgb.train(_SETTINGS, data, num_boost_round=ROUNDS)
        if mine.any():
            probabilities[mine] = trees.predict(of.filter(pa.array(mine)), num_threads=2)
    return probabilities


def response_weights(probabilities: Floats, *, rate: float, clip: float) -> Floats:
    """Return the weight of each response: the response rate divided by the row's probability, clipped.

    Parameters
    ----------
    probabilities : [n] P(response) of the rows with a response.
    rate : rows with a response over all rows.

    Examples
    --------
    >>> response_weights(np.array([0.1, 0.02, 0.0001]), rate=0.02, clip=20)
    array([ 0.2,  1. , 20. ])
    """
    return np.minimum(rate / np.maximum(probabilities, np.finfo(np.float64).tiny), clip)


def truncate_outcomes(
    labels: Floats, delays: Floats, elapsed: Floats, *, window: float
) -> tuple[Floats, Floats, Flags]:
    """Truncate outcomes at an instant, and return the share of positives that had arrived.

    Parameters
    ----------
    labels : [n] final outcomes, 0 or 1.
    delays : [n] time from the window's opening to the positive's event, NaN for a 0.
    elapsed : [n] time from the window's opening to the instant, in the same unit.
    window : length of the window, after which a row is closed.

    Returns
    -------
    labels : [n] the outcome so far.
    arrived : [n] share of positives that had arrived by then, 1 if the window was closed.
    kept : [n] rows to learn from: those with a share of at least `LEAST`.

    Examples
    --------
    >>> truncate_outcomes(
    ...     np.array([1.0, 1.0, 0.0, 1.0]),
    ...     np.array([1.0, 3.0, np.nan, 3.0]),
    ...     np.array([9.0, 9.0, 2.0, 2.0]),
    ...     window=7,
    ... )
    (array([1., 1., 0., 0.]), array([1. , 1. , 0.5, 0.5]), array([ True,  True,  True,  True]))
    """
    closed = elapsed >= window
    came = np.sort(delays[closed & (labels > 0)])
    if not len(came):
        raise ImmatureLabels(
            f"Of {int(closed.sum())} rows whose window had closed none is positive, so the delay of "
            "positives cannot be estimated. Lengthen split.train in surface.yaml, or leave `delayed` out."
        )
    share = np.searchsorted(came, elapsed, side="left") / len(came)
    arrived = np.where(closed, 1.0, share)
    by_then = (labels > 0) & (delays < elapsed)
    return by_then.astype(np.float64), arrived, (elapsed > 0) & (arrived >= LEAST)
