"""People, items, requests and events of the simulated world as arrays, and the vocabularies of its columns.

::

    World = Users + Catalog [+ Controls]   constant over all days
    Batch                                  requests of a day with their candidates, some of which are Shown
    Outcomes                               outcomes of the shown items: rendered or not, and events (Happened)

Each entity is drawn from a separate random stream. The key of a stream contains what is drawn and the day,
but not the number of days: the first twenty days of a world are the same if twenty or two hundred are
generated.

Drifts of the world are switched on by name from a day on.

::

    price           prices rise by a quarter, in the log and for people
    season          people prefer garden and sports more, books and electronics less; not logged
    broken_feature  `user_category_affinity` is logged and served as 0
    spam_creator    all items of the most prolific creator, a twentieth, are bait of low quality; not logged
    delay_change    the mean of all delays of orders, complaints and answers rises by half

A drift of the *feed* is visible in the log; a drift of the *people* only in their behaviour.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Flags, Floats, Integers, SingleFloats, SmallCodes

CATEGORIES: Final = ("books", "electronics", "fashion", "garden", "groceries", "home", "sports", "toys")
TENURES: Final = ("new", "returning", "loyal")
REGIONS: Final = ("north", "south", "east", "west", "islands")
DEVICES: Final = ("desktop", "mobile", "tablet")
PAGES: Final = ("home", "checkout")
SOURCES: Final = ("personal", "trending", "following", "fresh", "sponsored", "explore")
PERSONAL, TRENDING, FOLLOWING, FRESH, SPONSORED, EXPLORE = range(len(SOURCES))

GROUPS: Final = 38
SHELVES_PER_GROUP: Final = 160
SHELVES: Final = GROUPS * SHELVES_PER_GROUP
SHELF_DAYS: Final = 120
"""Default number of days of an item on its shelf."""
CREATORS: Final = 400

CONTROLS: Final = ("more", "less")
"""Wishes for a creator or category, other than muting it."""
NO_CONTROL, MORE, LESS, MUTED = range(4)

EVERYWHERE: Final = -1
PERMIT_UNKNOWN: Final = -2
"""Code of an item that may be shown everywhere but whose permission is unknown in the log."""

CANDIDATES: Final = 40
"""Number of scored candidates of a request."""

SLOTS: Final = 12
"""Number of shown candidates of a request."""

EXAMINATION: Final = (1.0, 0.92, 0.84, 0.77, 0.71, 0.66, 0.61, 0.57, 0.53, 0.5, 0.47, 0.45)
"""Probability that a person examines a position; ``surface.yaml`` declares the same curve."""

VISIBLE_RATE: Final = 0.96
"""Probability that a shown item was rendered on screen, independent of its position."""

VALUES: Final = ("dwell_seconds_1d", "handling_minutes_1d")
"""Tasks whose truth is a mean instead of a probability."""

DWELL_CLIP_SECONDS: Final = 1800.0
LINGER_SECONDS: Final = 60.0
"""Minimum dwell that counts as a minute, in labels and in moods."""


class Stream(IntEnum):
    """Random streams; the number is part of the key and never changes."""

    USERS = 1
    SHELVES = 2
    ITEMS = 3
    OUT_OF_STOCK = 4
    INELIGIBLE = 5
    REQUESTS = 6
    FEED = 7
    BEHAVIOUR = 8
    CONTROLS = 9
    VISITS = 10
    DELAYS = 11


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    """Return the generator of one stream, independent of all others.

    Examples
    --------
    >>> a, b = generator(7, Stream.FEED, 3, 0), generator(7, Stream.FEED, 3, 0)
    >>> bool(a.random() == b.random())
    True
    >>> bool(a.random() == generator(7, Stream.FEED, 3, 1).random())
    False
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *key)))


@dataclass(frozen=True)
class Trait:
    """A true value and the estimate that the feed logs."""

    true: SingleFloats
    seen: SingleFloats


@dataclass(frozen=True)
class Users:
    """All people, by index. Codes refer to the vocabularies; ``activity`` is a log weight.

    ``taste`` has shape [users, categories], the other traits [users]: ``thrift`` (dislike of a high
    price), ``buyer`` (readiness to buy), ``touchy`` (readiness to hide).
    """

    tenure: SmallCodes
    region: SmallCodes
    device: SmallCodes
    activity: SingleFloats
    taste: Trait
    thrift: Trait
    buyer: Trait
    touchy: Trait

    @property
    def count(self) -> int:
        """Number of people."""
        return len(self.tenure)


@dataclass(frozen=True)
class Catalog:
    """All items, by index ``generation * SHELVES + shelf``.

    ``price_level`` is the log price relative to the category's. ``restricted`` is the code of the region
    where the item may not be shown, ``EVERYWHERE`` without one, ``PERMIT_UNKNOWN`` if it is unknown. Traits:
    ``appeal`` (draws clicks), ``bait`` (draws clicks and disappoints), ``quality``, ``misfit`` (is returned).
    ``shelf_days`` is the number of days of an item on its shelf.
    """

    born: npt.NDArray[np.int32]
    category: SmallCodes
    creator: npt.NDArray[np.int16]
    price: Floats
    price_level: SingleFloats
    margin: Floats
    sponsored: Flags
    violation: Flags
    restricted: SmallCodes
    appeal: Trait
    bait: Trait
    quality: Trait
    misfit: Trait
    shelf_days: int = SHELF_DAYS

    def on_shelf(self, day: int) -> Integers:
        """Return the item on each shelf on a day, shape [SHELVES]; shelf s belongs to group s % GROUPS."""
        phase = self.born[:SHELVES] + self.shelf_days
        generation = (day - phase) // self.shelf_days + 1
        return generation.astype(np.int64) * SHELVES + np.arange(SHELVES)

    def age(self, day: int) -> npt.NDArray[np.int32]:
        """Return the days since each item was put on its shelf; negative before."""
        return np.int32(day) - self.born


