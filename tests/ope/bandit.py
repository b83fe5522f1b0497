"""A small bandit: two items, drawn evenly; the second is clicked more often."""

import numpy as np
import pandas as pd

ITEMS = ("plain", "liked")


def log(rows: int = 400, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    shown = rng.integers(2, size=rows)
    return pd.DataFrame(
        {
            "request_id": [f"r{n:05}" for n in range(rows)],
            "user_id": [f"u{n // 2}" for n in range(rows)],
            "item_id": np.array(ITEMS)[shown],
            "position": 1,
            "propensity": 0.5,
            "click": rng.binomial(1, np.where(shown == 1, 0.5, 0.2)),
        }
    )


def target(liked: float = 0.8) -> pd.DataFrame:
    return pd.DataFrame({"item_id": list(ITEMS), "position": 1, "probability": [1 - liked, liked]})
