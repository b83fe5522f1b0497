"""Estimates the gradient of the mean reward by each utility weight, from a log with perturbed weights.

With s the sign of a user's factor 1 + size x s of one weight and r the reward of a request ::

    gradient = mean of (r - mean of r) x s / size        d (mean reward) / d log(weight)

The signs are independent of each other and of everything else, so the other weights' perturbations are noise
with a mean of 0, and half of the second-order terms cancel (Spall 1992, simultaneous perturbation).
Users are resampled, because all requests of a user have the same sign. A gradient of .01 means that raising
the weight by ten per cent adds about .001 per request.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Floats
from tasks.errors import DataError
from tasks.evaluation.binary import divide
from tasks.evaluation.resampling import Clusters, Support, cluster_rows, statistic_intervals
from tasks.evaluation.verdicts import Outcome
from tasks.ope.log_rows import read_numbers, refuse_rows, require_columns, require_keys, select_observed

TABLE: Final = "log"
INCONCLUSIVE: Final = Outcome.INCONCLUSIVE.value
_FACTOR: Final = c.weight_factor("")
_REPLICATES: Final = 1_000
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class WeightGradient:
    """The gradient by one weight's logarithm with its 95 % interval, NaN for too few users, and a direction.

    ``direction`` is ``raise`` or ``lower`` if the interval excludes 0, else ``inconclusive``.
    """

    value: float
    low: float
    high: float
    size: float
    direction: str


@dataclass(frozen=True)
class GradientReport:
    """The gradient of the mean reward of a request by each perturbed weight.

    ``left_out``: number of rows whose label is not observed.
    """

    requests: int
    users: int
    left_out: int
    mean_reward: float
    gradients: dict[str, WeightGradient]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; unknown figures become null."""
        plain = asdict(self)
        for one in plain["gradients"].values():
            one.update({key: None for key in ("low", "high") if not np.isfinite(one[key])})
        return plain


def estimate_gradient(log: pd.DataFrame, *, reward: str) -> GradientReport:
    """Estimate the gradient from a log's rows.

    Examples
    --------
    >>> users = np.arange(2_000)
    >>> sign = np.where(users % 2 == 1, 1.0, -1.0)
    >>> log = pd.DataFrame({"request_id": users, "user_id": users, "factor_click": 1 + 0.1 * sign,
    ...                     "click": np.where(sign > 0, users % 4 == 1, users % 6 == 0)})
    >>> gradient = estimate_gradient(log, reward="click").gradients["click"]
    >>> round(gradient.value, 2), gradient.direction
    (0.83, 'raise')
    """
    factors = [str(name) for name in log.columns if str(name).startswith(_FACTOR)]
    require_columns(log, (c.REQUEST_ID, c.USER_ID, reward), table=TABLE)
    if not factors:
        raise DataError(f"The log has no column {_FACTOR}<task>: no weight was perturbed.")
    log, left_out = select_observed(log, c.status(reward))
    require_keys(log, (c.REQUEST_ID, c.USER_ID), table=TABLE)
    read_numbers(log, reward, table=TABLE)
    for name in factors:
        _refuse_mixed(log, name)
    firsts = dict.fromkeys((c.USER_ID, *factors), "first")
    requests = log.groupby(c.REQUEST_ID, sort=False).agg({**firsts, reward: "sum"})
    rewards = requests[reward].to_numpy(dtype=np.float64)
    users = cluster_rows(requests[c.USER_ID].to_numpy(dtype=object))
    gradients = {
        name.removeprefix(_FACTOR): _gradient(rewards, requests[name].to_numpy(dtype=np.float64), users)
        for name in factors
    }
    return GradientReport(len(requests), users.count, left_out, float(rewards.mean()), gradients)


def _refuse_mixed(log: pd.DataFrame, name: str) -> None:
    """Raise an error for a weight that is not perturbed, or with several sizes in the log or for a user."""
    moved = np.abs(read_numbers(log, name, table=TABLE) - 1.0)
    size = float(moved.max())
    if size == 0:
        raise DataError(f"The {TABLE}: column {name} is 1 in every row: the weight was not perturbed.")
    other = np.abs(moved - size) > _TOLERANCE
    refuse_rows(log, other, (name, f"1 + {size:g} or 1 - {size:g}"), table=TABLE)
    of_user = log.groupby(c.USER_ID, sort=False)[name].transform("first").to_numpy(dtype=np.float64)
    several = log[name].to_numpy(dtype=np.float64) != of_user
    refuse_rows(log, several, (name, "one for each user"), table=TABLE, shown=(c.USER_ID, name))


def _gradient(rewards: Floats, factors: Floats, users: Clusters) -> WeightGradient:
    size = float(np.abs(factors - 1).max())
    terms, once = (rewards - rewards.mean()) * np.sign(factors - 1) / size, np.ones(len(rewards))
    intervals = statistic_intervals([terms, once], divide, users, _REPLICATES)
    (interval,) = Support.of(rewards, once, users.codes).of_outcomes(intervals)
    direction = "raise" if interval.value > 0 else "lower"
    if not interval.known or interval.low <= 0 <= interval.high:
        direction = INCONCLUSIVE
    return WeightGradient(interval.value, interval.low, interval.high, size, direction)
