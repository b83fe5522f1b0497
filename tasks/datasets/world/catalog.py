"""The people and the items of the simulated feed: their true traits, the logged estimates, and absences.

Behaviour follows the true trait. The log contains the seen one, a noisy estimate as in a feature store.

A shelf has one item for 120 days, then a new one. Shelves are out of step, so the catalogue always contains
items of every age. Shelves form 38 groups, and a person is offered one group a day, in turn, so no person
meets an item again within 38 days. An event matched on person and item therefore never lies in the windows of
two impressions, and the true probabilities are exact.

Items run out and people become ineligible, day by day::

    day d      request --------- out of stock x.......... restocked at midnight
    the item is not offered on day d; items in carts from earlier days cannot be bought at x....

An absence therefore always lies in the window of an impression that it disturbs, and a contract that excludes
it leaves the probabilities unchanged.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.arrays import Flags, Integers, SmallCodes
from tasks.datasets.world.entities import (
    CATEGORIES,
    CREATORS,
    DEVICES,
    EVERYWHERE,
    PERMIT_UNKNOWN,
    REGIONS,
    SHELF_DAYS,
    SHELVES,
    TENURES,
    Catalog,
    Stream,
    Trait,
    Users,
    generator,
)

_LOG_PRICE = np.log([14.0, 120.0, 45.0, 30.0, 9.0, 38.0, 42.0, 22.0])
_SPONSORED_SHARE = 0.06
_VIOLATION_SHARE = 0.005
_RESTRICTED_SHARE = 0.02
_UNKNOWN_PERMIT_SHARE = 0.002


SEEN_NOISE = 0.2
"""Standard deviation of a seen trait around the true one, whose own standard deviation is 1."""

_TENURE_SHARES = (0.25, 0.45, 0.30)
_REGION_SHARES = (0.3, 0.25, 0.2, 0.15, 0.1)
_DEVICE_SHARES = (0.3, 0.6, 0.1)
_ACTIVITY_BY_TENURE = np.array([-0.3, 0.0, 0.5])


def draw_catalog(seed: int, days: int, *, shelf_days: int = SHELF_DAYS) -> Catalog:
    """Draw the items of the first ``days`` days; more days only append items.

    Parameters
    ----------
    shelf_days : days of an item on its shelf; with 70, a tenth of the items is new each week.
    """
    phase = generator(seed, Stream.SHELVES).integers(0, shelf_days, SHELVES, dtype=np.int32)
    parts = [_generation(seed, g, phase, shelf_days) for g in range((days - 1) // shelf_days + 2)]
    names = [field.name for field in fields(Catalog) if field.name != "shelf_days"]
    joined = {name: _joined([getattr(part, name) for part in parts]) for name in names}
    return Catalog(**joined, shelf_days=shelf_days)


def _generation(seed: int, number: int, phase: npt.NDArray[np.int32], shelf_days: int) -> Catalog:
    rng = generator(seed, Stream.ITEMS, number)
    category = rng.integers(0, len(CATEGORIES), SHELVES).astype(np.int8)
    price_level = rng.standard_normal(SHELVES, dtype=np.float32)
    margin_level = 0.3 * rng.standard_normal(SHELVES) - 0.1
    price = np.round(np.exp(_LOG_PRICE[category] + 0.45 * price_level), 2)
    return Catalog(
        born=phase + np.int32((number - 1) * shelf_days),
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
    """Draw creators with a long tail: few have many items, most have few."""
    return np.floor(CREATORS * rng.random(shape) ** 2).astype(np.int16)


def _restrictions(rng: np.random.Generator) -> SmallCodes:
    draw = rng.random(SHELVES)
    region = rng.integers(0, len(REGIONS), SHELVES)
    known = np.where(draw < _RESTRICTED_SHARE, region, EVERYWHERE)
    return np.where(draw > 1 - _UNKNOWN_PERMIT_SHARE, PERMIT_UNKNOWN, known).astype(np.int8)


def _joined(parts: list[Any]) -> Any:
    """Concatenate arrays, or both components of traits."""
    if isinstance(parts[0], Trait):
        return Trait(np.concatenate([t.true for t in parts]), np.concatenate([t.seen for t in parts]))
    return np.concatenate(parts)


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


def _codes(rng: np.random.Generator, count: int, values: int, shares: tuple[float, ...]) -> SmallCodes:
    return rng.choice(values, size=count, p=shares).astype(np.int8)


OUT_OF_STOCK_RATE = 0.008
INELIGIBLE_RATE = 0.002
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Absences:
    """Absent items or people of one day: sorted ids, and microseconds since that day's midnight."""

    ids: Integers
    since: Integers


def out_of_stock(catalog: Catalog, seed: int, day: int) -> Absences:
    """Draw the items on the shelves that run out on a day."""
    shelves = _draw(generator(seed, Stream.OUT_OF_STOCK, day), SHELVES, OUT_OF_STOCK_RATE)
    items = catalog.on_shelf(day)[shelves.ids]
    order = np.argsort(items)
    return Absences(items[order], shelves.since[order])


@lru_cache(maxsize=64)
def ineligible(seed: int, day: int, users: int) -> Absences:
    """Draw the people who become ineligible on a day."""
    return _draw(generator(seed, Stream.INELIGIBLE, day, users), users, INELIGIBLE_RATE)


def _draw(rng: np.random.Generator, count: int, rate: float) -> Absences:
    ids = np.flatnonzero(rng.random(count) < rate)
    return Absences(ids, rng.integers(0, DAY_US, len(ids)))


def absent(ids: Integers, day: Integers, time_of_day: Integers, days: dict[int, Absences]) -> Flags:
    """Return for each (id, day, time of day) whether that id was absent at that time.

    Parameters
    ----------
    ids, day, time_of_day : shape [n]; time_of_day in microseconds.
    days : the absences of every possible day.
    """
    found = np.zeros(len(ids), dtype=bool)
    for number, absences in days.items():
        if not len(absences.ids):
            continue
        slot = np.minimum(np.searchsorted(absences.ids, ids), len(absences.ids) - 1)
        hit = (absences.ids[slot] == ids) & (day == number)
        found |= hit & (time_of_day >= absences.since[slot])
    return found
