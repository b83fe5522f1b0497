"""The people of the simulated feed: what drives them, and what the feed knows about them.

Each trait has two faces: the true one, from which behaviour follows, and the seen one, a noisy
estimate as a feature store would hold it. Only the seen one is logged.
"""

import numpy as np
import numpy.typing as npt

from tasks.datasets.world.entities import Trait, Users
from tasks.datasets.world.streams import Stream, generator
from tasks.datasets.world.vocabulary import CATEGORIES, DEVICES, REGIONS, TENURES

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8]

SEEN_NOISE = 0.2
"""Standard deviation of a seen trait around the true one, whose own is 1."""

_TENURE_SHARES = (0.25, 0.45, 0.30)
_REGION_SHARES = (0.3, 0.25, 0.2, 0.15, 0.1)
_DEVICE_SHARES = (0.3, 0.6, 0.1)
_ACTIVITY_BY_TENURE = np.array([-0.3, 0.0, 0.5])


def draw_users(seed: int, count: int) -> Users:
    """Draw ``count`` people."""
    rng = generator(seed, Stream.USERS, count)
    tenure = _codes(rng, count, len(TENURES), _TENURE_SHARES)
    return Users(
        tenure=tenure,
        region=_codes(rng, count, len(REGIONS), _REGION_SHARES),
        device=_codes(rng, count, len(DEVICES), _DEVICE_SHARES),
        activity=(_ACTIVITY_BY_TENURE[tenure] + 0.8 * rng.standard_normal(count)).astype(np.float32),
        taste=draw_trait(rng, (count, len(CATEGORIES))),
        thrift=draw_trait(rng, (count,)),
        buyer=draw_trait(rng, (count,)),
        touchy=draw_trait(rng, (count,)),
    )


def draw_trait(rng: np.random.Generator, shape: tuple[int, ...]) -> Trait:
    """Draw a standard normal trait and its seen estimate."""
    true = rng.standard_normal(shape, dtype=np.float32)
    return Trait(true, true + np.float32(SEEN_NOISE) * rng.standard_normal(shape, dtype=np.float32))


def _codes(rng: np.random.Generator, count: int, values: int, shares: tuple[float, ...]) -> Codes:
    return rng.choice(values, size=count, p=shares).astype(np.int8)
