"""The true figures of a day of the tour, the same for both rankers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.operating_worlds.truth import looks
from tasks import columns as c
from tasks.contracts.utility import UtilitySpec
from tasks.datasets.world.loop import LoopDay
from tasks.ranking.utility import compute_utilities

NEW_DAYS = 7
"""An item is new in its first week."""


@dataclass(frozen=True)
class DayFigures:
    """What a day's slates truly bring; outcomes are expected ones, so without the chance of a day.

    Attributes
    ----------
    day : of the tour.
    utility : per request, by the weights of the first policy.
    hides, satisfied, clicks, purchases : per 1,000 examined impressions.
    new_items : share of examined impressions.
    spam : share of examined impressions of the creator who sends spam.
    visits : requests of the day.
    canary : share of the users whom a canary serves.
    """

    day: int
    utility: float
    hides: float
    satisfied: float
    clicks: float
    purchases: float
    new_items: float
    spam: float
    visits: float
    canary: float = 0.0


def figures_of(
    played: LoopDay,
    offered: pd.DataFrame,
    *,
    policy: UtilitySpec,
    spammer: str,
    day: int,
    canary: float = 0.0,
) -> DayFigures:
    """Measure a day by the truth.

    Parameters
    ----------
    offered : the candidates of the day.
    spammer : the creator who sends spam.
    """
    seen = looks(played.served.position)
    requests = len(played.batch.requests.user)
    truth = {c.probability(task): values for task, values in played.truth.items()}
    utility = np.nan_to_num(compute_utilities(offered, truth, policy).utility)

    def rate(values: npt.ArrayLike) -> float:
        return float((seen * np.asarray(values, dtype=np.float64)).sum() / seen.sum())

    return DayFigures(
        day=day,
        utility=float((seen * utility).sum() / requests),
        hides=1000 * rate(played.truth["hide_7d"]),
        satisfied=1000 * rate(played.truth["satisfied_7d"]),
        clicks=1000 * rate(played.truth["click_30m"]),
        purchases=1000 * rate(played.truth["purchase_7d"]),
        new_items=rate(offered["item_age_days"] < NEW_DAYS),
        spam=rate(offered["creator"] == spammer),
        visits=float(requests),
        canary=canary,
    )


def by_week(days: Sequence[DayFigures]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the mean of each figure by week, of whole weeks."""
    names = [one.name for one in fields(DayFigures) if one.name != "day"]
    weeks = len(days) // 7
    return {
        name: np.array([getattr(one, name) for one in days[: 7 * weeks]]).reshape(weeks, 7).mean(axis=1)
        for name in names
    }
