r"""Weights for survey answers by inverse response probability.

::

    asked rows (answered or not)  ->  trees on half of the users, applied to the other half, and the reverse
                                  ->  P(answers | features), out of sample
    an answer weighs              mean P / P, at most the clip

With the weights an answer counts as much as its like counts among all that were asked, so the trees spend
themselves where the people are and not where the answers are. The weights know features only. Where happiness
itself makes people answer, those who answer differ from their silent like, and no weight of this kind sees
it: the head goes on saying P(happy | an answer).
"""

from collections.abc import Sequence
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.errors import DataError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROUNDS: Final = 60
"""Trees of the model of who answers; judged by ``benchmarks/learning/survey.py``, as are their parameters."""
_SETTINGS: Final = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 200, "lambda_l2": 5.0,
    "seed": 0, "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbosity": -1,
}  # fmt: skip


def response_probabilities(
    candidates: pa.Table,
    answered: Bools,
    half: Bools,
    *,
    of: pa.Table,
    of_half: Bools,
    categorical: Sequence[str] = (),
) -> Floats:
    """Return P(answered | features) of some rows, shape [m], by trees that saw no row of their users.

    Parameters
    ----------
    candidates : [n, f] features of every row that could have been answered; categorical columns hold codes.
    answered : [n] whether the label is observed.
    half : [n] which half of the users a row belongs to.
    of, of_half : [m, f] features and [m] half of the rows that are asked about.

    Raises
    ------
    DataError
        One half of the users has no answer, or nothing but answers.

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
                f"Who answers cannot be estimated: in one half of the users {answers} of {int(others.sum())} "
                "rows are answered. Leave weights.response out of surface.yaml."
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
    """Return what answers weigh: the share of all rows that answered over each one's own probability.

    Parameters
    ----------
    probabilities : [n] P(answered) of the answered rows.
    rate : answered rows over all rows.

    Examples
    --------
    >>> response_weights(np.array([0.1, 0.02, 0.0001]), rate=0.02, clip=20)
    array([ 0.2,  1. , 20. ])
    """
    return np.minimum(rate / np.maximum(probabilities, np.finfo(np.float64).tiny), clip)
