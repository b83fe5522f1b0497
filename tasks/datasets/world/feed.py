"""One batch of requests: people, retrieved candidates, and the features logged at serving time.

::

    people of the day -> one group of shelves each -> 40 candidates -> scores -> 12 positions
                                                        |  features logged for all 40
"""

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats, Integers, SingleFloats, SmallCodes
from tasks.datasets.world.catalog import DAY_US, ineligible, out_of_stock
from tasks.datasets.world.entities import (
    DEVICES,
    EXPLORE,
    FOLLOWING,
    FRESH,
    GROUPS,
    NO_CONTROL,
    PERSONAL,
    SLOTS,
    SPONSORED,
    TRENDING,
    Batch,
    Catalog,
    Placement,
    Requests,
    Seen,
    Stream,
    Trait,
    World,
    generator,
)

Scores = npt.NDArray[np.floating]

_CHECKOUT_SHARE = 0.15
_MAIN_DEVICE_SHARE = 0.85
_FRESH_DAYS = 7


def draw_requests(world: World, day: int, count: int) -> Requests:
    """Draw the requests of a day: active people come often, ineligible ones never."""
    rng = generator(world.seed, Stream.REQUESTS, day, count)
    users = world.users
    key = users.activity + gumbel(rng, (users.count,))
    key[ineligible(world.seed, day, users.count).ids] = -np.inf
    return requests_of(world, rng.permutation(np.argpartition(-key, count - 1)[:count]), rng)


def requests_of(world: World, user: Integers, rng: np.random.Generator) -> Requests:
    """Draw time, place and device of some people's requests, in order of time; one request each."""
    count = len(user)
    other = rng.integers(0, len(DEVICES), count)
    device = np.where(rng.random(count) < _MAIN_DEVICE_SHARE, world.users.device[user], other)
    return Requests(user, _times(rng, count), rng.random(count) < _CHECKOUT_SHARE, device.astype(np.int8))


def _times(rng: np.random.Generator, count: int) -> Integers:
    """Draw times of day in order: a quiet night, a peak in the evening."""
    hours = np.where(rng.random(count) < 0.6, rng.normal(19, 3, count), rng.normal(11, 4, count)) % 24
    return np.sort(np.minimum((hours / 24 * DAY_US).astype(np.int64), DAY_US - 1))


def draw_batch(world: World, day: int, number: int, requests: Requests) -> Batch:
    """Retrieve, score and place the candidates of one batch of a day's requests."""
    rng = generator(world.seed, Stream.FEED, day, number)
    seen = Seen.on(world.catalog, day)
    item = _retrieve(world, day, requests, seen, rng)
    category = world.catalog.category[item]
    taste = world.users.taste
    affinity = Trait(
        taste.true[requests.user[:, None], category], taste.seen[requests.user[:, None], category]
    )
    source = _sources(world.catalog, item, affinity, seen, rng)
    # half relevance, half whim
    relevance = 0.3 * affinity.seen + 0.3 * seen.appeal[item] + 0.15 * seen.quality[item]
    score = (relevance + 0.5 * rng.standard_normal(item.shape, dtype=np.float32)).astype(np.float32)
    placement = place(score, SLOTS, rng)
    whim = rng.standard_normal(item.shape, dtype=np.float32)
    wish = _wishes(world, requests, item)
    return Batch(day, requests, item, source, affinity, score, placement, seen, whim, wish)


def _wishes(world: World, requests: Requests, item: Integers) -> SmallCodes:
    if world.controls is None:
        return np.full(item.shape, NO_CONTROL, dtype=np.int8)
    return world.controls.wishes(requests.user, world.catalog.creator[item], world.catalog.category[item])


def _retrieve(world: World, day: int, requests: Requests, seen: Seen, rng: np.random.Generator) -> Integers:
    """Draw the candidates from the items in stock that each person is offered on this day."""
    shelf = _offered(world, day, requests)
    taste = world.users.taste.seen[requests.user]
    pull = 0.4 * np.take_along_axis(taste, world.catalog.category[shelf].astype(np.int64), axis=1)
    lure = 0.15 * np.log(seen.popularity) + np.where(seen.age < _FRESH_DAYS, np.float32(0.5), np.float32(0))
    lure[out_of_stock(world.catalog, world.seed, day).ids] = -np.inf
    key = pull + lure[shelf] + gumbel(rng, shelf.shape)
    top = np.argpartition(-key, world.candidates - 1, axis=1)[:, : world.candidates]
    return np.take_along_axis(shelf, np.sort(top, axis=1), axis=1)


def _offered(world: World, day: int, requests: Requests) -> Integers:
    """Return a group of items for each person, or the same for all; [requests, items]."""
    items = world.catalog.on_shelf(day)
    if world.shelves is not None:
        return np.broadcast_to(items[: world.shelves], (len(requests.user), world.shelves))
    return items.reshape(-1, GROUPS).T[(requests.user + day) % GROUPS]


def _sources(
    catalog: Catalog, item: Integers, affinity: Trait, seen: Seen, rng: np.random.Generator
) -> SmallCodes:
    """Return the retrieval source of each candidate; sponsored candidates are always identifiable."""
    draw = rng.random(item.shape, dtype=np.float32)
    following = 0.12 + 0.08 * (affinity.seen > 0)
    trending = following + 0.2 + 0.2 * (seen.popularity[item] > 60)
    fresh = (seen.age[item] < _FRESH_DAYS) & (draw > 0.4)
    by = [catalog.sponsored[item], draw > 0.96, fresh, draw < following, draw < trending]
    return np.select(by, [SPONSORED, EXPLORE, FRESH, FOLLOWING, TRENDING], PERSONAL).astype(np.int8)


def place(scores: Scores, slots: int, rng: np.random.Generator) -> Placement:
    """Fill ``slots`` positions of each request from its candidates.

    Parameters
    ----------
    scores : [requests, candidates], finite.

    Examples
    --------
    >>> placed = place(np.zeros((1, 4)), 4, np.random.default_rng(0))
    >>> placed.propensity.round(3).tolist()
    [[0.25, 0.333, 0.5, 1.0]]
    """
    order = np.argsort(-(scores + gumbel(rng, scores.shape)), axis=1, kind="stable")
    return Placement(order[:, :slots], propensities(np.take_along_axis(scores, order, axis=1))[:, :slots])


def gumbel(rng: np.random.Generator, shape: tuple[int, ...]) -> SingleFloats:
    """Draw standard Gumbel noise: sorting log weights with it samples without replacement by weight."""
    tiny = np.finfo(np.float32).tiny
    return -np.log(np.maximum(rng.standard_exponential(shape, dtype=np.float32), tiny))


def propensities(placed_scores: Scores) -> Floats:
    """Return each position's propensity from the scores of all candidates in their drawn order.

    Parameters
    ----------
    placed_scores : [requests, candidates]; candidates without a position are at the end, in any order.
    """
    odds = np.exp(placed_scores.astype(np.float64))
    remaining = np.cumsum(odds[:, ::-1], axis=1)[:, ::-1]
    return odds / remaining
