"""Items that run out and people who become ineligible, day by day.

::

    day d      request --------- out of stock x.......... restocked at midnight
    the item is not offered on day d; items in carts from earlier days cannot be bought at x....

An absence therefore always lies in the window of an impression that it disturbs, and a contract that excludes
it leaves the probabilities unchanged.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tasks.arrays import Flags, Integers
from tasks.datasets.world.entities import SHELVES, Catalog, Stream, generator

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