@dataclass(frozen=True)
class Controls:
    """Wishes of people for creators and categories, by code; -1 without a wish.

    ``creators`` have shape [users, maximum per person], ``categories`` [users]. Later wishes have precedence
    over earlier ones, and wishes for a creator over those for a category.
    """

    creators: Mapping[int, npt.NDArray[np.int16]]
    categories: Mapping[int, SmallCodes]

    def wishes(self, user: Integers, creator: npt.NDArray[np.int16], category: SmallCodes) -> SmallCodes:
        """Return the wish that applies to each candidate, shape [requests, candidates].

        Parameters
        ----------
        user : [requests].
        creator, category : of each candidate, [requests, candidates].
        """
        found = np.full(creator.shape, NO_CONTROL, dtype=np.int8)
        for wish, chosen in self.categories.items():
            found[category == chosen[user][:, None]] = wish
        for wish, named in self.creators.items():
            found[(creator[:, :, None] == named[user][:, None, :]).any(axis=2)] = wish
        return found


@dataclass(frozen=True)
class World:
    """The entities that are constant over all days.

    Attributes
    ----------
    controls : wishes of people; None in a world without user controls.
    delays : [users] factors of the mean delay of each person's events; None is 1 for all.
    shelves : number of shelves that candidates come from every day; None for one of the `GROUPS` per day.
    candidates : number per request.
    """

    seed: int
    users: Users
    catalog: Catalog
    controls: Controls | None = None
    delays: SingleFloats | None = None
    shelves: int | None = None
    candidates: int = CANDIDATES


@dataclass(frozen=True)
class Requests:
    """Requests of one day in time order, one per person. ``at`` is microseconds of the day."""

    user: Integers
    at: Integers
    checkout: Flags
    device: SmallCodes

    def part(self, first: int, last: int) -> "Requests":
        """Return the requests from ``first`` to ``last``, half-open."""
        cut = slice(first, last)
        return Requests(self.user[cut], self.at[cut], self.checkout[cut], self.device[cut])


@dataclass(frozen=True)
class Seen:
    """The item traits as the feed estimates them on a day, by item.

    The error for an item decreases with the square root of its days on the shelf.
    """

    age: npt.NDArray[np.int32]
    appeal: SingleFloats
    bait: SingleFloats
    quality: SingleFloats
    misfit: SingleFloats
    popularity: SingleFloats

    @classmethod
    def on(cls, catalog: Catalog, day: int) -> "Seen":
        """Return the estimates of a day."""
        age = catalog.age(day)
        known = np.maximum(age, 0).astype(np.float32)
        error = np.sqrt(np.float32(10) / (10 + known)) * np.float32(1.5)
        appeal, bait, quality, misfit = (
            t.true + error * (t.seen - t.true)
            for t in (catalog.appeal, catalog.bait, catalog.quality, catalog.misfit)
        )
        reach = np.log1p(known) / np.float32(2.4)
        popularity = np.exp(4 + 0.5 * appeal + 0.3 * bait + reach - 2)
        return cls(age, appeal, bait, quality, misfit, popularity.astype(np.float32))


@dataclass(frozen=True)
class Placement:
    """The items at each position.

    Attributes
    ----------
    order : [requests, slots], column of the candidate at each position.
    propensity : [requests, slots], of the candidate at each position given those above it.
    """

    order: Integers
    propensity: Floats


@dataclass(frozen=True)
class Batch:
    """Requests with their candidates: [requests, candidates] unless stated otherwise.

    ``whim`` is the unlogged component of a click, ``wish`` the person's wish for the candidate's creator or
    category.
    """

    day: int
    requests: Requests
    item: Integers
    source: SmallCodes
    affinity: Trait
    score: SingleFloats
    placement: Placement
    seen: Seen
    whim: SingleFloats
    wish: SmallCodes


@dataclass(frozen=True)
class Shown:
    """The shown impressions of a batch, flat and in order of request and position.

    ``row`` is the index in the batch's candidates, ``request`` the index in its requests, ``at`` the time in
    microseconds since the world's first midnight, ``slow`` the factor of the mean delays of the person's
    later events.
    """

    row: Integers
    request: Integers
    user: Integers
    item: Integers
    position: npt.NDArray[np.int16]
    propensity: Floats
    at: Integers
    price: Floats
    slow: Floats


@dataclass(frozen=True)
class Happened:
    """Events of one kind: ``row`` is an index of the shown impressions; value is NaN without a value.

    ``tagged``: whether the event carries the request's id; clicks do, orders do not.
    """

    event: str
    row: Integers
    at: Integers
    known_at: Integers
    value: Floats
    tagged: bool


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of a batch: which rows were rendered, and all events."""

    visible: Flags
    events: tuple[Happened, ...]


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
