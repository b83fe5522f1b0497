"""The calibration map of a task: no map, one map, or one by segment, chosen on held-out users.

::

    binary             chosen among
                         none      the unchanged scores (a logistic map of slope 1 and intercept 0)
                         global    one map for all rows
                         segment   effects of the surface's segments, then one map
    value              a map of means
    quantile, ranking  none: they are not calibrated

    users     | fold 1 | fold 2 | fold 3 | fold 4 |  measured
    choose      each held out once, fitted to three
    report      fitted to all four                   held out
    map         the chosen kind, fitted to all five

One map is the default. Another choice must have a significantly lower normalized entropy on held-out users:
by two standard errors of the difference, clustered by user, for segments, and by three for no map, which
leaves the errors of the scores uncorrected. Segments are considered from 200 positives and 200 negatives on.

The reported gain is measured on users who were used neither for the choice nor for the fit, because a choice
looks better on the data that it was made on, even without any true gain (Cawley and Talbot 2010).

`CalibrationEvidence` documents the choice, the fit and the figures on the test days.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.arrays import Flags, Floats, Indices
from tasks.calibration.fit import LOGISTIC_BELOW, fit_binary, fit_mean, fit_tallies
from tasks.calibration.segment_fit import SegmentFit, SegmentRows, fit_segmented
from tasks.contracts.training import LARGEST_LABEL
from tasks.errors import DataError, ImmatureLabels
from tasks.evaluation import binary
from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.evidence import HeadModels, PinnedModel, TaskEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.segments import SegmentColumn, segment_columns
from tasks.ranking import maps, segmented_map
from tasks.training import debiasing
from tasks.training.draw_examples import user_or_request
from tasks.training.rows import TaskRows

MapKind = Literal["none", "global", "segment"]


class Gain(Section):
    """Gain in normalized entropy of a kind of map over one map."""

    gain: MaybeFloat
    standard_error: MaybeFloat


class MapChoice(Section):
    """The chosen map with the reason, and the normalized entropy of each kind on held-out users."""

    kind: MapKind
    reason: str
    held_out: dict[MapKind, MaybeFloat]
    gains: dict[MapKind, Gain]


class CalibrationEvidence(TaskEvidence):
    """Fit of a map, and figures of the test days before and after it, None for refits and factor models.

    ``models``: the model that the map was fitted to, for a task in a shared trunk; None for other tasks.
    """

    document: Literal["calibration"] = "calibration"
    version: Literal[1] = 1
    model: PinnedModel
    calibrator: str
    choice: MapChoice | None
    rows: int
    positives: int
    before: TaskFigures | None
    test: TaskFigures | None
    models: HeadModels | None = None


FOLDS: Final = 4
"""Number of folds of the choosing users, each held out once: three quarters of these users are fitted on.
Tuned with ``benchmarks/calibration.py``."""

MEASURED: Final = FOLDS
"""Index of the fold for the reported figures, as large as the others."""

ERRORS: Final[Mapping[MapKind, float]] = {"none": 3.0, "segment": 2.0}
"""Standard errors by which another choice must be better than one map: two are the one-sided 2.3 %; three if
a wrong choice would leave the scores uncorrected (``benchmarks/calibration.py``, docs/decisions/0016)."""
_NO_MAP: Final = maps.LogisticMap(1.0, 0.0)
"""The unchanged scores."""
_TOO_FEW_USERS: Final = "one map: positives or negatives come from too few users to hold some out"
_WORDS: Final[Mapping[MapKind, str]] = {"none": "no map", "global": "one map", "segment": "segments"}


def choose_map(
    scores: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    frame: pd.DataFrame,
    segments: Sequence[SegmentColumn],
    *,
    users: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> tuple[segmented_map.Calibrator, MapChoice]:
    """Fit the map that performs best on held-out users.

    Parameters
    ----------
    scores, outcomes : [n] in [0, 1] and 0 or 1.
    frame : the rows [n] with the columns of the segments.
    segments : the surface's segments.
    users : [n] ids, none missing.
    weights : [n] row weights; None counts each row once.

    Examples
    --------
    >>> scores, outcomes = np.tile([0.2, 0.6], 10), np.tile([0.0, 1.0], 10)
    >>> one_user = np.repeat("ana", 20)
    >>> _, choice = choose_map(scores, outcomes, pd.DataFrame(index=range(20)), (), users=one_user)
    >>> choice.kind, choice.reason
    ('global', 'one map: positives or negatives come from too few users to hold some out')
    """
    y, s, w = binary.check_binary(outcomes, scores, weights)
    counted = w > 0
    y, s, w, frame = y[counted], s[counted], w[counted] / w.max(initial=0), frame[counted]
    one_map = fit_binary(s, y, w)
    user, fold = assign_folds(np.asarray(users)[counted])
    # both outcomes must remain if any fold is held out, and for the reported figures
    counts = [np.bincount(fold, side, minlength=FOLDS + 1) for side in (y, 1 - y)]
    if not all(count[MEASURED] > 0 and (count[:FOLDS].sum() - count[:FOLDS] > 0).all() for count in counts):
        return one_map, MapChoice(kind="global", reason=_TOO_FEW_USERS, held_out={}, gains={})
    choosing = fold != MEASURED
    chosen_on = SegmentRows.of(s[choosing], y[choosing], frame[choosing], segments, w[choosing])
    fit = SegmentFit.of(chosen_on) if segments and min(y.sum(), (1 - y).sum()) >= LOGISTIC_BELOW else None
    predicted = _predict_held_out(s[choosing], chosen_on, fit, fold[choosing])
    _, gains = _measure_kinds(y[choosing], w[choosing], user[choosing], predicted)
    kind = _choose_kind(gains)
    predicted = _predict_measured(s, frame, chosen_on, fit, ~choosing)
    held_out, gains = _measure_kinds(y[~choosing], w[~choosing], user[~choosing], predicted)
    reason = _explain(kind, held_out, gains)
    choice = MapChoice(kind=kind, reason=reason, held_out=held_out, gains=gains)
    if kind == "segment":
        return SegmentFit.of(SegmentRows.of(s, y, frame, segments, w)).segmented(), choice
    return (_NO_MAP if kind == "none" else one_map), choice


def refit_map(
    kind: MapKind,
    scores: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    frame: pd.DataFrame,
    segments: Sequence[SegmentColumn],
    *,
    weights: npt.ArrayLike | None = None,
) -> tuple[segmented_map.Calibrator, MapChoice]:
    """Fit a previously chosen kind of map to other rows; parameters as in `choose_map`.

    Examples
    --------
    >>> refit_map("none", [0.2, 0.6], [0, 1], pd.DataFrame(index=range(2)), ())[0]
    LogisticMap(slope=1.0, intercept=0.0)
    """
    mapped: segmented_map.Calibrator = _NO_MAP
    if kind == "global":
        mapped = fit_binary(scores, outcomes, weights)
    elif kind == "segment":
        mapped = fit_segmented(scores, outcomes, frame, segments, weights=weights)
    reason = f"{_WORDS[kind]}, as in the model that was tested"
    return mapped, MapChoice(kind=kind, reason=reason, held_out={}, gains={})


def assign_folds(users: npt.NDArray[Any]) -> tuple[Indices, Indices]:
    """Return each row's user and fold [n], 0 to `MEASURED`, independent of the order of rows."""
    user, known = pd.factorize(users, sort=True)
    if (user < 0).any():
        raise DataError(f"A user is missing in {int((user < 0).sum())} of {user.size} rows.")
    return user, (np.random.default_rng(0).permutation(len(known)) % (FOLDS + 1))[user]


