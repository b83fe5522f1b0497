"""The items of the simulated feed: what they are like, when they are on the shelf, what is known of them.

A shelf holds one item for 120 days, then a new one; shelves are out of step, so the catalogue always
holds items of every age. Shelves form 38 groups, and a person is offered one group a day, in turn:
nobody meets an item again within 38 days. So an event matched on person and item never has two
impressions whose windows hold it, and the true probabilities are exact.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.datasets.world.streams import Stream, generator
from tasks.datasets.world.users import Trait, draw_trait
from tasks.datasets.world.vocabulary import CATEGORIES, REGIONS

GROUPS = 38
SHELVES_PER_GROUP = 160
SHELVES = GROUPS * SHELVES_PER_GROUP
SHELF_DAYS = 120
CREATORS = 400

EVERYWHERE = -1
PERMIT_UNKNOWN = -2

_LOG_PRICE = np.log([14.0, 120.0, 45.0, 30.0, 9.0, 38.0, 42.0, 22.0])
_SPONSORED_SHARE = 0.06
_VIOLATION_SHARE = 0.005
_RESTRICTED_SHARE = 0.02
_UNKNOWN_PERMIT_SHARE = 0.002

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Catalog:
    """All items, by index ``generation * SHELVES + shelf``.

    ``price_level`` is the log price against the category's; ``restricted`` the code of the region
    where the item may not be shown, ``EVERYWHERE`` if there is none, ``PERMIT_UNKNOWN`` if nobody knows.
    Traits: ``appeal`` (draws clicks), ``bait`` (draws clicks and disappoints), ``quality``, ``misfit``
    (comes back); ``noise`` is the feed's error about an item on its first day.
    """

    born: npt.NDArray[np.int32]
    category: npt.NDArray[np.int8]
    creator: npt.NDArray[np.int16]
    price: npt.NDArray[np.float64]
    price_level: Floats
    margin: npt.NDArray[np.float64]
    sponsored: npt.NDArray[np.bool_]
    violation: npt.NDArray[np.bool_]
    restricted: npt.NDArray[np.int8]
    appeal: Trait
    bait: Trait
    quality: Trait
    misfit: Trait

    def on_shelf(self, day: int) -> Indices:
        """Return the item on each shelf on a day, shape [SHELVES]; shelf s is of group s % GROUPS."""
        phase = self.born[:SHELVES] + SHELF_DAYS
        generation = (day - phase) // SHELF_DAYS + 1
        return generation.astype(np.int64) * SHELVES + np.arange(SHELVES)

    def age(self, day: int) -> npt.NDArray[np.int32]:
        """Return the days since each item came onto its shelf; negative before."""
        return np.int32(day) - self.born


def draw_catalog(seed: int, days: int) -> Catalog:
    """Draw the items of the first ``days`` days; more days only add items at the end."""
    phase = generator(seed, Stream.SHELVES).integers(0, SHELF_DAYS, SHELVES, dtype=np.int32)
    parts = [_generation(seed, g, phase) for g in range((days - 1) // SHELF_DAYS + 2)]
    return Catalog(*(_joined([getattr(p, f.name) for p in parts]) for f in fields(Catalog)))


def _generation(seed: int, number: int, phase: npt.NDArray[np.int32]) -> Catalog:
    rng = generator(seed, Stream.ITEMS, number)
    category = rng.integers(0, len(CATEGORIES), SHELVES).astype(np.int8)
    price_level = rng.standard_normal(SHELVES, dtype=np.float32)
    margin_level = 0.3 * rng.standard_normal(SHELVES) - 0.1
    price = np.round(np.exp(_LOG_PRICE[category] + 0.45 * price_level), 2)
    return Catalog(
        born=phase + np.int32((number - 1) * SHELF_DAYS),
        category=category,
        creator=_creators(rng),
        price=price,
        price_level=price_level,
        margin=np.round(np.exp(0.35 * price_level + margin_level), 2).astype(np.float64),
        sponsored=rng.random(SHELVES) < _SPONSORED_SHARE,
        violation=rng.random(SHELVES) < _VIOLATION_SHARE,
        restricted=_restrictions(rng),
        appeal=draw_trait(rng, (SHELVES,)),
        bait=draw_trait(rng, (SHELVES,)),
        quality=draw_trait(rng, (SHELVES,)),
        misfit=draw_trait(rng, (SHELVES,)),
    )


def _creators(rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Draw creators with a long tail: few make much, most make little."""
    return np.floor(CREATORS * rng.random(SHELVES) ** 2).astype(np.int16)


def _restrictions(rng: np.random.Generator) -> npt.NDArray[np.int8]:
    draw = rng.random(SHELVES)
    region = rng.integers(0, len(REGIONS), SHELVES)
    known = np.where(draw < _RESTRICTED_SHARE, region, EVERYWHERE)
    return np.where(draw > 1 - _UNKNOWN_PERMIT_SHARE, PERMIT_UNKNOWN, known).astype(np.int8)


def _joined(parts: list[Any]) -> Any:
    """Join arrays, or traits face by face."""
    if isinstance(parts[0], Trait):
        return Trait(np.concatenate([t.true for t in parts]), np.concatenate([t.seen for t in parts]))
    return np.concatenate(parts)
