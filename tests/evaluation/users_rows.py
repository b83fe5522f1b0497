import numpy as np
import numpy.typing as npt

Rows = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.intp]]


def draw_rows(n: int = 400, users: int = 40, rate: float = 0.1, seed: int = 0) -> Rows:
    """Draw outcomes, predictions and users, each user with a row at least."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(1, 9, n), 2)
    y = (rng.random(n) < np.clip(p * rate / 0.1, 0, 1)).astype(float)
    y[:2] = 0, 1
    return y, p, np.r_[np.arange(users), rng.integers(users, size=n - users)]
