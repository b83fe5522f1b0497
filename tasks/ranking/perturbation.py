"""Small signed factors of each user's weights, by which the log learns which way each weight should move.

::

    factor of a weight for a user  =  1 + size   or   1 - size        by a salted hash of user and task

The signs of two weights, and of two users, are independent and each as likely as the other: so what users
with one sign earn more than those with the other is what this weight does, whatever the others do
(`tasks.evaluation.off_policy.gradient`). A user keeps the signs as long as the salt stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..columns import USER_ID
from .candidates import Floats, read_column
from .exploration import hash_ids, mix


@dataclass(frozen=True)
class Perturbation:
    """By how much each weight is moved, and the salt of the signs."""

    size: float
    salt: str

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Perturbation":
        """Read the canonical content of ``perturbation`` in ``utility.yaml``."""
        return cls(float(content["size"]), content["salt"])


def weight_factors(candidates: pd.DataFrame, term: str, rule: Perturbation) -> Floats:
    """Return the factor of a term's weight, [rows]; 1 where the user is not known.

    Raises
    ------
    DataError
        The candidates have no column of users.

    Examples
    --------
    >>> two = pd.DataFrame({"user_id": ["ana", "bo", None]})
    >>> weight_factors(two, "click", Perturbation(0.05, "a")).tolist()
    [0.95, 0.95, 1.0]
    """
    users = read_column(candidates, USER_ID, "the perturbation of weights")
    numbers = mix(hash_ids(users, USER_ID, f"{rule.salt}/{term}"))
    sign = np.where(numbers >> np.uint64(63), 1.0, -1.0)
    return np.where(users.isna(), 1.0, 1.0 + rule.size * sign)
