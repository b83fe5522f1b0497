"""The items of the simulated feed: what they are like, when they are on the shelf, what is known of them.

A shelf holds one item for 120 days, then a new one; shelves are out of step, so the catalogue always
holds items of every age. Shelves form 38 groups, and a person is offered one group a day, in turn:
nobody meets an item again within 38 days. So an event matched on person and item never has two
impressions whose windows hold it, and the true probabilities are exact.
"""

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.datasets.world.entities import Catalog, Trait
from tasks.datasets.world.streams import Stream, generator
from tasks.datasets.world.users import draw_trait
from tasks.datasets.world.vocabulary import (
    CATEGORIES,
    CREATORS,
    EVERYWHERE,
    PERMIT_UNKNOWN,
    REGIONS,
    SHELF_DAYS,
    SHELVES,
)

_LOG_PRICE = np.log([14.0, 120.0, 45.0, 30.0, 9.0, 38.0, 42.0, 22.0])
_SPONSORED_SHARE = 0.06
_VIOLATION_SHARE = 0.005
_RESTRICTED_SHARE = 0.02
_UNKNOWN_PERMIT_SHARE = 0.002

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


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
        creator=draw_creators(rng, (SHELVES,)),
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


def draw_creators(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """Draw creators with a long tail: few make much, most make little."""
    return np.floor(CREATORS * rng.random(shape) ** 2).astype(np.int16)


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
