"""Examples of every kind of head: outcomes, or values, that rise with the price."""

from typing import Any, Final

import numpy as np

from tasks.contracts.training import Objective
from tasks.training.examples import Examples
from tasks.training.fit import Loss

EVERY: Final[tuple[Objective, ...]] = ("binary", "l2", "tweedie", "quantile", "lambdarank")
NAMES: Final = ("price", "age", "category")
SMALL: Final[dict[str, float | int]] = {"rounds": 20, "num_leaves": 7, "early_stopping_rounds": 5}
N: Final = 3000
CHEAP_AND_DEAR: Final = np.array([[0.1, 0.5, 0], [0.9, 0.5, 0]])


def examples_of(
    objective: Objective, *, features: Any = None, labels: Any = None, fold: Any = None, **more: Any
) -> Examples:
    """Return 300 requests of ten rows; a tenth of the requests may be held out."""
    random = np.random.default_rng(1)
    own = np.column_stack([random.random(N), random.random(N), random.integers(0, 4, N)]).astype(float)
    happened = (random.random(N) < 0.1 + 0.3 * own[:, 0]).astype(float)
    known = happened if objective in ("binary", "lambdarank") else happened * (1 + own[:, 0])
    tenth = np.repeat(random.random(N // 10) < 0.1, 10)
    requests = {"groups": np.repeat(np.arange(N // 10), 10)} if objective == "lambdarank" else {}
    return Examples(
        own if features is None else features,
        known if labels is None else labels,
        tenth if fold is None else fold,
        NAMES,
        ("category",),
        **(requests | more),
    )


def loss_of(objective: Objective, *, quantile: float = 0.9) -> Loss:
    """Return what such a head minimises; three quarters of the values are 0, so its quantile is a high one."""
    return Loss(objective, quantile=quantile)
