"""Drifts of the simulated world, each switched on by name from a day on.

::

    price           prices rise by a quarter, in the log and for people
    season          people prefer garden and sports more, books and electronics less; not logged
    broken_feature  `user_category_affinity` is logged and served as 0
    spam_creator    all items of the most prolific creator, a twentieth, are bait of low quality; not logged
    delay_change    the mean of all delays of orders, complaints and answers rises by half

A drift of the *feed* is visible in the log; a drift of the *people* only in their behaviour.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

import numpy as np

from tasks.arrays import SingleFloats
from tasks.datasets.world.entities import CATEGORIES, Batch, Trait, World

_DEARER: Final = 1.25
_PRICE_LOG_SD: Final = 0.45
"""Standard deviation of a log price around its category's, the unit of a price level."""
_SEASON: Final = {"garden": 1.0, "sports": 0.6, "books": -0.6, "electronics": -0.6}
"""Shift of every taste by the season; the standard deviation of a taste is 1."""
_SPAM_CREATOR: Final = 0
_SPAM_BAIT, _SPAM_QUALITY = np.float32(2.5), np.float32(-1.5)
_LATER: Final = np.float32(1.5)


class Drift(StrEnum):
    """Possible changes of the simulated world from a day on."""

    PRICE = "price"
    SEASON = "season"
    BROKEN_FEATURE = "broken_feature"
    SPAM_CREATOR = "spam_creator"
    DELAY_CHANGE = "delay_change"


def drifts_on(drifts: Mapping[Drift, int], day: int) -> frozenset[Drift]:
    """Return the drifts that are on for a day.

    Examples
    --------
    >>> sorted(drifts_on({Drift.PRICE: 3, Drift.SEASON: 9}, 5))
    [<Drift.PRICE: 'price'>]
    """
    return frozenset(drift for drift, first in drifts.items() if day >= first)


def drift_feed(world: World, on: Collection[Drift]) -> World:
    """Return the world as the feed retrieves and logs it."""
    if Drift.PRICE not in on:
        return world
    catalog = world.catalog
    level = catalog.price_level + np.float32(np.log(_DEARER) / _PRICE_LOG_SD)
    return replace(
        world, catalog=replace(catalog, price=np.round(catalog.price * _DEARER, 2), price_level=level)
    )


def drift_people(world: World, on: Collection[Drift]) -> World:
    """Return the world as people experience it; `world` is the feed's."""
    users, catalog, delays = world.users, world.catalog, world.delays
    if Drift.SEASON in on:
        shift = np.array([_SEASON.get(name, 0.0) for name in CATEGORIES], dtype=np.float32)
        users = replace(users, taste=_added(users.taste, shift))
    if Drift.SPAM_CREATOR in on:
        spam = (catalog.creator == _SPAM_CREATOR).astype(np.float32)
        bait, quality = _added(catalog.bait, spam * _SPAM_BAIT), _added(catalog.quality, spam * _SPAM_QUALITY)
        catalog = replace(catalog, bait=bait, quality=quality)
    if Drift.DELAY_CHANGE in on and delays is not None:
        delays = delays * _LATER
    return replace(world, users=users, catalog=catalog, delays=delays)


def drift_batch(batch: Batch, world: World, on: Collection[Drift]) -> Batch:
    """Return the requests as they are served and experienced; `world` is the people's."""
    category, user = world.catalog.category[batch.item], batch.requests.user[:, None]
    seen = np.zeros_like(batch.affinity.seen) if Drift.BROKEN_FEATURE in on else batch.affinity.seen
    return replace(batch, affinity=Trait(world.users.taste.true[user, category], seen))


def _added(trait: Trait, shift: SingleFloats) -> Trait:
    return Trait(trait.true + shift, trait.seen)
