"""Ways to calibrate by segment: each fits to a case's calibrate rows and predicts its test rows.

scikit-learn's isotonic regression predicts 0 and 1 where its first and last blocks are pure, and one such
miss would decide its entropy: its predictions are kept half a row away from them.

A fit is timed by the wall and by the processor, all threads together, in a process that has run every way
once before on few rows: imports and first calls are nobody's.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from benchmarks.calibrating.rows import Case, Rows, simulated
from tasks.calibration.choice import choose_map
from tasks.evaluation.segments import segment_values
from tasks.ranking.segmented_map import apply_calibrator

Floats = npt.NDArray[np.float64]
Fitted = TypeVar("Fitted")
LEAST_CELL: Final = 50
"""Rows from which a cell gets an isotonic regression of its own; thinner ones take the global one."""


_WARM_ROWS: Final = 3_000


@dataclass(frozen=True)
class Seconds:
    """What a fit took by the clock on the wall, and of the processor by all threads together."""

    wall: float
    processor: float


Calibrated = tuple[Floats, Seconds, str]
"""Predictions of the test rows, what the fit took, and what else is to be told."""


def timed(fit: Callable[[], Fitted]) -> tuple[Fitted, Seconds]:
    """Fit and say how long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    fitted = fit()
    return fitted, Seconds(time.perf_counter() - wall, time.process_time() - processor)


def warm(peers: Sequence[str]) -> None:
    """Run every way once on few rows."""
    few = simulated("additive", _WARM_ROWS, test_rows=100, seed=0)
    for peer in peers:
        PEERS[peer](few)


def ours(case: Case) -> Calibrated:
    """Choose and fit as the calibrate step does; told is what was chosen."""
    known = case.calibrate
    (calibrator, choice), seconds = timed(
        lambda: choose_map(
            known.scores, known.outcomes, known.frame, case.segments, users=known.frame["user"]
        )
    )
    return apply_calibrator(calibrator, case.test.scores, case.test.frame), seconds, choice.kind


def isotonic(case: Case) -> Calibrated:
    """One isotonic regression for all rows."""
    predict, seconds = timed(lambda: _isotonic(case.calibrate.scores, case.calibrate.outcomes))
    return predict(case.test.scores), seconds, ""


def by_cell(case: Case) -> Calibrated:
    """Fit an isotonic regression for each combination of segment values."""
    cells, seconds = timed(lambda: _by_cell(case))
    predictions = _isotonic(case.calibrate.scores, case.calibrate.outcomes)(case.test.scores)
    fresh = words(case, case.test)
    for cell, at in fresh.groupby(list(fresh), observed=True).indices.items():
        if cell in cells:
            predictions[at] = cells[cell](case.test.scores[at])
    return predictions, seconds, f"{len(cells)} cells of {LEAST_CELL} rows"


def mcgrad(case: Case) -> Calibrated:
    """MCGrad at its defaults (torch is not needed for it)."""
    from mcgrad.methods import MCGrad  # noqa: PLC0415 - an optional peer

    known, fresh = (words(case, rows) for rows in (case.calibrate, case.test))
    names = list(known)
    known = known.assign(outcome=case.calibrate.outcomes, score=case.calibrate.scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MCGrad()
        _, seconds = timed(
            lambda: model.fit(known, "score", "outcome", categorical_feature_column_names=names)
        )
        predicted = model.predict(
            fresh.assign(score=case.test.scores), "score", categorical_feature_column_names=names
        )
    return np.asarray(predicted, dtype=np.float64), seconds, ""


PEERS: Final[Mapping[str, Callable[[Case], Calibrated]]] = {
    "one isotonic": isotonic,
    "isotonic by cell": by_cell,
    "MCGrad": mcgrad,
    "ours": ours,
}


def installed(peer: str) -> bool:
    """Whether a peer can be run here."""
    return peer != "MCGrad" or importlib.util.find_spec("mcgrad") is not None


def words(case: Case, rows: Rows) -> pd.DataFrame:
    """Return the values of the segments as text, a column each."""
    values = segment_values(rows.frame, case.segments)
    return pd.DataFrame({name: np.asarray(v.astype(object)) for name, v in values.items()})


def _by_cell(case: Case) -> dict[Hashable, Callable[[Floats], Floats]]:
    """Fit a regression to each cell that has rows enough."""
    known = words(case, case.calibrate)
    cells = known.groupby(list(known), observed=True).indices.items()
    scores, outcomes = case.calibrate.scores, case.calibrate.outcomes
    return {cell: _isotonic(scores[own], outcomes[own]) for cell, own in cells if len(own) >= LEAST_CELL}


def _isotonic(scores: Floats, outcomes: Floats) -> Callable[[Floats], Floats]:
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes)
    half = 0.5 / len(scores)
    return lambda fresh: np.clip(fitted.predict(fresh), half, 1 - half)
