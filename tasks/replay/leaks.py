"""Counts what a slate holds that a hard constraint keeps out: of every slate that is made, whoever made it.

A release decides by the code that it brought. Here each constraint is read again, by itself, on the rows that
got a slot.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.errors import GateRefused
from tasks.ranking.constraints import find_violations
from tasks.ranking.policy import HardConstraint


def refuse_leaks(
    candidates: pd.DataFrame,
    slot: npt.NDArray[np.int64],
    constraints: Iterable[HardConstraint],
    *,
    name: str,
) -> None:
    """Refuse slates with a candidate that a hard constraint keeps out, or of which that is not known.

    Parameters
    ----------
    slot : [n] position in the slate from 1, 0 where the candidate is not in it.
    name : what made the slates, for the message.

    Raises
    ------
    GateRefused
        There is one; every constraint is named with its count.

    Examples
    --------
    >>> from tasks.ranking.policy import Condition
    >>> legal = HardConstraint("legal", Condition("permitted", "one_of", (True,)), keeps=True)
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"], "permitted": [True, None]})
    >>> refuse_leaks(frame, np.array([1, 0]), [legal], name="release 1")
    >>> refuse_leaks(frame, np.array([1, 2]), [legal], name="release 1")
    Traceback (most recent call last):
    ...
    tasks.errors.GateRefused: release 1 puts into its slots what a hard constraint keeps out: legal 1
    """
    shown = candidates[slot > 0]
    counts = [(one.name, int(find_violations(shown, one)[0].sum())) for one in constraints]
    if leaks := ", ".join(f"{constraint} {count:,}" for constraint, count in counts if count):
        raise GateRefused(f"{name} puts into its slots what a hard constraint keeps out: {leaks}")
