"""Off-policy estimates of a log whose days move the level of all rewards by 10 and 20 %.

Seven days, 1,500 users with two requests each, six items with one slot. On a day every chance of a reward is
multiplied by a normal factor with a mean of 1. The truth is the target's mean reward over all possible days.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from benchmarks.covering.interval import Interval
from tasks.ope.estimate import estimate_off_policy

SERVED: Final = np.array([0.3, 0.3, 0.2, 0.1, 0.08, 0.02])
TARGET: Final = np.array([0.2, 0.2, 0.2, 0.2, 0.15, 0.05])
LIKED: Final = np.array([0.30, 0.35, 0.40, 0.40, 0.45, 0.50])
DAYS: Final = 7
USERS: Final = 1_500


def ten_per_cent(runs: int) -> Iterator[Interval]:
    """Yield the intervals of ``dr`` where days move the level by 10 %."""
    return (_estimate(seed, 0.1) for seed in range(runs))


def twenty_per_cent(runs: int) -> Iterator[Interval]:
    """Yield the intervals of ``dr`` where days move the level by 20 %."""
    return (_estimate(seed, 0.2) for seed in range(runs))


def _estimate(seed: int, size: float) -> Interval:
    rng = np.random.default_rng(seed)
    n = 2 * USERS
    shown, day = rng.choice(len(SERVED), size=n, p=SERVED), rng.integers(DAYS, size=n)
    factor = (1 + size * rng.standard_normal(DAYS)).clip(0, 2)
    log = pd.DataFrame(
        {
            "request_id": np.arange(n),
            "user_id": np.arange(n) // 2,
            "item_id": shown,
            "position": 1,
            "propensity": SERVED[shown],
            "shown_at": pd.Timestamp("2026-03-02T09:00:00Z") + pd.to_timedelta(day, unit="D"),
            "click": rng.binomial(1, LIKED[shown] * factor[day]),
        }
    )
    target = pd.DataFrame({"item_id": np.arange(len(TARGET)), "position": 1, "probability": TARGET})
    found = estimate_off_policy(log, target, reward="click").estimates["dr"]
    return Interval(found.low, found.high, float(TARGET @ LIKED))