def _measure_kinds(
    y: Floats, w: Floats, user: Indices, predicted: Mapping[MapKind, Floats]
) -> tuple[dict[MapKind, float], dict[MapKind, Gain]]:
    """Return the normalized entropy of each kind on held-out users, and its gain over one map."""
    losses = {kind: w * binary.row_losses(y, p) for kind, p in predicted.items()}
    unit = float(w.sum() * binary.entropy((w * y).sum() / w.sum()))
    return (
        {kind: float(loss.sum() / unit) for kind, loss in losses.items()},
        {kind: _measure_gain(losses, kind, user, unit) for kind in losses if kind != "global"},
    )


def _explain(kind: MapKind, entropies: Mapping[MapKind, float], gains: Mapping[MapKind, Gain]) -> str:
    """Explain the choice of a kind with the held-out figures."""
    differences = ", ".join(
        f"{_WORDS[name]} {entropies[name]:.4f} ({-one.gain:+.4f}, standard error {one.standard_error:.4f})"
        for name, one in gains.items()
    )
    one = f"{entropies['global']:.4f} with one map"
    return f"{_WORDS[kind]}: on users held out of the choice normalized entropy is {one}, {differences}"


def _predict_held_out(
    s: Floats, rows: SegmentRows, fit: SegmentFit | None, fold: Indices
) -> dict[MapKind, Floats]:
    """Predict every row [n] with fits to the other folds."""
    predicted: dict[MapKind, Floats] = {"none": s, "global": np.empty_like(s)}
    if fit is not None:
        predicted["segment"] = np.empty_like(s)
    for held in range(FOLDS):
        at = fold == held
        tallies = rows.tally(~at)
        predicted["global"][at] = fit_tallies(tallies.logits, tallies).apply(s[at])
        if fit is not None:
            predicted["segment"][at] = fit.fitted_to(tallies, at)
    return predicted


