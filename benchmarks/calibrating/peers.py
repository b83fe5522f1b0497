"""Ways to calibrate by segment: each fits to a case's calibrate rows and predicts its test rows.

scikit-learn's isotonic regression predicts 0 and 1 where its first and last blocks are pure, and one such
miss would decide its entropy: its predictions are kept half a row away from them.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from benchmarks.calibrating.rows import Case, Rows
from tasks.calibration.choice import choose
from tasks.calibration.segmented_map import applied
from tasks.evaluation.segments import segment_values

Floats = npt.NDArray[np.float64]
LEAST_CELL: Final = 50
"""Rows from which a cell gets an isotonic regression of its own; thinner ones take the global one."""


def ours(case: Case) -> tuple[Floats, float, str]:
    """Choose and fit as the calibrate step does; return predictions, seconds, and what was chosen."""
    known, began = case.calibrate, time.process_time()
    found = choose(known.scores, known.outcomes, known.frame, case.segments, users=known.frame["user"])
    seconds = time.process_time() - began
    return applied(found.calibrator, case.test.scores, case.test.frame), seconds, found.kind


def isotonic(case: Case) -> tuple[Floats, float, str]:
    """One isotonic regression for all rows."""
    began = time.process_time()
    predict = _isotonic(case.calibrate.scores, case.calibrate.outcomes)
    return predict(case.test.scores), time.process_time() - began, ""


def by_cell(case: Case) -> tuple[Floats, float, str]:
    """Fit an isotonic regression for each combination of segment values."""
    began = time.process_time()
    one = _isotonic(case.calibrate.scores, case.calibrate.outcomes)
    fresh = words(case, case.test)
    predictions = one(case.test.scores)
    columns = list(fresh)
    known = words(case, case.calibrate).groupby(columns, observed=True).indices
    for cell, at in fresh.groupby(columns, observed=True).indices.items():
        own = known.get(cell, np.empty(0, dtype=np.int64))
        if own.size >= LEAST_CELL:
            predict = _isotonic(case.calibrate.scores[own], case.calibrate.outcomes[own])
            predictions[at] = predict(case.test.scores[at])
    return predictions, time.process_time() - began, f"{len(known)} cells"


def mcgrad(case: Case) -> tuple[Floats, float, str]:
    """MCGrad at its defaults (torch is not needed for it)."""
    from mcgrad.methods import MCGrad  # noqa: PLC0415 - an optional peer

    known, fresh = (words(case, rows) for rows in (case.calibrate, case.test))
    names = list(known)
    known = known.assign(outcome=case.calibrate.outcomes, score=case.calibrate.scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began, model = time.process_time(), MCGrad()
        model.fit(known, "score", "outcome", categorical_feature_column_names=names)
        seconds = time.process_time() - began
        predicted = model.predict(
            fresh.assign(score=case.test.scores), "score", categorical_feature_column_names=names
        )
    return np.asarray(predicted, dtype=np.float64), seconds, ""


PEERS: Final[Mapping[str, Callable[[Case], tuple[Floats, float, str]]]] = {
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


def _isotonic(scores: Floats, outcomes: Floats) -> Callable[[Floats], Floats]:
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes)
    half = 0.5 / len(scores)
    return lambda fresh: np.clip(fitted.predict(fresh), half, 1 - half)
