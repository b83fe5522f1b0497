"""A release's heads beside a constant and the best single feature, from the rows of the test days.

::

    calibrate days of a task -> its mean outcome, its best single features      learned
    test days                -> head, constant and features on the same rows    compared
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.columns import REQUEST_ID, USER_ID
from tasks.evaluation.observations import Observations
from tasks.evaluation.references import HeadReferences, HeadRows, head_references
from tasks.evaluation.single_features import FeatureRows, thin_requests
from tasks.ranking.heads import Head

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelledDays:
    """Rows of some days with what is known of one task, NaN where nothing is, shape [rows]."""

    frame: pd.DataFrame
    outcomes: Floats

    def known(self) -> "LabelledDays":
        """Return the rows whose outcome is known."""
        known = np.isfinite(self.outcomes)
        return LabelledDays(self.frame[known], self.outcomes[known])


def hold_against_references(
    head: Head, calibrate: LabelledDays, test: LabelledDays, predictions: Floats, *, by_request: bool
) -> HeadReferences | None:
    """Hold a head against a constant and the best of the features that it reads.

    Parameters
    ----------
    calibrate, test : the task's days; both have the columns that the head reads.
    predictions : [rows of test] where the items stood.
    by_request : the rows of a request have outcomes of their own.

    Returns
    -------
    None for a quantile head, which predicts neither a mean nor an order.
    """
    if head.kind == "quantile":
        return None
    learned, tested = calibrate.known(), test.known()
    names = tuple(name for name in head.encoder.names if name not in head.held)
    rows = _feature_rows(head, names, learned)
    seen = Observations(
        tested.outcomes,
        predictions[np.isfinite(test.outcomes)],
        tested.frame[USER_ID].to_numpy(),
        tested.frame[REQUEST_ID].to_numpy(),
    )
    feature = partial(_encode_feature, head, tested.frame)
    rows_of_head = HeadRows(seen, feature, value=head.kind == "value", by_request=by_request)
    base = float(learned.outcomes.mean()) if learned.outcomes.size else float("nan")
    return head_references(rows_of_head, rows, base=base)


def _feature_rows(head: Head, names: tuple[str, ...], days: LabelledDays) -> FeatureRows:
    """Encode as many rows as it takes to choose a feature."""
    requests, outcomes = days.frame[REQUEST_ID].to_numpy(), days.outcomes
    positive = (outcomes > outcomes.mean()).astype(np.float64) if outcomes.size else outcomes
    kept = thin_requests(positive, requests)
    matrix = head.encoder.of(names).matrix(days.frame[kept])
    return FeatureRows(names, head.encoder.categorical, matrix, outcomes[kept], requests[kept])


def _encode_feature(head: Head, frame: pd.DataFrame, name: str) -> Floats:
    return head.encoder.of((name,)).matrix(frame)[:, 0]