def _predict_measured(
    s: Floats,
    frame: pd.DataFrame,
    chosen_on: SegmentRows,
    fit: SegmentFit | None,
    at: Flags,
) -> dict[MapKind, Floats]:
    """Predict the rows of the reported figures with fits to the choosing rows."""
    tallies = chosen_on.tally()
    predicted: dict[MapKind, Floats] = {
        "none": s[at],
        "global": fit_tallies(tallies.logits, tallies).apply(s[at]),
    }
    if fit is not None:
        predicted["segment"] = fit.segmented().apply(s[at], frame[at])
    return predicted


def _measure_gain(losses: Mapping[MapKind, Floats], kind: MapKind, user: Indices, unit: float) -> Gain:
    """Return the gain in normalized entropy over one map, and its standard error over users."""
    by_user = np.bincount(user, losses["global"] - losses[kind])
    error = float(np.sqrt(((by_user - by_user.mean()) ** 2).sum()))
    return Gain(gain=float(by_user.sum()) / unit, standard_error=error / unit)


def _choose_kind(gains: Mapping[MapKind, Gain]) -> MapKind:
    better = {kind: one.gain for kind, one in gains.items() if one.gain > ERRORS[kind] * one.standard_error}
    return max(better, key=better.__getitem__, default="global")


def fit_map(
    rows: TaskRows, table: pa.Table, scores: Floats, outcomes: Floats, *, tested: MapKind | None
) -> tuple[segmented_map.Calibrator, MapChoice | None]:
    """Fit a task's map.

    Parameters
    ----------
    table : calibrate rows [n] from `TaskRows.report`.
    scores, outcomes : [n] values of those rows.
    tested : the kind of map of a tested recipe; None chooses on held-out users.
    """
    if rows.kind in {"quantile", "ranking"}:
        return maps.IdentityMap(), None
    _require_outcomes(rows, outcomes)
    weights = debiasing.calibration_weights(rows, table, scores)
    if rows.kind == "value":
        return fit_mean(scores, outcomes, weights), None
    frame, segments = read_segment_columns(rows, table), rows.workspace.contracts.surface.segments
    if tested is not None:
        return refit_map(tested, scores, outcomes, frame, segments, weights=weights)
    users: npt.NDArray[Any] = np.asarray(user_or_request(table).to_pandas())
    return choose_map(scores, outcomes, frame, segments, users=users, weights=weights)


def read_segment_columns(rows: TaskRows, table: pa.Table) -> pd.DataFrame:
    """Return the columns of the segments from rows of `TaskRows.report`."""
    return table.select(segment_columns(rows.workspace.contracts.surface.segments)).to_pandas()


def _require_outcomes(rows: TaskRows, outcomes: Floats) -> None:
    """Refuse a slice on which no map can be fitted, with the task and its days in the message."""
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
