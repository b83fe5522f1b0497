"""Counts what a slate holds that a hard constraint keeps out: of every slate that is made, whoever made it.

A release decides by the code that it brought. Here each constraint is read again, by itself, on the rows that
got a slot.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.errors import GateRefused
from tasks.ranking.constraints import iterate_violations
from tasks.ranking.policy import UtilityPolicy
from tasks.ranking.utility import choose_contexts


def refuse_leaks(
    candidates: pd.DataFrame, slot: npt.NDArray[np.int64], policy: UtilityPolicy, *, name: str
) -> None:
    """Refuse slates with a candidate that a hard constraint keeps out, or of which that is not known.

    Parameters
    ----------
    slot : [n] position in the slate from 1, 0 where the candidate is not in it.
    policy : whose constraints they are, those of its contexts in their own rows.
    name : what made the slates, for the message.

    Raises
    ------
    GateRefused
        There is one; every constraint is named with its count.

    Examples
    --------
    >>> from tasks.ranking.condition import Condition
    >>> from tasks.ranking.policy import HardConstraint
    >>> legal = HardConstraint("legal", Condition("permitted", "one_of", (True,)), keeps=True)
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"], "permitted": [True, None]})
    >>> policy = UtilityPolicy("p", 1, {}, hard_constraints=(legal,))
    >>> refuse_leaks(frame, np.array([1, 0]), policy, name="release 1")
    >>> refuse_leaks(frame, np.array([1, 2]), policy, name="release 1")
    Traceback (most recent call last):
    ...
    tasks.errors.GateRefused: release 1 puts into its slots what a hard constraint keeps out: legal 1
    """
    shown = candidates[slot > 0]
    context = choose_contexts(shown, policy.contexts)
    counts = [(one.name, int(rows.sum())) for one, rows, _ in iterate_violations(shown, policy, context)]
    if leaks := ", ".join(f"{constraint} {count:,}" for constraint, count in counts if count):
        raise GateRefused(f"{name} puts into its slots what a hard constraint keeps out: {leaks}")
